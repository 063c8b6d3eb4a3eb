//! Strangers, and those who do not keep to what was agreed.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use dynamo_driver::{Connection, Ended, Event, Identity, Waits};
use dynamo_proto::node::Mode;
use dynamo_proto::wire::{Message, Nonce, Outbound, Refusal, Role, Ticket, Versions};
use dynamo_proto::{ClusterId, Generation, Limits, NodeId};

use crate::client::{self, Client, Lost, SILENCE, get, key, values};
use crate::lines::{Line, command};
use crate::world::{CLUSTER, Place, World, tea};

pub(crate) fn garbage_is_hung_up_on_and_does_no_harm(world: &World) {
    let cluster = world.cluster(3);
    let mut client = cluster.client(0);
    client.write("cart", Mode::Blind, tea());

    let mut welcome_then_garbage = hello(Role::Client);
    welcome_then_garbage.extend_from_slice(&[0x55; 4096]);
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: dynamo\r\n\r\n".to_vec(),
        vec![0; 4096],
        vec![0xff; 4096],
        welcome_then_garbage,
    ] {
        for door in [cluster.native(0), cluster.resp(0), cluster.http(0)] {
            let mut socket = TcpStream::connect(door).unwrap();
            socket.write_all(&bytes).unwrap();
            if door == cluster.native(0) {
                is_hung_up(socket);
            }
        }
    }
    assert!(cluster.is_whole());
    assert_eq!(values(&client.read("cart")), ["tea"]);
}

pub(crate) fn nobody_passes_for_a_node_that_is_there(world: &World) {
    let cluster = world.cluster(3);
    // Itself, and one that it has dialed and that is not in a later life.
    for (node, generation) in [(2, u64::MAX), (3, 1)] {
        let role = Role::Peer {
            node: NodeId(node),
            generation: Generation(generation),
        };
        let mut socket = TcpStream::connect(cluster.native(1)).unwrap();
        socket.write_all(&hello(role)).unwrap();
        is_hung_up(socket);
    }
    // A stranger may be a newcomer.
    let role = Role::Peer {
        node: NodeId(99),
        generation: Generation(1),
    };
    let mut socket = TcpStream::connect(cluster.native(1)).unwrap();
    socket.write_all(&hello(role)).unwrap();
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    assert!(socket.read(&mut [0; 64]).unwrap() > 0, "it is welcome");
    drop(socket);
    assert!(cluster.is_whole());
}

pub(crate) fn an_earlier_life_of_a_node_does_not_displace_it(world: &World) {
    let cluster = world.cluster(3);
    let role = Role::Peer {
        node: NodeId(1),
        generation: Generation(1),
    };
    let mut socket = TcpStream::connect(cluster.native(1)).unwrap();
    socket.write_all(&hello(role)).unwrap();
    is_hung_up(socket);
    assert!(cluster.is_whole());
}

pub(crate) fn a_client_of_another_cluster_is_refused(world: &World) {
    let cluster = world.cluster(3);
    let refused = Client::connect(cluster.native(0), ClusterId(8));
    assert!(matches!(
        refused.err(),
        Some(Lost::Ended(Ended::RefusedByThem(Refusal::Cluster)))
    ));
}

pub(crate) fn a_client_may_only_ask(world: &World) {
    let cluster = world.cluster(3);
    let mut client = cluster.client(0);
    let fetch = Message::Fetch {
        epoch: Default::default(),
        ticket: Ticket(1),
        held_for: None,
        key: key("cart"),
    };
    client.connection.send(&fetch).unwrap();
    let _ = client.flush();
    is_hung_up(client.socket);
}

