//! What is said before anything else.

use bytes::{Bytes, BytesMut};
use dynamo_proto::wire::{
    Hello, Inbound, Message, Outbound, Refusal, Role, Ticket, Versions, Welcome,
};
use dynamo_proto::{ClusterId, Generation, Limits, NodeId};

use super::{key, nonce, receive};

const OURS: Versions = Versions {
    oldest: 2,
    newest: 4,
};

fn hello(oldest: u8, newest: u8) -> Hello {
    Hello {
        versions: Versions { oldest, newest },
        nonce: nonce(7),
        cluster: ClusterId(1),
        role: Role::Client,
    }
}

#[test]
fn settles_on_the_newest_common_version() {
    for (oldest, newest, common) in [(1, 3, 3), (3, 9, 4), (2, 4, 4), (1, 2, 2), (4, 4, 4)] {
        assert_eq!(hello(oldest, newest).accept(OURS, ClusterId(1)), Ok(common));
    }
    for (oldest, newest) in [(0, 1), (5, 9)] {
        let answer = hello(oldest, newest).accept(OURS, ClusterId(1));
        assert_eq!(answer, Err(Refusal::Version(OURS)));
    }
}

#[test]
fn refuses_another_cluster() {
    assert_eq!(
        hello(1, 9).accept(OURS, ClusterId(2)),
        Err(Refusal::Cluster)
    );
}

/// Both sides, from strangers to the first request.
#[test]
fn each_side_learns_the_others_nonce() {
    let limits = Limits::default();
    let (mut client_out, mut client_in) =
        (Outbound::to_stranger(), Inbound::awaiting_welcome(nonce(7)));
    let (mut node_in, mut to_node, mut to_client) =
        (Inbound::from_stranger(), BytesMut::new(), BytesMut::new());

    client_out.write(&Message::Hello(hello(1, 1)), &mut to_node);
    let Message::Hello(hello) = receive(&mut node_in, &mut to_node).unwrap().remove(0) else {
        panic!("a hello")
    };
    let version = hello.accept(Versions::OURS, ClusterId(1)).unwrap();
    let mut node_out = Outbound::to(hello.nonce);
    node_in.admit(nonce(9), &limits);
    let welcome = Welcome {
        version,
        nonce: nonce(9),
        cluster: ClusterId(1),
        node: NodeId(3),
        generation: Generation(1),
    };
    node_out.write(&Message::Welcome(welcome), &mut to_client);

    let Message::Welcome(welcome) = receive(&mut client_in, &mut to_client).unwrap().remove(0)
    else {
        panic!("a welcome")
    };
    client_out.address(welcome.nonce);
    client_in.admit(nonce(7), &limits);
    let request = Message::Fetch {
        epoch: Default::default(),
        ticket: Ticket(1),
        held_for: None,
        key: key(),
    };
    client_out.write(&request, &mut to_node);
    assert_eq!(receive(&mut node_in, &mut to_node).unwrap(), [request]);
}

#[test]
fn a_later_versions_hello_is_heard() {
    let said = Message::Hello(hello(1, 9)).encode();
    let mut buffer = BytesMut::new();
    dynamo_tests::wire::frame(9, said.kind(), 0, 0, said.bytes(), &mut buffer);
    let heard = receive(&mut Inbound::from_stranger(), &mut buffer);
    assert_eq!(heard, Ok(vec![Message::Hello(hello(1, 9))]));
}

#[test]
fn a_later_versions_reason_is_kept() {
    let kind = Message::Refused(Refusal::Cluster).kind();
    let body = dynamo_tests::wire::body(kind, Bytes::from_static(&[200]));
    let refused = Message::decode(&body).unwrap();
    assert!(matches!(refused, Message::Refused(Refusal::Other(_))));
    assert_eq!(refused.encode().bytes(), body.bytes());
}

#[test]
fn a_later_versions_hello_may_say_more() {
    let mut bytes = Message::Hello(hello(1, 9)).encode().bytes().to_vec();
    bytes.extend_from_slice(b"more");
    let body = dynamo_tests::wire::body(Message::Hello(hello(1, 9)).kind(), bytes.into());
    assert_eq!(Message::decode(&body), Ok(Message::Hello(hello(1, 9))));
}
