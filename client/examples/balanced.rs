//! Behind a load balancer: one address, and whichever node answers there will do.
//!
//! `dynamo demo`, then `cargo run -p dynamo-client --example balanced`

use std::error::Error;

use dynamo_client::{Client, Counts, Over, Settings, Way};

pub(crate) fn settings(cluster: &str, balancer: &str) -> Settings {
    Settings {
        way: Way::ThroughAny,
        ..Settings::of(cluster, [balancer])
    }
}

pub(crate) async fn work(client: &Client) -> Result<Counts, Box<dyn Error>> {
    let notes = client.bucket("notes");
    notes.put("today", "shop", Over::Overwrite).await?;
    let note = notes.get("today").await?.value().one()?;
    assert_eq!(note.as_deref(), Some(&b"shop"[..]));
    Ok(client.counts())
}

#[allow(dead_code, reason = "a test runs the example without it")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::connect(settings("demo", "127.0.0.1:7401")).await?;
    println!("{:?}", work(&client).await?);
    Ok(())
}
