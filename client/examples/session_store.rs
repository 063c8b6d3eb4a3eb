//! A web application's sessions: whoever logs in sees it on the next page, whatever node answers there.
//!
//! `dynamo demo`, then `cargo run -p dynamo-client --example session_store`

use std::error::Error;

use dynamo_client::{Client, ReadError, Settings, merge};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Visitor {
    /// First, so that of two side by side the newer is the greater.
    pub(crate) pages: u32,
    pub(crate) name: Option<String>,
}

pub(crate) async fn visit(client: &Client) -> Result<Visitor, Box<dyn Error>> {
    let session = client.session();
    let visitors = session.bucket("visitors").typed::<Visitor>();
    let newest = |all: Vec<Visitor>| {
        let nobody = Visitor {
            pages: 0,
            name: None,
        };
        merge::max(all).unwrap_or(nobody)
    };
    let log_in = |_| Visitor {
        pages: 1,
        name: Some("Alice".into()),
    };
    visitors.update("cookie-17", newest, log_in).await?;
    let next_page = |visitor: Option<Visitor>| {
        let mut visitor = visitor.expect("the session has seen the log-in");
        visitor.pages += 1;
        visitor
    };
    visitors.update("cookie-17", newest, next_page).await?;
    match visitors.get("cookie-17").await {
        Ok(read) => Ok(read.value.merge(newest).ok_or("logged out")?),
        // No replica that is reached has seen the log-in: better to say so than to show none.
        Err(error @ ReadError::Failed(_)) => Err(error.into()),
        Err(error) => Err(error.into()),
    }
}

#[allow(dead_code, reason = "a test runs the example without it")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::connect(Settings::of("demo", ["127.0.0.1:7401"])).await?;
    println!("{:?}", visit(&client).await?);
    Ok(())
}
