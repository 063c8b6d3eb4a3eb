//! The first words on a connection: who may say what, and whether both sides may go on.
//!
//! ```text
//!   dials                              accepts
//!     | --- Hello, to nobody known ----> |   cluster? version? room?
//!     | <-- Welcome, to the dialer's --- |   both have each other's nonce
//!     |     nonce                        |
//!     | <-- or Refused, and the end ---- |
//! ```
//!
//! Whoever accepts is sure of the other side one message earlier, and may speak at once: its words
//! follow its Welcome.
//!
//! Left to others: which of two connections stays when two nodes dial each other at once, and what
//! to do about somebody who goes by our own name.

use dynamo_proto::wire::{Body, Hello, Message, Nonce, Refusal, Role, Versions, Welcome};
use dynamo_proto::{ClusterId, Generation, NodeId};

use crate::Ended;

/// A node, as it introduces itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Which node of it.
    pub node: NodeId,
    /// The last thing it has said about itself.
    pub generation: Generation,
    /// What it speaks.
    pub versions: Versions,
}

/// What a handshake has settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Established {
    /// Who is on the other side: a node, if it was dialed.
    pub peer: Role,
    /// The version that both speak.
    pub version: u8,
}

/// How far a handshake has come.
#[derive(Debug)]
pub(crate) enum Handshake {
    /// Our Hello is said.
    Dialed {
        hello: Hello,
        expected: Option<NodeId>,
    },
    /// Nothing is heard yet.
    Accepting { identity: Identity, nonce: Nonce },
    /// Nothing is heard yet, and nobody will be let in.
    Refusing { identity: Identity, reason: Refusal },
}

/// What becomes of the other side's word.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Both go on.
    Agreed {
        established: Established,
        ours: Nonce,
        theirs: Nonce,
        answer: Option<Welcome>,
    },
    /// We do not.
    Refused { theirs: Nonce, reason: Refusal },
}

impl Identity {
    /// What this node says when it dials another. What is sent to it on this connection must carry
    /// the nonce, so that has to be drawn at random for every connection.
    #[must_use]
    pub fn hello(&self, nonce: Nonce) -> Hello {
        Hello {
            versions: self.versions,
            nonce,
            cluster: self.cluster,
            role: self.role(),
        }
    }

    fn welcome(&self, version: u8, ours: Nonce, hello: &Hello) -> Heard {
        Heard::Agreed {
            established: Established {
                peer: hello.role,
                version,
            },
            ours,
            theirs: hello.nonce,
            answer: Some(Welcome {
                version,
                nonce: ours,
                cluster: self.cluster,
                node: self.node,
                generation: self.generation,
            }),
        }
    }

    fn role(&self) -> Role {
        Role::Peer {
            node: self.node,
            generation: self.generation,
        }
    }
}

impl Handshake {
    /// Takes the other side's first word, which settles everything. Of strangers nothing else is so
    /// much as decoded.
    pub(crate) fn hear(&self, body: &Body) -> Result<Heard, Ended> {
        let unexpected = Ended::Unexpected(body.kind());
        if !body.kind().is_handshake() {
            return Err(unexpected);
        }
        match (self, &Message::decode(body)?) {
            (Self::Dialed { hello, expected }, Message::Welcome(welcome)) => {
                check(hello, *expected, welcome)
            }
            (Self::Dialed { .. }, Message::Refused(refusal)) => Err(Ended::RefusedByThem(*refusal)),
            (Self::Accepting { identity, nonce }, Message::Hello(hello)) => {
                Ok(match hello.accept(identity.versions, identity.cluster) {
                    Ok(version) => identity.welcome(version, *nonce, hello),
                    Err(reason) => refuse(hello, reason),
                })
            }
            // A stranger is told that it is one, rather than to try again later.
            (Self::Refusing { identity, reason }, Message::Hello(hello)) => {
                let accepted = hello.accept(identity.versions, identity.cluster);
                Ok(refuse(hello, accepted.err().unwrap_or(*reason)))
            }
            _ => Err(unexpected),
        }
    }
}

fn check(hello: &Hello, expected: Option<NodeId>, welcome: &Welcome) -> Result<Heard, Ended> {
    let chosen = Versions {
        oldest: welcome.version,
        newest: welcome.version,
    };
    if welcome.cluster != hello.cluster {
        return Err(Ended::WrongCluster(welcome.cluster));
    }
    if let Some(expected) = expected.filter(|expected| *expected != welcome.node) {
        let found = welcome.node;
        return Err(Ended::WrongNode { expected, found });
    }
    if hello.versions.common(chosen).is_none() {
        return Err(Ended::WrongVersion(welcome.version));
    }
    Ok(Heard::Agreed {
        established: Established {
            peer: Role::Peer {
                node: welcome.node,
                generation: welcome.generation,
            },
            version: welcome.version,
        },
        ours: hello.nonce,
        theirs: welcome.nonce,
        answer: None,
    })
}

fn refuse(hello: &Hello, reason: Refusal) -> Heard {
    Heard::Refused {
        theirs: hello.nonce,
        reason,
    }
}
