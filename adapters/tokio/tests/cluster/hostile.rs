use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dynamo_driver::{Connection, Ended, Event, Identity};
use dynamo_proto::node::Mode;
use dynamo_proto::wire::{Hello, Message, Nonce, Outbound, Refusal, Role, Ticket, Versions};
use dynamo_proto::{ClusterId, Generation, Limits, NodeId};
use dynamo_tokio::{Client, Lost};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_hung_up_on_and_does_no_harm() {
    within_a_minute(async {
        let cluster = Cluster::of(3).await;
        let mut client = cluster.client(0).await;
        write(&mut client, "cart", Mode::Blind, Bytes::from("tea")).await;

        let mut welcome_then_garbage = hello(Role::Client);
        welcome_then_garbage.extend_from_slice(&[0x55; 4096]);
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: dynamo\r\n\r\n".to_vec(),
            vec![0; 4096],
            vec![0xff; 4096],
            welcome_then_garbage,
        ] {
            let mut socket = TcpStream::connect(cluster.address(0)).await.unwrap();
            socket.write_all(&bytes).await.unwrap();
            is_hung_up(&mut socket).await;
        }
        assert!(cluster.up().all(|server| server.connected() == 2));
        assert_eq!(values(&read(&mut client, "cart").await), ["tea"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_passes_for_a_node_that_does_not_dial() {
    within_a_minute(async {
        let cluster = Cluster::of(3).await;
        // A stranger, itself, and one that it would dial.
        for node in [99, 2, 3] {
            let role = Role::Peer {
                node: NodeId(node),
                generation: Generation(u64::MAX),
            };
            let mut socket = TcpStream::connect(cluster.address(1)).await.unwrap();
            socket.write_all(&hello(role)).await.unwrap();
            is_hung_up(&mut socket).await;
        }
        assert!(cluster.up().all(|server| server.connected() == 2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_life_of_a_node_does_not_displace_it() {
    within_a_minute(async {
        let cluster = Cluster::of(3).await;
        let role = Role::Peer {
            node: NodeId(1),
            generation: Generation(1),
        };
        let mut socket = TcpStream::connect(cluster.address(1)).await.unwrap();
        socket.write_all(&hello(role)).await.unwrap();
        is_hung_up(&mut socket).await;
        assert!(cluster.up().all(|server| server.connected() == 2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_another_cluster_is_refused() {
    within_a_minute(async {
        let cluster = Cluster::of(3).await;
        let limits = Limits::default();
        let refused = Client::connect(cluster.address(0), ClusterId(8), limits).await;
        assert!(matches!(
            refused.err(),
            Some(Lost::Ended(Ended::RefusedByThem(Refusal::Cluster)))
        ));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_only_ask() {
    within_a_minute(async {
        let cluster = Cluster::of(3).await;
        let mut raw = Raw::connect(&cluster).await;
        let fetch = Message::Fetch {
            ticket: Ticket(1),
            held_for: None,
            key: key("cart"),
        };
        raw.connection.send(&fetch).unwrap();
        let _ = raw.write().await;
        is_hung_up(&mut raw.socket).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_not_read_from_and_others_are_served() {
    within_a_minute(async {
        let cluster = Cluster::of(3).await;
        let mut client = cluster.client(1).await;
        let large = Bytes::from(vec![7; 1 << 20]);
        write(&mut client, "large", Mode::Blind, large.clone()).await;

        let mut raw = Raw::connect(&cluster).await;
        let mut is_read_from = true;
        // What fits into the socket's buffers, and then no more.
        for asked in 0..200_000 {
            let ask = Message::Request {
                ticket: Ticket(asked),
                patience: PATIENCE,
                request: get("large"),
            };
            raw.connection.send(&ask).unwrap();
            is_read_from = timeout(Duration::from_secs(1), raw.write()).await.is_ok();
            if !is_read_from {
                break;
            }
        }
        assert!(!is_read_from);

        let mut other = cluster.client(0).await;
        assert_eq!(values(&read(&mut other, "large").await), [large]);
    })
    .await;
}

/// A client that says what it likes.
struct Raw {
    socket: TcpStream,
    connection: Connection,
}

impl Raw {
    async fn connect(cluster: &Cluster) -> Self {
        let identity = Identity {
            cluster: CLUSTER,
            node: NodeId(0),
            generation: Generation(0),
            versions: Versions::OURS,
        };
        let hello = Hello {
            role: Role::Client,
            ..identity.hello(nonce())
        };
        let mut raw = Self {
            socket: TcpStream::connect(cluster.address(0)).await.unwrap(),
            connection: Connection::dial(hello, None, Limits::default(), 1 << 20),
        };
        raw.write().await.unwrap();
        while !matches!(raw.connection.poll(), Ok(Some(Event::Established(_)))) {
            let mut buffer = raw.connection.read_buffer().unwrap();
            raw.socket.read_buf(&mut buffer).await.unwrap();
        }
        raw
    }

    async fn write(&mut self) -> io::Result<()> {
        let bytes = self.connection.take_outgoing();
        self.socket.write_all(&bytes).await
    }
}

fn nonce() -> Nonce {
    Nonce::new(7).unwrap()
}

fn hello(role: Role) -> Vec<u8> {
    let hello = Hello {
        versions: Versions::OURS,
        nonce: nonce(),
        cluster: CLUSTER,
        role,
    };
    let mut bytes = BytesMut::new();
    Outbound::to_stranger().write(&Message::Hello(hello), &mut bytes);
    bytes.to_vec()
}

/// Whatever is said first, the end is the end.
async fn is_hung_up(socket: &mut TcpStream) {
    let mut last_words = Vec::new();
    let _ = socket.read_to_end(&mut last_words).await;
    assert!(last_words.len() < 1024);
}
