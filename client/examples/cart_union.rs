//! The paper's shopping cart: items side by side are united, so no item is ever lost; one that was
//! removed on one side of a cut may come back.
//!
//! `dynamo demo`, then `cargo run -p dynamo-client --example cart_union`

use std::collections::BTreeSet;
use std::error::Error;

use dynamo_client::{Client, Settings, merge};

type Cart = BTreeSet<String>;

pub(crate) async fn shop(client: &Client) -> Result<Cart, Box<dyn Error>> {
    let carts = client.bucket("carts").typed::<Cart>();
    for item in ["tea", "milk"] {
        let add = |cart: Option<Cart>| {
            let mut cart = cart.unwrap_or_default();
            cart.insert(item.into());
            cart
        };
        carts.update("alice", merge::union, add).await?;
    }
    // Two browsers that have read the same cart, and do not know of each other.
    let seen = carts.get("alice").await?;
    let with = |item: &str| [item, "tea", "milk"].map(String::from).into();
    carts.put("alice", &with("rice"), &seen).await?;
    carts.put("alice", &with("salt"), &seen).await?;
    // Whoever comes next merges what both have left.
    let cart = carts
        .update("alice", merge::union, Option::unwrap_or_default)
        .await?;
    Ok(cart)
}

#[allow(dead_code, reason = "a test runs the example without it")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::connect(Settings::of("demo", ["127.0.0.1:7401"])).await?;
    println!("{:?}", shop(&client).await?);
    Ok(())
}
