//! The examples, run.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

#[path = "../examples/balanced.rs"]
mod balanced;
#[path = "../examples/cart_set.rs"]
mod cart_set;
#[path = "../examples/cart_union.rs"]
mod cart_union;
#[path = "../examples/own_merge.rs"]
mod own_merge;
#[path = "../examples/session_store.rs"]
mod session_store;

use common::{Cluster, NAME};
use dynamo_client::Client;

#[tokio::test]
async fn every_example_does_what_it_says() {
    let cluster = Cluster::start(5).await;
    let client = Client::connect(cluster.settings(&[0])).await.unwrap();
    let cart = cart_union::shop(&client).await.unwrap();
    assert_eq!(
        cart,
        ["milk", "rice", "salt", "tea"].map(String::from).into()
    );
    assert_eq!(cart_set::shop(&client).await.unwrap(), ["rice", "tea"]);
    let visitor = session_store::visit(&client).await.unwrap();
    assert_eq!((visitor.pages, visitor.name.as_deref()), (2, Some("Alice")));
    let balancer = cluster.nodes[2].address.to_string();
    let behind = Client::connect(balanced::settings(NAME, &balancer))
        .await
        .unwrap();
    assert_eq!(balanced::work(&behind).await.unwrap().connected, 1);
    let merged = own_merge::examine().unwrap();
    assert_eq!(
        merged,
        [("rice".to_string(), 3), ("tea".to_string(), 2)].into()
    );
}
