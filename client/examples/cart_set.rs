//! The same cart as a set that the cluster merges: nothing is read to add an item, and what was removed
//! stays away.
//!
//! `dynamo demo`, then `cargo run -p dynamo-client --example cart_set`

use std::error::Error;

use bytes::Bytes;
use dynamo_client::{Client, Settings};

pub(crate) async fn shop(client: &Client) -> Result<Vec<Bytes>, Box<dyn Error>> {
    let cart = client.set("carts", "alice");
    for item in ["tea", "milk", "rice"] {
        cart.add(item).await?;
    }
    cart.remove("milk").await?;
    Ok(cart.elements().await?)
}

#[allow(dead_code, reason = "a test runs the example without it")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::connect(Settings::of("demo", ["127.0.0.1:7401"])).await?;
    println!("{:?}", shop(&client).await?);
    Ok(())
}
