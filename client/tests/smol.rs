//! The same client on smol.
#![cfg(feature = "smol")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::Cluster;
use dynamo_client::{Client, Over};

#[test]
fn a_client_on_smol_reads_what_it_wrote() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cluster = runtime.block_on(Cluster::start(3)); // its nodes are on tokio
    smol::block_on(async {
        let client = Client::connect_on_smol(cluster.settings(&[0, 1]))
            .await
            .unwrap();
        let carts = client.bucket("carts");
        for number in 0..50 {
            let key = number.to_string();
            let wrote = carts.put(&key, "tea", Over::Blind).await.unwrap();
            carts.put(&key, "milk", wrote.seen.unwrap()).await.unwrap();
            let value = carts.get(&key).await.unwrap().value().one().unwrap();
            assert_eq!(value.as_deref(), Some(&b"milk"[..]));
        }
        assert_eq!(client.counter("c", "k").add(2).await.unwrap(), Some(2));
    });
}
