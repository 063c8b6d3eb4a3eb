use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::node::{Failure, Mode, Options, Request, Response};
use dynamo_proto::version::Content;
use dynamo_tokio::AskError;

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_nodes_are_enough() {
    within_a_minute(async {
        let mut cluster = Cluster::of(3).await;
        let mut client = cluster.client(0).await;
        write(&mut client, "before", Mode::Blind, Bytes::from("tea")).await;
        cluster.stop(2).await;

        assert_eq!(values(&read(&mut client, "before").await), ["tea"]);
        write(&mut client, "after", Mode::Blind, Bytes::from("milk")).await;
        let mut other = cluster.client(1).await;
        assert_eq!(values(&read(&mut other, "after").await), ["milk"]);

        let options = Options {
            w: Some(3),
            timeout: Some(Duration::from_millis(300)),
            ..Options::default()
        };
        let all = Request {
            options,
            ..put("all", Mode::Blind, Content::plain("tea"))
        };
        let answer = client.ask(all, PATIENCE).await.unwrap();
        assert_eq!(answer, Response::Unknown, "it is there, and not at three");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_nodes_is_too_few() {
    within_a_minute(async {
        let mut cluster = Cluster::of(3).await;
        cluster.stop(1).await;
        cluster.stop(2).await;
        let mut client = cluster.client(0).await;
        let options = Options {
            timeout: Some(Duration::from_millis(300)),
            ..Options::default()
        };
        let asked = Request {
            options,
            ..get("cart")
        };
        assert_eq!(
            client.ask(asked, PATIENCE).await.unwrap(),
            Response::Failed(Failure::TooFew { need: 2, got: 1 })
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restarted_node_forgot_is_read_from_the_others() {
    within_a_minute(async {
        let mut cluster = Cluster::of(3).await;
        let mut client = cluster.client(1).await;
        for number in 0..20 {
            let name = format!("key {number}");
            write(&mut client, &name, Mode::Blind, Bytes::from("tea")).await;
        }
        cluster.stop(0).await;
        cluster.restart(0).await;

        let mut client = cluster.client(0).await;
        for number in 0..20 {
            let name = format!("key {number}");
            let got = read(&mut client, &name).await;
            assert_eq!(values(&got), ["tea"]);
            write(&mut client, &name, after(&got), Bytes::from("milk")).await;
            assert_eq!(values(&read(&mut client, &name).await), ["milk"]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_a_stopped_node_is_told() {
    within_a_minute(async {
        let mut cluster = Cluster::of(3).await;
        let mut client = cluster.client(0).await;
        cluster.stop(0).await;
        let answer = client.ask(get("cart"), PATIENCE).await;
        assert!(matches!(answer, Err(AskError::Lost(_))), "{answer:?}");
    })
    .await;
}
