//! Every way in which the first words can go.

use dynamo_driver::{Connection, Ended, Established, Event, Unsent};
use dynamo_proto::wire::{
    FrameError, Hello, Kind, Message, MessageError, Refusal, Role, Unsupported, Versions, Welcome,
};
use dynamo_proto::{ClusterId, Generation, Limits, NodeId};

use crate::forge::{Forged, forged};
use crate::world::{
    ACCEPTER, DIALER, OUTGOING_BYTES, TO_ACCEPTER, TO_DIALER, accept, carry, dial, feed, fetch,
    hello, identity, nonce, pair, written,
};

fn dialed_by(hello: Hello) -> Connection {
    Connection::dial(hello, Some(ACCEPTER), Limits::default(), OUTGOING_BYTES)
}

fn welcome() -> Welcome {
    Welcome {
        version: 1,
        nonce: nonce(TO_ACCEPTER),
        cluster: ClusterId(1),
        node: ACCEPTER,
        generation: Generation(20),
    }
}

/// What a dialer makes of that answer to its hello.
fn answered(message: &Message) -> Result<Vec<Event>, Ended> {
    let bytes = forged(message, TO_DIALER, 0);
    feed(&mut dial(Limits::default()), &bytes)
}

#[test]
fn each_side_learns_who_the_other_is() {
    let (mut dialer, mut accepter) = (dial(Limits::default()), accept(Limits::default()));
    let met = |node: NodeId| Established {
        peer: Role::Peer {
            node,
            generation: Generation(node.0 * 10),
        },
        version: 1,
    };
    assert_eq!(
        carry(&mut dialer, &mut accepter),
        Ok(vec![Event::Established(met(DIALER))])
    );
    assert_eq!(
        carry(&mut accepter, &mut dialer),
        Ok(vec![Event::Established(met(ACCEPTER))])
    );
    assert_eq!(dialer.established(), Some(met(ACCEPTER)));
    assert_eq!(accepter.established(), Some(met(DIALER)));
}

#[test]
fn a_client_dials_whoever_answers() {
    let hello = Hello {
        role: Role::Client,
        ..hello()
    };
    let mut client = Connection::dial(hello, None, Limits::default(), OUTGOING_BYTES);
    let mut node = accept(Limits::default());
    carry(&mut client, &mut node).unwrap();
    assert_eq!(node.established().unwrap().peer, Role::Client);
    carry(&mut node, &mut client).unwrap();
    assert!(matches!(
        client.established().unwrap().peer,
        Role::Peer { node: ACCEPTER, .. }
    ));
}

#[test]
fn whoever_accepts_may_speak_right_behind_its_welcome() {
    let (mut dialer, mut accepter) = (dial(Limits::default()), accept(Limits::default()));
    carry(&mut dialer, &mut accepter).unwrap();
    accepter.send(&fetch(1)).unwrap();
    let events = carry(&mut accepter, &mut dialer).unwrap();
    assert!(matches!(
        events[..],
        [Event::Established(_), Event::Message(_)]
    ));
}

#[test]
fn who_is_of_no_use_is_told_why() {
    let strange = Versions {
        oldest: 5,
        newest: 9,
    };
    let other = Hello {
        cluster: ClusterId(2),
        ..hello()
    };
    let later = Hello {
        versions: strange,
        ..hello()
    };
    for (hello, refusal) in [
        (other, Refusal::Cluster),
        (later, Refusal::Version(Versions::OURS)),
    ] {
        let (mut dialer, mut accepter) = (dialed_by(hello), accept(Limits::default()));
        assert_eq!(
            carry(&mut dialer, &mut accepter),
            Err(Ended::RefusedByUs(refusal))
        );
        assert_eq!(
            carry(&mut accepter, &mut dialer),
            Err(Ended::RefusedByThem(refusal))
        );
    }
}

#[test]
fn who_finds_no_room_is_told_so_and_a_stranger_that_it_is_one() {
    let other = Hello {
        cluster: ClusterId(2),
        ..hello()
    };
    for (hello, refusal) in [(hello(), Refusal::Overloaded), (other, Refusal::Cluster)] {
        let mut dialer = dialed_by(hello);
        let mut full =
            Connection::refuse(identity(ACCEPTER), Refusal::Overloaded, Limits::default());
        assert_eq!(
            carry(&mut dialer, &mut full),
            Err(Ended::RefusedByUs(refusal))
        );
        assert_eq!(
            carry(&mut full, &mut dialer),
            Err(Ended::RefusedByThem(refusal))
        );
    }
}