pub(crate) fn a_client_that_never_reads_is_not_read_from_and_others_are_served(world: &World) {
    let cluster = world.cluster(3);
    let large = Bytes::from(vec![7; 256 << 10]);
    cluster.client(1).write("large", Mode::Blind, large.clone());

    let mut deaf = cluster.client(0);
    deaf.socket
        .set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    // What fits into the socket's buffers, and then no more.
    let written = (0..200_000).try_for_each(|_| {
        deaf.say(get("large"));
        deaf.flush()
    });
    assert_eq!(written.unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(values(&cluster.client(0).read("large")), [large]);
}

pub(crate) fn a_client_that_talks_on_hears_why_it_is_hung_up_on(world: &World) {
    let cluster = world.cluster(1);
    for _ in 0..20 {
        let mut line = Line::connect(cluster.http(0));
        let mut bytes = b"NONSENSE\r\n\r\n".to_vec();
        bytes.resize(40 << 10, b'x');
        line.say(&bytes);
        let answer = String::from_utf8(line.hear_out()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

pub(crate) fn a_peer_that_never_reads_holds_nobody_up(world: &World) {
    let listeners: Vec<_> = (0..3).map(|_| world.listen()).collect();
    let waits = Waits {
        silence: Duration::from_secs(2),
        ..Waits::default()
    };
    let cluster = world.cluster_at(&listeners, Place::Memory, waits);
    let mut listeners = listeners.into_iter();
    for at in 0..2 {
        cluster.start_behind(at, listeners.next().unwrap());
    }
    let [third, ..] = listeners.next().unwrap();
    // The first node of each process dials it.
    let silent = [(); 2].map(|()| welcome(&third));
    while cluster.connected(0)[0] != 2 * world.cores() {
        thread::sleep(Duration::from_millis(5));
    }

    let mut client = cluster.client(0);
    let large = Bytes::from(vec![7; 1 << 20]);
    let start = Instant::now();
    for number in 0..16 {
        client.write(&format!("key {number}"), Mode::Blind, large.clone());
    }
    assert!(start.elapsed() < SILENCE, "{:?}", start.elapsed());
    // Whoever says nothing for so long is given up.
    for mut socket in silent {
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        let ended = io::copy(&mut socket, &mut io::sink());
        let is_reset = |error: io::Error| error.kind() == ErrorKind::ConnectionReset;
        assert!(ended.map_or_else(is_reset, |_| true));
    }
}

/// Somebody who shakes hands as the third node.
fn welcome(listener: &TcpListener) -> TcpStream {
    let (mut socket, _) = listener.accept().unwrap();
    let identity = Identity {
        cluster: CLUSTER,
        node: NodeId(3),
        generation: Generation(1),
        versions: Versions::OURS,
    };
    let nonce = Nonce::new(7).unwrap();
    let mut connection = Connection::accept(identity, nonce, Limits::default(), 1 << 20);
    let mut buffer = [0; 256];
    while !matches!(connection.poll(), Ok(Some(Event::Established(_)))) {
        let most = connection.room().min(buffer.len());
        let len = socket.read(&mut buffer[..most]).unwrap();
        connection.receive(&mut &buffer[..len]);
    }
    socket.write_all(connection.outgoing()).unwrap();
    socket
}

pub(crate) fn a_flood_of_connections_is_survived(world: &World) {
    let cluster = world.cluster(3);
    let mut client = cluster.client(0);
    client.write("cart", Mode::Blind, tea());
    let connect = |door| TcpStream::connect(door).unwrap();
    let strangers: Vec<_> = (0..270).map(|_| connect(cluster.native(0))).collect();
    let floods: Vec<_> = (0..8)
        .map(|_| {
            let mut line = Line::connect(cluster.resp(0));
            thread::spawn(move || {
                line.say(&command(&[b"SET", b"flood", b"water"]).repeat(1_000));
                assert_eq!(line.hear(5_000), b"+OK\r\n".repeat(1_000));
            })
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(values(&client.read("cart")), ["tea"]);
    }
    floods.into_iter().for_each(|it| it.join().unwrap());
    drop(strangers);
    assert!(cluster.is_whole());
    assert_eq!(values(&cluster.client(0).read("cart")), ["tea"]);
}

fn hello(role: Role) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let hello = Message::Hello(client::hello(CLUSTER, role));
    Outbound::to_stranger().write(&hello, &mut bytes);
    bytes.to_vec()
}

/// Whatever is said first, the end is the end.
fn is_hung_up(mut socket: TcpStream) {
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    let mut last_words = Vec::new();
    let ended = socket.read_to_end(&mut last_words);
    let is_late = ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(!is_late && last_words.len() < 1024);
}
