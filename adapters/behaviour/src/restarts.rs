//! Nodes that stop and come back.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::node::{Failure, Mode, Options, Request, Response};
use dynamo_proto::store::{Address, Batch, Change, ReadOutcome, Space};
use dynamo_proto::version::{Content, Record};
use dynamo_storage::Backend as _;
use tempfile::TempDir;

use crate::client::{Client, after, get, key, put, values};
use crate::lines::{Line, command};
use crate::world::{Place, Shared, World, tea};

/// Of a request that nobody can do.
const SHORT: Option<Duration> = Some(Duration::from_millis(300));

pub(crate) fn two_of_three_nodes_are_enough(world: &World) {
    let cluster = world.cluster(3);
    let mut client = cluster.client(0);
    client.write("before", Mode::Blind, tea());
    cluster.stop(2);

    assert_eq!(values(&client.read("before")), ["tea"]);
    client.write("after", Mode::Blind, Bytes::from("milk"));
    assert_eq!(values(&cluster.client(1).read("after")), ["milk"]);

    let options = Options {
        w: Some(3),
        timeout: SHORT,
        ..Options::default()
    };
    let all = Request {
        options,
        ..put("all", Mode::Blind, Content::plain("tea"))
    };
    let answer = client.ask(all).unwrap();
    assert_eq!(answer, Response::Unknown, "it is there, and not at three");
}

pub(crate) fn one_of_three_nodes_is_too_few(world: &World) {
    let cluster = world.cluster(3);
    cluster.stop(1);
    cluster.stop(2);
    let options = Options {
        timeout: SHORT,
        ..Options::default()
    };
    let asked = Request {
        options,
        ..get("cart")
    };
    assert_eq!(
        cluster.client(0).ask(asked).unwrap(),
        Response::Failed(Failure::TooFew { need: 2, got: 1 })
    );
}

pub(crate) fn what_a_restarted_node_forgot_is_read_from_the_others(world: &World) {
    let cluster = world.cluster(3);
    let names: Vec<_> = (0..20).map(|number| format!("key {number}")).collect();
    let mut client = cluster.client(1);
    // What stands in for somebody is not read before it is home.
    let write = |client: &mut Client, name: &str, mode, content, pw| {
        let options = Options {
            w: Some(pw),
            pw: Some(pw),
            ..Options::default()
        };
        let request = Request {
            options,
            ..put(name, mode, Content::plain(content))
        };
        let answer = client.ask(request);
        assert!(matches!(answer, Ok(Response::Put(_))), "{answer:?}");
    };
    // Of two that have it one is going to forget it, and the third would know of nothing.
    for name in &names {
        write(&mut client, name, Mode::Blind, "tea", 3);
    }
    cluster.stop(0);
    cluster.restart(0);

    let mut client = cluster.client(0);
    for name in &names {
        let got = client.read(name);
        assert_eq!(values(&got), ["tea"]);
        write(&mut client, name, after(&got), "milk", 2);
        assert_eq!(values(&client.read(name)), ["milk"]);
    }
}

pub(crate) fn a_node_that_was_stopped_has_everything_when_it_is_back(world: &World) {
    let cluster = world.cluster_in(1, Place::Disk(TempDir::new().unwrap()));
    let names: Vec<_> = (0..20).map(|number| format!("key {number}")).collect();
    for name in &names {
        cluster.client(0).write(name, Mode::Blind, tea());
    }
    for _ in 0..2 {
        cluster.stop(0);
        cluster.restart(0);
        let mut client = cluster.client(0);
        for name in &names {
            assert_eq!(values(&client.read(name)), ["tea"], "{name}");
        }
    }
}

pub(crate) fn what_is_under_way_is_finished_before_a_node_stops(world: &World) {
    const DONE: &[u8] = b"+OK\r\n";
    let cluster = world.cluster(3);
    let mut line = Line::connect(cluster.resp(0));
    let names: Vec<_> = (0..2_000).map(|number| format!("key {number}")).collect();
    let set = |name: &String| command(&[b"SET", name.as_bytes(), b"tea"]);
    line.say(&names.iter().flat_map(set).collect::<Vec<_>>());
    assert_eq!(line.hear(DONE.len()), DONE);
    let rest = thread::spawn(|| line.hear_out());
    cluster.stop(0);

    let rest = rest.join().unwrap();
    let done = 1 + rest.len() / DONE.len();
    assert_eq!(rest, DONE.repeat(done - 1));
    let mut other = Line::connect(cluster.resp(1));
    for name in &names[..done] {
        other.say(&command(&[b"GET", name.as_bytes()]));
        assert_eq!(other.hear(9), b"$3\r\ntea\r\n", "{name} of {done}");
    }
}

pub(crate) fn a_client_of_a_stopped_node_is_told(world: &World) {
    let cluster = world.cluster(3);
    let mut client = cluster.client(0);
    cluster.stop(0);
    let answer = client.ask(get("cart"));
    assert!(answer.is_err(), "{answer:?}");
}

pub(crate) fn a_port_is_nobody_elses_until_its_node_has_stopped(world: &World) {
    let cluster = world.cluster(3);
    let doors = [cluster.native(0), cluster.resp(0), cluster.http(0)];
    for door in doors {
        let taken = TcpListener::bind(door).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }
    cluster.stop(0);
    for door in doors {
        TcpListener::bind(door).unwrap();
    }
}

pub(crate) fn a_record_that_rots_unread_is_repaired_by_the_others(world: &World) {
    let stores = 3 * world.cores();
    let stores: Vec<_> = (0..stores).map(|_| Arc::<Shared>::default()).collect();
    let cluster = world.cluster_in(3, Place::Shared(stores.clone()));
    cluster.client(0).write("cart", Mode::Blind, tea());

    let key = key("cart");
    let at = Address::of_object(key.token(), key.encoded());
    let kept = |store: &Shared| match store.read(Space::Objects, &at) {
        ReadOutcome::Found(bytes) => Record::decode(&at, bytes).ok().map(Record::into_siblings),
        _ => None,
    };
    let replicas = || {
        stores
            .iter()
            .filter(|it| kept(it).is_some())
            .collect::<Vec<_>>()
    };
    while replicas().len() < 3 {
        sleep(Duration::from_millis(5));
    }
    let [one, other, ..] = replicas()[..] else {
        panic!("there are three");
    };
    let change = Change {
        space: Space::Objects,
        at: at.clone(),
        bytes: Some("no record".into()),
    };
    let rot = Batch {
        changes: [change].into_iter().collect(),
        durability: Durability::Memory,
        may_use_reserve: false,
    };
    other.write(&mut [rot.into()]);
    while kept(other).is_none() {
        sleep(Duration::from_millis(5));
    }
    assert_eq!(kept(other), kept(one));
}