#[test]
fn a_dialer_goes_on_only_with_whom_it_meant() {
    assert!(answered(&Message::Welcome(welcome())).is_ok());
    let found = NodeId(9);
    let wrong_node = Welcome {
        node: found,
        ..welcome()
    };
    let wrong_cluster = Welcome {
        cluster: ClusterId(2),
        ..welcome()
    };
    let wrong_version = Welcome {
        version: 2,
        ..welcome()
    };
    for (welcome, ended) in [
        (
            wrong_node,
            Ended::WrongNode {
                expected: ACCEPTER,
                found,
            },
        ),
        (wrong_cluster, Ended::WrongCluster(ClusterId(2))),
        (wrong_version, Ended::WrongVersion(2)),
    ] {
        assert_eq!(answered(&Message::Welcome(welcome)), Err(ended));
    }
}

#[test]
fn nothing_else_is_heard_before_the_handshake_is_over() {
    let unsupported = Message::Unsupported(Unsupported {
        version: 1,
        kind: Kind(18),
        sequence: 0,
    });
    for message in [fetch(1), unsupported, Message::Hello(hello())] {
        assert_eq!(
            answered(&message),
            Err(Ended::Unexpected(message.kind())),
            "dialer"
        );
    }
    for message in [
        fetch(1),
        Message::Welcome(welcome()),
        Message::Refused(Refusal::Cluster),
    ] {
        let bytes = forged(&message, 0, 0);
        assert_eq!(
            feed(&mut accept(Limits::default()), &bytes),
            Err(Ended::Unexpected(message.kind())),
            "accepter"
        );
    }
    for (version, kind) in [(1, Kind(250)), (9, Kind(18))] {
        let stranger = Forged {
            version,
            kind,
            nonce: 0,
            sequence: 0,
            body: b"",
        };
        let bytes = stranger.bytes();
        let mut accepter = accept(Limits::default());
        assert_eq!(feed(&mut accepter, &bytes), Err(Ended::Unexpected(kind)));
        assert_eq!(accepter.waiting().frames, 0, "strangers get no answer");
    }
}

#[test]
fn a_hello_that_makes_no_sense_ends_the_connection() {
    let kind = Message::Hello(hello()).kind();
    let nonsense = Forged {
        version: 1,
        kind,
        nonce: 0,
        sequence: 0,
        body: b"hello",
    };
    let bytes = nonsense.bytes();
    assert!(matches!(
        feed(&mut accept(Limits::default()), &bytes),
        Err(Ended::Malformed(MessageError::Malformed(_)))
    ));
}

#[test]
fn the_handshake_is_said_once() {
    for message in [
        Message::Hello(hello()),
        Message::Welcome(welcome()),
        Message::Refused(Refusal::Overloaded),
    ] {
        let (mut alice, mut bob) = pair(Limits::default());
        let unsent = Err(Unsent::Handshake(message.kind()));
        assert_eq!(alice.send(&message), unsent);
        assert_eq!(alice.send_body(&message.encode()), unsent);

        let bytes = forged(&message, TO_ACCEPTER, 1);
        assert_eq!(
            feed(&mut bob, &bytes),
            Err(Ended::Unexpected(message.kind()))
        );
    }
}

#[test]
fn a_hello_that_arrives_again_is_dropped() {
    let (mut dialer, mut accepter) = (dial(Limits::default()), accept(Limits::default()));
    let hello = written(&mut dialer);
    let events = feed(&mut accepter, &[&hello[..], &hello].concat()).unwrap();
    assert!(matches!(events[..], [Event::Established(_)]));
}

#[test]
fn a_welcome_to_an_earlier_hello_is_dropped() {
    let bytes = forged(&Message::Welcome(welcome()), TO_DIALER + 1, 0);
    assert_eq!(feed(&mut dial(Limits::default()), &bytes), Ok(vec![]));
}

#[test]
fn nothing_is_queued_for_somebody_who_may_never_answer() {
    let (mut dialer, mut accepter) = (dial(Limits::default()), accept(Limits::default()));
    for connection in [&mut dialer, &mut accepter] {
        let before = connection.waiting();
        assert_eq!(connection.send(&fetch(1)), Err(Unsent::NotEstablished));
        let body = fetch(1).encode();
        assert_eq!(connection.send_body(&body), Err(Unsent::NotEstablished));
        assert_eq!(connection.waiting(), before);
    }
}

#[test]
fn strangers_frames_are_short() {
    for mut connection in [dial(Limits::default()), accept(Limits::default())] {
        let ended = feed(&mut connection, &1025_u32.to_be_bytes());
        let too_long = FrameError::TooLong {
            len: 1025,
            limit: 1024,
        };
        assert_eq!(ended, Err(Ended::Frame(too_long)));
    }
    let (_, mut admitted) = pair(Limits::default());
    assert_eq!(feed(&mut admitted, &1025_u32.to_be_bytes()), Ok(vec![]));
}
