//! What listings show once nothing changes any more.

use std::collections::BTreeSet;

use dynamo_proto::node::{Listing, Operation, Options, Scope};
use dynamo_proto::store::Span;

use super::*;

/// So few keys a page that there are many pages.
const PAGE: u16 = 3;

/// More pages than any run has keys and partitions to be asked about.
const MOST_PAGES: usize = 10_000;

impl World<'_> {
    /// Whichever node is asked lists exactly the keys that have values, each once, and their
    /// buckets.
    pub(super) fn check_listings(&mut self) {
        let serves = |machine: &Machine| {
            let node = machine.node.as_ref();
            !machine.is_gone && node.is_some_and(|node| node.membership().is_serving())
        };
        let serving = (0..self.machines.len()).filter(|node| serves(&self.machines[*node]));
        let serving: Vec<usize> = serving.collect();
        let node = *self.dice.pick(&serving);
        let Some(first) = self.keys.keys().next().cloned() else {
            return;
        };
        let there = self.keys.iter().filter(|(_, at)| self.has_value(**at));
        let there: Vec<Key> = there.map(|(key, _)| key.clone()).collect();
        for (key, scope) in [(first.clone(), Scope::Bucket), (first, Scope::All)] {
            let is_wanted = |other: &&Key| match scope {
                Scope::All => true,
                _ => other.bucket_type() == key.bucket_type() && other.bucket() == key.bucket(),
            };
            let wanted: BTreeSet<Key> = there.iter().filter(is_wanted).cloned().collect();
            let Some(listed) = self.list(node, &key, scope) else {
                return;
            };
            let shown: BTreeSet<Key> = listed.iter().cloned().collect();
            if shown.len() < listed.len() {
                let what = format!("node {node} lists some of {} keys twice", listed.len());
                return self.fail("listing", what);
            }
            if shown != wanted {
                let extra: Vec<_> = shown.difference(&wanted).collect();
                let missed: Vec<_> = wanted.difference(&shown).collect();
                let what = format!(
                    "node {node} lists {extra:?}, which have no value, and misses {missed:?}"
                );
                return self.fail("listing", what);
            }
            self.counters.add(Count::Listed, wanted.len() as u64);
        }
    }

    /// Whether a key has a value where it should: by now all replicas have the same.
    fn has_value(&self, key: usize) -> bool {
        let at = self.address(key);
        self.primaries(key).iter().any(|node| {
            let disk = &self.machines[*node].disk;
            match disk.read(Space::Objects, &at) {
                ReadOutcome::Found(bytes) => {
                    Record::decode(&at, bytes).is_ok_and(|record| !record.siblings().is_deleted())
                }
                _ => false,
            }
        })
    }

    /// All that a node lists, page by page; nothing if something is wrong with it.
    fn list(&mut self, node: usize, key: &Key, scope: Scope) -> Option<Vec<Key>> {
        let (mut listed, mut span) = (Vec::new(), Span::all());
        for page in 0..MOST_PAGES {
            let listing = Listing {
                scope,
                span: span.clone(),
                most: PAGE,
            };
            let request = Request {
                id: RequestId(u128::MAX - page as u128),
                is_retry: false,
                key: key.clone(),
                operation: Operation::List(listing),
                options: Options::default(),
            };
            match self.ask_and_wait(node, request) {
                Some(Response::Listed(page)) => {
                    listed.extend(page.keys);
                    let Some(rest) = page.rest else {
                        return Some(listed);
                    };
                    if rest <= *span.first() {
                        self.fail("listing", format!("node {node} goes on where it began"));
                        return None;
                    }
                    span = Span::new(rest, None);
                }
                // With tiny limits it may have too much to do.
                Some(Response::Failed(Failure::Overloaded)) => {
                    self.settle(Duration::from_millis(200));
                }
                None if self.violation.is_some() => return None,
                other => {
                    self.fail("listing", format!("node {node} answers {other:?}"));
                    return None;
                }
            }
        }
        self.fail("listing", format!("node {node} never comes to the end"));
        None
    }
}
