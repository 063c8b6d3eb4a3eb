//! Listing keys, page by page, and exporting what they hold.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use dynamo_client::{Answer, Ask, Client, Failed, Settings, Way};
use dynamo_proto::node::{Failure, Got, Listed, Listing, MOST_LISTED, Operation, Options, Scope};
use dynamo_proto::store::{Address, Span};
use dynamo_proto::{Key, Limits};

use crate::ask::{self, BUCKET_TYPE};
use crate::cli::To;
use crate::error::Error;
use crate::hex;
use crate::print;

#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// The names of the buckets instead of keys. One that has keys in several pages is named again.
    #[arg(long, conflicts_with_all = ["all", "values"])]
    buckets: bool,
    /// The keys of all buckets.
    #[arg(long, conflicts_with = "bucket")]
    all: bool,
    /// What the keys hold too, as `get` prints it: an export.
    #[arg(long)]
    values: bool,
    /// One of so many equal parts of the ring, the first being 1: several can be listed at a time.
    #[arg(long, value_name = "I/OF", value_parser = part)]
    part: Option<(u32, u32)>,
    /// No more than so many; then it is said where to go on.
    #[arg(long, value_name = "KEYS")]
    most: Option<u64>,
    /// Where an earlier listing said to go on.
    #[arg(long, value_name = "HEX", value_parser = place)]
    from: Option<Address>,
    /// How many replicas of each key are asked. [default: as many as for a read]
    #[arg(long, value_name = "N")]
    r: Option<u8>,
    #[command(flatten)]
    to: To,
}

/// Longer than a node takes for a page.
const PATIENCE: Duration = Duration::from_secs(10);

/// A node that has too much to do is asked again after a while, so many times in a row.
const PAUSE: Duration = Duration::from_millis(500);
const TRIES: u32 = 20;

/// Any key of a bucket stands for it.
const ANY: &str = "any";

impl Keys {
    pub(crate) async fn run(&self) -> Result<(), Error> {
        let node = Node::connect(&self.to).await?;
        let any = Key::new(BUCKET_TYPE, &self.to.bucket, ANY, &Limits::default())?;
        let scope = match (self.buckets, self.all) {
            (true, _) => Scope::Buckets,
            (_, true) => Scope::All,
            _ => Scope::Bucket,
        };
        let mut span = self.part.map_or_else(Span::all, of_part);
        if let Some(from) = &self.from {
            span = span.starting_at(from.clone());
        }
        let mut left = self.most.unwrap_or(u64::MAX);
        let mut last_bucket = Bytes::new();
        while left > 0 {
            let listing = Listing {
                scope,
                span: span.clone(),
                most: u16::try_from(left).unwrap_or(MOST_LISTED).min(MOST_LISTED),
            };
            let Listed { keys, rest } = node.list(&any, listing, self.r).await?;
            left -= keys.len() as u64;
            for key in &keys {
                if self.buckets {
                    let bucket = Bytes::copy_from_slice(key.bucket());
                    if last_bucket != bucket {
                        print::out(&print::bucket(self.to.json, key))?;
                        last_bucket = bucket;
                    }
                } else if self.values {
                    let got = node.get(key).await?;
                    // It may have been deleted since it was listed.
                    if !got.siblings.is_deleted() {
                        print::out(&print::exported(self.to.json, key, &got))?;
                    }
                } else {
                    print::out(&print::key(self.to.json, self.all, key))?;
                }
            }
            let Some(rest) = rest else {
                return Ok(());
            };
            span = span.starting_at(rest);
            if span.is_empty() {
                return Ok(());
            }
        }
        eprintln!(
            "dynamo: there may be more: --from {}",
            written(span.first())
        );
        Ok(())
    }
}

/// A node, for many requests: it alone is asked, whoever is on duty.
struct Node(Client);

impl Node {
    async fn connect(to: &To) -> Result<Self, Error> {
        let settings = Settings {
            way: Way::ThroughAny,
            timeout: PATIENCE,
            ..Settings::of(&to.cluster, [to.node.to_string()])
        };
        ask::connect(to.node, settings).await.map(Self)
    }

    async fn list(&self, key: &Key, listing: Listing, r: Option<u8>) -> Result<Listed, Error> {
        let options = Options {
            r,
            ..Options::default()
        };
        match self.ask(key, Operation::List(listing), options).await? {
            Answer::Listed(listed) => Ok(listed),
            _ => Err(Error::Confused),
        }
    }

    async fn get(&self, key: &Key) -> Result<Got, Error> {
        match self.ask(key, Operation::read(), Options::default()).await? {
            Answer::Got(found) => ask::got(found),
            _ => Err(Error::Confused),
        }
    }

    /// Asks again where the node has too much else to do.
    async fn ask(
        &self,
        key: &Key,
        operation: Operation,
        options: Options,
    ) -> Result<Answer, Error> {
        for _ in 1..TRIES {
            let ask = Ask {
                key: key.clone(),
                operation: operation.clone(),
                options,
                is_driven: false,
            };
            match self.0.ask(ask).await {
                Answer::Failed(Failed::Node(Failure::Overloaded)) => {
                    tokio::time::sleep(PAUSE).await;
                }
                Answer::Failed(failed) => return Err(failed.into()),
                answer => return Ok(answer),
            }
        }
        Err(Failure::Overloaded.into())
    }
}

fn of_part((part, of): (u32, u32)) -> Span {
    let size = u128::MAX / u128::from(of);
    let first = size * u128::from(part - 1);
    let last = match part == of {
        true => u128::MAX,
        false => first + size - 1,
    };
    Span::of_positions(first..=last)
}

fn part(text: &str) -> Result<(u32, u32), String> {
    let numbers = text.split_once('/').and_then(|(part, of)| {
        let (part, of) = (part.parse().ok()?, of.parse().ok()?);
        (1..=of).contains(&part).then_some((part, of))
    });
    numbers.ok_or_else(|| "a part is as in 3/16: the third of sixteen".to_owned())
}

fn written(at: &Address) -> String {
    format!("{:032x}{}", at.position, hex::encode(&at.name))
}

fn place(text: &str) -> Result<Address, String> {
    let (position, name) = text.split_at_checked(32).ok_or("that is too short")?;
    Ok(Address {
        position: u128::from_str_radix(position, 16).map_err(|error| error.to_string())?,
        name: hex::decode(name).ok_or("that is not hexadecimal")?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_ring_and_do_not_meet() {
        for of in [1, 2, 3, 16, 1000] {
            let parts: Vec<_> = (1..=of).map(|it| of_part((it, of))).collect();
            assert_eq!(parts[0].first(), Span::all().first());
            assert_eq!(parts.last().expect("one at least").end(), None);
            let meet = |pair: &[Span]| pair[0].end() == Some(pair[1].first());
            assert!(parts.windows(2).all(meet));
        }
        assert_eq!(part("3/16"), Ok((3, 16)));
        for none in ["0/4", "5/4", "3", "3/", "a/b"] {
            assert!(part(none).is_err(), "{none}");
        }
    }

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let at = Address {
            position: 7 << 100,
            name: "cart".into(),
        };
        assert_eq!(place(&written(&at)), Ok(at));
        assert!(place("12").is_err());
    }
}
