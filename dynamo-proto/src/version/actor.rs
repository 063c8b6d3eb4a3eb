//! Who mints versions: actors, and the dots that name single writes.

use core::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::NodeId;

/// One life of a node's process, or the part of one that follows a
/// [renewal](Births::renew): drawn at random, never written down to be used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Boot(pub u64);

/// Who mints the versions of one key: a node, in one boot, under one birth number.
///
/// The boot is random and the serial counts within it, so an actor is never born twice, whatever
/// happens to the disk. Every actor mints for one key only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor {
    /// The node that mints.
    pub node: NodeId,
    /// The boot in which the actor was born.
    pub boot: Boot,
    /// Which of the births of that boot it was.
    pub serial: u64,
}

/// One write: the `counter`-th of its actor, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Who minted it.
    pub actor: Actor,
    /// How many that actor had minted, this one included.
    pub counter: u32,
}

/// A short name for one write, for people and for HTTP: the same wherever the write is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u128);

/// The source of a node's actors.
///
/// ```
/// use dynamo_proto::{NodeId, version::{Births, Boot}};
///
/// let mut births = Births::new(NodeId(1), Boot(0x5eed)); // the boot: 64 random bits
/// assert_ne!(births.newborn(), births.newborn());
/// ```
#[derive(Debug)]
pub struct Births {
    node: NodeId,
    boot: Boot,
    /// The first that may still mint.
    first: u64,
    next: u64,
}

impl Births {
    /// The births of one boot of a node. `boot` must be drawn from good randomness at each start.
    #[must_use]
    pub const fn new(node: NodeId, boot: Boot) -> Self {
        Self {
            node,
            boot,
            first: 0,
            next: 0,
        }
    }

    /// An actor that has never been.
    pub fn newborn(&mut self) -> Actor {
        let actor = Actor {
            node: self.node,
            boot: self.boot,
            serial: self.next,
        };
        self.next += 1; // 2^64 births outlast the machine
        actor
    }

    /// The node that mints.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// The boot in which its actors are born now.
    #[must_use]
    pub const fn boot(&self) -> Boot {
        self.boot
    }

    /// How many were born in this boot.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.next
    }

    /// Whether that actor was born here, in this boot, and may go on minting.
    #[must_use]
    pub fn bore(&self, actor: &Actor) -> bool {
        self.claims(actor) && (self.first..self.next).contains(&actor.serial)
    }

    /// Whether that actor bears this node and boot but was not born here: somebody else mints
    /// under our name, for instance a second copy of this virtual machine.
    #[must_use]
    pub fn is_impostor(&self, actor: &Actor) -> bool {
        self.claims(actor) && actor.serial >= self.next
    }

    /// From now on, actors are born under that boot number, as they are after a restart. For a
    /// node that has met an impostor.
    pub fn renew(&mut self, boot: Boot) {
        *self = Self::new(self.node, boot);
    }

    /// From now on none of the actors born so far mints any more. For a node that does not know
    /// what became of something it minted.
    pub fn disown(&mut self) {
        self.first = self.next;
    }

    fn claims(&self, actor: &Actor) -> bool {
        actor.node == self.node && actor.boot == self.boot
    }
}

impl Dot {
    /// The write's short name.
    #[must_use]
    pub fn tag(&self) -> Tag {
        let mut bytes = [0; 28];
        bytes[..8].copy_from_slice(&self.actor.node.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.actor.boot.0.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.actor.serial.to_be_bytes());
        bytes[24..].copy_from_slice(&self.counter.to_be_bytes());
        Tag(xxh3_128(&bytes))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Boot({:016x})", self.0)
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:x}.{}", self.node, self.boot.0, self.serial)
    }
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:?}, {})", self.actor, self.counter)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn an_actor_is_known_by_node_boot_and_serial() {
        let mut births = Births::new(NodeId(1), Boot(7));
        let first = births.newborn();
        assert!(births.bore(&first) && !births.is_impostor(&first));

        let unborn = Actor { serial: 1, ..first };
        assert!(!births.bore(&unborn) && births.is_impostor(&unborn));

        for stranger in [
            Actor {
                node: NodeId(2),
                ..first
            },
            Actor {
                boot: Boot(8),
                ..first
            },
        ] {
            assert!(!births.bore(&stranger) && !births.is_impostor(&stranger));
        }
    }

    #[test]
    fn a_renewed_boot_disowns_its_earlier_births() {
        let mut births = Births::new(NodeId(1), Boot(7));
        let before = births.newborn();
        births.renew(Boot(8));
        assert!(!births.bore(&before));
        assert_ne!(births.newborn(), before);
    }

    #[test]
    fn disowned_actors_mint_no_more_and_are_no_impostors() {
        let mut births = Births::new(NodeId(1), Boot(7));
        let before = births.newborn();
        births.disown();
        assert!(!births.bore(&before) && !births.is_impostor(&before));
        let after = births.newborn();
        assert!(births.bore(&after));
        assert_ne!(before, after);
    }

    #[test]
    fn tags_differ_wherever_dots_do() {
        let actor = Births::new(NodeId(1), Boot(7)).newborn();
        let dot = Dot { actor, counter: 1 };
        let others = [
            Dot { counter: 2, ..dot },
            Dot {
                actor: Actor { serial: 9, ..actor },
                ..dot
            },
            Dot {
                actor: Actor {
                    boot: Boot(9),
                    ..actor
                },
                ..dot
            },
            Dot {
                actor: Actor {
                    node: NodeId(9),
                    ..actor
                },
                ..dot
            },
        ];
        assert!(others.iter().all(|other| other.tag() != dot.tag()));
        assert_eq!(dot.tag().to_string().len(), 32);
    }
}
