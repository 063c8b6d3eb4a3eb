//! Listings: the keys of a bucket, and the buckets of a type, page by page.

use std::collections::BTreeSet;

use bytes::Bytes;
use dynamo_proto::node::{Listing, MOST_LISTED, Operation, Scope};
use dynamo_proto::store::Span;
use dynamo_proto::{Key, node};

use super::exchange::{Next, Said};
use super::messages::Listed;
use super::refusal::Refusal;

/// Buckets that are remembered as told: a listing of more is refused, since none is told twice.
const MOST_BUCKETS: usize = 10_000;

/// A listing under way.
#[derive(Debug)]
pub(crate) struct List {
    scope: Scope,
    /// Whether pages are told as they come, or all at once in one frame.
    is_streamed: bool,
    span: Span,
    /// Buckets that were told, or are to be.
    told: BTreeSet<Bytes>,
}

impl List {
    pub(crate) fn keys() -> Self {
        Self::new(Scope::Bucket, true)
    }

    pub(crate) fn buckets(is_streamed: bool) -> Self {
        Self::new(Scope::Buckets, is_streamed)
    }

    fn new(scope: Scope, is_streamed: bool) -> Self {
        Self {
            scope,
            is_streamed,
            span: Span::all(),
            told: BTreeSet::new(),
        }
    }

    /// Whether it is of a bucket's keys.
    pub(crate) fn is_of_keys(&self) -> bool {
        self.scope == Scope::Bucket
    }

    pub(crate) fn next(&self) -> Operation {
        Operation::List(Listing {
            scope: self.scope,
            span: self.span.clone(),
            most: MOST_LISTED,
        })
    }

    /// Tells a page, and asks for the next one if there is one.
    pub(crate) fn page(&mut self, page: node::Listed) -> Result<Next, Refusal> {
        let names = match self.scope {
            Scope::Buckets => {
                let mut new = Vec::new();
                for key in &page.keys {
                    let bucket = Bytes::copy_from_slice(key.bucket());
                    if self.told.insert(bucket.clone()) {
                        new.push(bucket);
                    }
                }
                if self.told.len() > MOST_BUCKETS {
                    let text = format!("more than {MOST_BUCKETS} buckets: list them by key");
                    return Err(Refusal::new(text));
                }
                new
            }
            Scope::Bucket | Scope::All => {
                let name = |key: &Key| Bytes::copy_from_slice(key.key());
                page.keys.iter().map(name).collect()
            }
        };
        let Some(rest) = page.rest else {
            let listed = match self.is_streamed {
                true => Listed {
                    names,
                    done: Some(true),
                },
                false => Listed {
                    names: std::mem::take(&mut self.told).into_iter().collect(),
                    done: None,
                },
            };
            return Ok(Next::Say(self.said(listed)));
        };
        self.span = self.span.starting_at(rest);
        let next = self.next();
        Ok(match self.is_streamed && !names.is_empty() {
            true => Next::Tell(self.said(Listed { names, done: None }), next),
            false => Next::Ask(next),
        })
    }

    fn said(&self, listed: Listed) -> Said {
        match self.scope {
            Scope::Buckets => Said::Buckets(listed),
            Scope::Bucket | Scope::All => Said::Keys(listed),
        }
    }
}
