//! Clients of real nodes on loopback ports.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use common::Cluster;
use dynamo_client::{
    Admin, AdminError, Client, ConnectError, Over, Settings, Tokio, Trouble, Value, Way,
    WriteError, merge,
};
use dynamo_driver::admin::Command;
use dynamo_proto::ClusterId;
use dynamo_proto::node::{Failure, Options};

async fn client(cluster: &Cluster, seeds: &[usize]) -> Client {
    let client = Client::connect(cluster.settings(seeds)).await.unwrap();
    while client.counts().directories == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    client
}

#[tokio::test]
async fn a_client_learns_who_is_on_duty_and_goes_there() {
    let cluster = Cluster::start(5).await;
    let client = client(&cluster, &[0]).await;
    let carts = client.bucket("carts");
    for number in 0..50 {
        let key = format!("{number}");
        let wrote = carts.put(&key, "tea", Over::Blind).await.unwrap();
        assert_eq!(wrote.siblings, 1);
        let read = carts.get(&key).await.unwrap();
        assert_eq!(read.value(), Value::One(Bytes::from_static(b"tea")));
    }
    let counts = client.counts();
    assert_eq!(counts.asked, 100);
    assert_eq!(counts.direct, 100, "{counts:?}");
    assert!(counts.connected >= 5, "{counts:?}");
    for at in 0..5 {
        assert_eq!(cluster.counted(at, "dynamo_forwarded_total").await, 0);
    }
}

#[tokio::test]
async fn behind_a_load_balancer_everything_works_through_any_node() {
    let cluster = Cluster::start(5).await;
    let settings = Settings {
        way: Way::ThroughAny,
        ..cluster.settings(&[3])
    };
    let client = Client::connect(settings).await.unwrap();
    let carts = client.bucket("carts");
    for number in 0..20 {
        let key = format!("{number}");
        carts.put(&key, "tea", Over::Blind).await.unwrap();
        let read = carts.get(&key).await.unwrap();
        carts.delete(&key, &read).await.unwrap();
        assert!(carts.get(&key).await.unwrap().is_absent());
    }
    let counts = client.counts();
    assert_eq!((counts.direct, counts.connected), (0, 1), "{counts:?}");
}

#[tokio::test]
async fn siblings_are_seen_and_superseded_by_whoever_has_seen_them() {
    let cluster = Cluster::start(3).await;
    let client = client(&cluster, &[0, 1, 2]).await;
    let carts = client.bucket("carts");
    carts.put("alice", "tea", Over::Blind).await.unwrap();
    let second = carts.put("alice", "rice", Over::Blind).await.unwrap();
    assert_eq!((second.siblings, second.seen), (2, None));
    let read = carts.get("alice").await.unwrap();
    assert!(read.value().one().is_err());
    assert!(merge::last_writer(&read).is_some());
    let third = carts.put("alice", "tea,rice", &read).await.unwrap();
    assert_eq!(third.siblings, 1);
    // Its answer tells what is seen now: no read is needed before the next write.
    let over = third.seen.unwrap();
    let fourth = carts.put("alice", "milk", over).await.unwrap();
    assert_eq!(fourth.siblings, 1);
    let merged = carts
        .update("alice", |carts| {
            [&carts[..], &["salt".into()]]
                .concat()
                .join(&b","[..])
                .into()
        })
        .await
        .unwrap();
    assert_eq!(merged, "milk,salt");
}

#[tokio::test]
async fn a_condition_is_looked_up_before_a_write() {
    let cluster = Cluster::start(3).await;
    let client = client(&cluster, &[0]).await;
    let names = client.bucket("names");
    names.put_if_absent("alice", "1").await.unwrap();
    let taken = names.put_if_absent("alice", "2").await.unwrap_err();
    assert!(matches!(
        taken,
        WriteError::Failed(dynamo_client::Failed::Node(Failure::Condition(_)))
    ));
    let read = names.get("alice").await.unwrap();
    names.put_if_unchanged("alice", "3", &read).await.unwrap();
    let changed = names.put_if_unchanged("alice", "4", &read).await;
    assert!(matches!(
        changed.unwrap_err(),
        WriteError::Failed(dynamo_client::Failed::Node(Failure::Condition(_)))
    ));
}

