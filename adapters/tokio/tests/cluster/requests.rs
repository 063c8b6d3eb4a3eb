use bytes::Bytes;
use dynamo_proto::node::{Failure, Mode, Response};
use dynamo_proto::version::{Content, ContextError};

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_at_one_node_is_read_and_deleted_at_the_others() {
    within_a_minute(async {
        let cluster = Cluster::of(3).await;
        let (mut first, mut second, mut third) = (
            cluster.client(0).await,
            cluster.client(1).await,
            cluster.client(2).await,
        );
        assert!(read(&mut second, "cart").await.siblings.is_absent());
        write(&mut first, "cart", Mode::Blind, Bytes::from("tea")).await;

        let got = read(&mut second, "cart").await;
        assert_eq!(values(&got), ["tea"]);
        write(&mut third, "cart", after(&got), None).await;
        assert!(read(&mut first, "cart").await.siblings.is_deleted());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blind_writes_are_siblings_until_a_write_that_has_seen_them() {
    within_a_minute(async {
        let cluster = Cluster::of(3).await;
        let (mut first, mut second) = (cluster.client(0).await, cluster.client(1).await);
        write(&mut first, "cart", Mode::Blind, Bytes::from("tea")).await;
        let written = write(&mut second, "cart", Mode::Blind, Bytes::from("milk")).await;
        assert_eq!(written.context, None, "it has not seen the tea");

        let got = read(&mut first, "cart").await;
        assert_eq!(values(&got), ["milk", "tea"]);
        write(&mut first, "cart", after(&got), Bytes::from("both")).await;
        assert_eq!(values(&read(&mut second, "cart").await), ["both"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_of_a_large_cluster_finds_every_key() {
    within_a_minute(async {
        let cluster = Cluster::of(6).await;
        for at in 0..6 {
            let mut client = cluster.client(at).await;
            for number in 0..8 {
                let name = format!("from {at}, {number}");
                write(
                    &mut client,
                    &name,
                    Mode::Overwrite,
                    Bytes::from(name.clone()),
                )
                .await;
            }
        }
        for at in 0..6 {
            let mut client = cluster.client(5 - at).await;
            for number in 0..8 {
                let name = format!("from {at}, {number}");
                assert_eq!(values(&read(&mut client, &name).await), [name]);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_value_travels() {
    within_a_minute(async {
        let cluster = Cluster::of(3).await;
        let large = Bytes::from(vec![7; 1 << 20]);
        let mut client = cluster.client(0).await;
        write(&mut client, "large", Mode::Blind, large.clone()).await;
        let mut other = cluster.client(1).await;
        assert_eq!(values(&read(&mut other, "large").await), [large]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_of_another_key_is_refused() {
    within_a_minute(async {
        let cluster = Cluster::of(3).await;
        let mut client = cluster.client(0).await;
        write(&mut client, "cart", Mode::Blind, Bytes::from("tea")).await;
        let got = read(&mut client, "cart").await;
        let misapplied = put("purse", after(&got), Content::plain("tea"));
        assert_eq!(
            client.ask(misapplied, PATIENCE).await.unwrap(),
            Response::Failed(Failure::Context(ContextError::Forged))
        );
    })
    .await;
}
