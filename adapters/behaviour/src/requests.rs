//! Putting and getting.

use bytes::Bytes;
use dynamo_proto::node::{Failure, Mode, Response};
use dynamo_proto::version::{Content, ContextError};

use crate::client::{after, put, values};
use crate::lines::Line;
use crate::session;
use crate::world::{Cluster, World, tea};

pub(crate) fn what_is_put_at_one_node_is_read_and_deleted_at_the_others(world: &World) {
    let cluster = world.cluster(3);
    let [mut first, mut second, mut third] = [0, 1, 2].map(|at| cluster.client(at));
    assert!(second.read("cart").siblings.is_absent());
    first.write("cart", Mode::Blind, tea());

    let got = second.read("cart");
    assert_eq!(values(&got), ["tea"]);
    third.write("cart", after(&got), None);
    assert!(first.read("cart").siblings.is_deleted());
}

pub(crate) fn blind_writes_are_siblings_until_a_write_that_has_seen_them(world: &World) {
    let cluster = world.cluster(3);
    let [mut first, mut second] = [0, 1].map(|at| cluster.client(at));
    first.write("cart", Mode::Blind, tea());
    let written = second.write("cart", Mode::Blind, Bytes::from("milk"));
    assert_eq!(written.context, None, "it has not seen the tea");

    let got = first.read("cart");
    assert_eq!(values(&got), ["milk", "tea"]);
    first.write("cart", after(&got), Bytes::from("both"));
    assert_eq!(values(&second.read("cart")), ["both"]);
}

pub(crate) fn every_node_of_a_large_cluster_finds_every_key(world: &World) {
    let cluster = world.cluster(6);
    let names = |at| (0..8).map(move |number| format!("from {at}, {number}"));
    for at in 0..6 {
        let mut client = cluster.client(at);
        for name in names(at) {
            client.write(&name, Mode::Overwrite, Bytes::from(name.clone()));
        }
    }
    for at in 0..6 {
        let mut client = cluster.client(5 - at);
        for name in names(at) {
            assert_eq!(values(&client.read(&name)), [name]);
        }
    }
}

pub(crate) fn the_largest_value_travels(world: &World) {
    let cluster = world.cluster(3);
    let large = Bytes::from(vec![7; 1 << 20]);
    cluster.client(0).write("large", Mode::Blind, large.clone());
    assert_eq!(values(&cluster.client(1).read("large")), [large]);
}

pub(crate) fn a_context_of_another_key_is_refused(world: &World) {
    let cluster = world.cluster(3);
    let mut client = cluster.client(0);
    client.write("cart", Mode::Blind, tea());
    let got = client.read("cart");
    let misapplied = put("purse", after(&got), Content::plain("tea"));
    assert_eq!(
        client.ask(misapplied).unwrap(),
        Response::Failed(Failure::Context(ContextError::Forged))
    );
}

pub(crate) fn a_session_is_answered_byte_by_byte_as_everywhere(world: &World) {
    let cluster = world.cluster(session::NODES);
    session::check(&session::play(&mut OnLines::at(&cluster)));
}

/// A client at each node, over sockets.
struct OnLines(Vec<Line>);

impl OnLines {
    fn at(cluster: &Cluster) -> Self {
        let nodes = cluster.up().into_iter();
        Self(nodes.map(|at| Line::connect(cluster.resp(at))).collect())
    }
}

impl session::Wires for OnLines {
    fn say(&mut self, node: usize, bytes: &[u8]) {
        self.0[node].say(bytes);
    }

    fn hear(&mut self, node: usize) -> Vec<u8> {
        self.0[node].hear_some()
    }
}