#[tokio::test]
async fn data_types_and_types_of_the_applications_own() {
    let cluster = Cluster::start(3).await;
    let client = client(&cluster, &[0]).await;
    let visits = client.counter("visits", "home");
    assert_eq!(visits.value().await.unwrap(), 0);
    assert_eq!(visits.add(3).await.unwrap(), Some(3));
    visits.add(-1).await.unwrap();
    assert_eq!(visits.value().await.unwrap(), 2);
    let tags = client.set("tags", "page");
    tags.add("new").await.unwrap();
    tags.add("hot").await.unwrap();
    tags.remove("new").await.unwrap();
    assert_eq!(tags.elements().await.unwrap(), ["hot"]);
    assert!(tags.contains("hot").await.unwrap());

    let carts = client.bucket("typed").typed::<BTreeSet<String>>();
    let add = |item: &str| {
        let item = item.to_owned();
        move |cart: Option<BTreeSet<String>>| {
            let mut cart = cart.unwrap_or_default();
            cart.insert(item);
            cart
        }
    };
    carts
        .update("alice", merge::union, add("tea"))
        .await
        .unwrap();
    // Two that do not see each other.
    let read = carts.get("alice").await.unwrap();
    let rice = ["tea", "rice"].map(String::from).into();
    let milk = ["tea", "milk"].map(String::from).into();
    carts.put("alice", &rice, &read).await.unwrap();
    carts.put("alice", &milk, &read).await.unwrap();
    let merged = carts
        .update("alice", merge::union, add("salt"))
        .await
        .unwrap();
    assert_eq!(
        merged,
        ["milk", "rice", "salt", "tea"].map(String::from).into()
    );
    let read = carts.get("alice").await.unwrap();
    assert_eq!(read.value, Value::One(merged));
}

#[tokio::test]
async fn a_session_reads_what_it_has_written_even_with_one_replica_each() {
    let cluster = Cluster::start(3).await;
    let client = client(&cluster, &[0]).await;
    let weak = Options {
        r: Some(1),
        w: Some(1),
        ..Options::default()
    };
    let session = client.session();
    let (mine, others) = (
        session.bucket("s").with(weak),
        client.bucket("s").with(weak),
    );
    for number in 0..200 {
        let key = format!("{}", number % 3);
        // Somebody else writes too: there are siblings, and receipts in place of contexts.
        others
            .put(&key, format!("other {number}"), Over::Blind)
            .await
            .unwrap();
        mine.put(&key, format!("{number}"), Over::Blind)
            .await
            .unwrap();
        let read = mine.get(&key).await.unwrap();
        let values = read.value().all();
        let own = format!("{number}");
        assert!(
            values.iter().any(|value| value == own.as_bytes()),
            "{values:?}"
        );
        mine.put(&key, "merged", &read).await.unwrap();
    }
}

#[tokio::test]
async fn a_read_that_the_client_coordinates_finds_the_same() {
    let cluster = Cluster::start(5).await;
    let client = client(&cluster, &[0, 1, 2, 3, 4]).await;
    let carts = client.bucket("carts");
    let driven = client.bucket("carts").read_by_client();
    for number in 0..100 {
        let key = format!("{}", number % 20);
        let read = driven.get(&key).await.unwrap();
        let wrote = carts.put(&key, format!("{number}"), &read).await.unwrap();
        assert_eq!(wrote.siblings, 1, "all contexts are handed back");
        let value = driven.get(&key).await.unwrap().value().one().unwrap();
        assert_eq!(value, Some(Bytes::from(format!("{number}"))));
    }
    let counts = client.counts();
    assert!(counts.driven - counts.undriven > 150, "{counts:?}");
}

#[tokio::test]
async fn too_much_is_refused_before_it_is_sent() {
    let cluster = Cluster::start(1).await;
    let client = client(&cluster, &[0]).await;
    let asked = client.counts().asked;
    let bucket = client.bucket("b");
    let long = bucket.put("k", vec![0; (1 << 20) + 1], Over::Blind).await;
    assert!(matches!(long.unwrap_err(), WriteError::Refused(_)));
    assert!(bucket.get("").await.is_err());
    assert_eq!(client.counts().asked, asked);
    let largest = bucket.put("k", vec![0; 1 << 20], Over::Blind).await;
    assert_eq!(largest.unwrap().siblings, 1);
}

#[tokio::test]
async fn nobody_there_is_said_at_once_and_another_cluster_too() {
    let nobody = Client::connect(Settings::of("tests", ["127.0.0.1:1"])).await;
    let Err(ConnectError::NotMet(trouble)) = nobody else {
        panic!("somebody is there");
    };
    assert_eq!(trouble, Trouble::NoConnection);
    let cluster = Cluster::start(1).await;
    let settings = Settings::of("another", [cluster.nodes[0].address.to_string()]);
    let Err(ConnectError::NotMet(Trouble::Ended(_))) = Client::connect(settings).await else {
        panic!("it is let in");
    };
}

#[tokio::test]
async fn whoever_looks_after_a_cluster_is_told_what_came_of_it() {
    let cluster = Cluster::start(3).await;
    let settings = cluster.settings(&[0]);
    let node = settings.nodes[0].clone();
    let admin = Admin::<Tokio>::connect(node.clone(), settings.cluster).await;
    let mut admin = admin.unwrap();
    let status = admin.tell(&Command::Status).await.unwrap();
    assert_eq!(status["settled"], true, "{status}");
    // Nothing was planned.
    let refused = admin.tell(&Command::Commit { anyway: false }).await;
    assert!(matches!(refused, Err(AdminError::Refused(_))));
    let another = Admin::<Tokio>::connect(node, ClusterId::named("another")).await;
    let Err(AdminError::Trouble(Trouble::Ended(_))) = another else {
        panic!("it is let in");
    };
}
