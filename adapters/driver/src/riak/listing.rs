//! Listings: the keys of a bucket, and the buckets of a type, page by page.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use dynamo_proto::node::{Listing, MOST_LISTED, Operation, Scope};
use dynamo_proto::store::Span;
use dynamo_proto::{Key, node};

use super::exchange::Next;
use super::messages::{BUCKETS, KEYS, Listed, write};
use super::refusal::Refusal;

/// Buckets that are remembered as told: a listing of more is refused, since none is told twice.
const MOST_BUCKETS: usize = 10_000;

/// A listing under way.
#[derive(Debug)]
pub(super) struct List {
    scope: Scope,
    /// Whether pages are told as they come, or all at once in one frame.
    is_streamed: bool,
    span: Span,
    /// Buckets that were told, or are to be.
    told: BTreeSet<Bytes>,
}

impl List {
    pub(super) fn keys() -> Self {
        Self::new(Scope::Bucket, true)
    }

    pub(super) fn buckets(is_streamed: bool) -> Self {
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

    pub(super) fn next(&self) -> Operation {
        Operation::List(Listing {
            scope: self.scope,
            span: self.span.clone(),
            most: MOST_LISTED,
        })
    }

    /// Tells a page, and asks for the next one if there is one.
    pub(super) fn page(&mut self, page: node::Listed, out: &mut BytesMut) -> Result<Next, Refusal> {
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
        let code = match self.scope {
            Scope::Buckets => BUCKETS,
            Scope::Bucket | Scope::All => KEYS,
        };
        let is_last = page.rest.is_none();
        if self.is_streamed {
            if is_last || !names.is_empty() {
                let done = is_last.then_some(true);
                write(code, &Listed { names, done }, out);
            }
        } else if is_last {
            let names = std::mem::take(&mut self.told).into_iter().collect();
            write(code, &Listed { names, done: None }, out);
        }
        Ok(match page.rest {
            None => Next::Done,
            Some(rest) => {
                self.span = self.span.starting_at(rest);
                Next::Ask(self.next())
            }
        })
    }
}
