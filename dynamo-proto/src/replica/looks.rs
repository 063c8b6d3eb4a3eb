//! Looking through a node's own records for whoever lists keys.

use alloc::vec::Vec;

use super::{Replica, Walker};
use crate::node::{Env, Listed, Listing, MOST_LISTED, Notice, Scope, Slot, Slots};
use crate::store::{Address, Item, Limit, Page, ScanFailed, Span};
use crate::version::Record;
use crate::wire::{Message, Ticket};
use crate::{Key, NodeId, Token};

/// Most that are under way side by side.
const ABREAST: usize = 4;

/// So much is looked through at a time, whatever of it is to be shown.
const BYTES: usize = 256 << 10;

/// Names of so many bytes are shown at a time.
const NAMES: usize = 128 << 10;

/// Questions of those who list keys, while the store looks.
pub(crate) struct Looks(Slots<Look>);

struct Look {
    asker: Lister,
    key: Key,
    listing: Listing,
}

/// Who lists keys, and at which of its questions it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lister {
    /// A request of this node.
    Request(Slot, u32),
    /// Another node.
    Peer(NodeId, Ticket, u32),
}

impl Looks {
    pub(crate) fn new() -> Self {
        Self(Slots::new())
    }

    /// Somebody asks. An answer that goes on where the question began says that this is not the time,
    /// or not the node, to ask. Returns it if it is for this node and known at once.
    pub(crate) fn ask(
        &mut self,
        asker: Lister,
        key: Key,
        listing: Listing,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) -> Option<(Slot, u32, Listed)> {
        let is_busy = replica.load() > env.config.capacity.peers / 2
            || env.health.is_store_slow(env.now.mono)
            || self.0.len() >= ABREAST;
        if is_busy || !is_on_duty(&key, &listing, env) {
            return tell(asker, nothing(&listing), env);
        }
        let limit = Limit {
            items: 4 * usize::from(listing.most.clamp(1, MOST_LISTED)),
            bytes: BYTES,
        };
        let span = listing.span.clone();
        let slot = self.0.insert(Look {
            asker,
            key,
            listing,
        });
        replica.walk((Walker::Listing, slot), span, limit, env);
        None
    }

    /// What is here.
    pub(crate) fn found(
        &mut self,
        slot: Slot,
        page: Result<Page, ScanFailed>,
        env: &mut Env<'_>,
    ) -> Option<(Slot, u32, Listed)> {
        let Look {
            asker,
            key,
            listing,
        } = self.0.remove(slot)?;
        let Ok(page) = page else {
            return tell(asker, nothing(&listing), env);
        };
        let Listing { scope, most, .. } = listing;
        let most = most.clamp(1, MOST_LISTED).into();
        let mut rest = page.rest.map(|rest| rest.first().clone());
        let (mut keys, mut bytes) = (Vec::<Key>::new(), 0);
        for item in page.items {
            let first = item.first().clone();
            let key = match look(item, scope.prefix(&key), env) {
                Seen::Key(key) => key,
                Seen::Nothing => continue,
                // Whatever is in there, it may be there.
                Seen::Unknown => {
                    rest = Some(first);
                    break;
                }
            };
            if keys.iter().any(|shown| scope.is_shown_by(&key, shown)) {
                continue;
            }
            bytes += key.encoded().len();
            if keys.len() == most || (bytes > NAMES && !keys.is_empty()) {
                rest = Some(first);
                break;
            }
            keys.push(key);
        }
        tell(asker, Listed { keys, rest }, env)
    }
}

/// What a scan came upon.
enum Seen {
    Key(Key),
    Nothing,
    Unknown,
}

fn look(item: Item, prefix: &[u8], env: &mut Env<'_>) -> Seen {
    let (at, is_there) = match item {
        Item::Found { at, .. } if !at.name.starts_with(prefix) => return Seen::Nothing,
        Item::Found { at, bytes } => match Record::decode(&at, bytes) {
            Ok(record) => {
                let is_there = !planted!(DeletedListed ? false; record.siblings().is_deleted());
                (at, is_there && !record.siblings().is_absent())
            }
            // It can be repaired: that it is damaged does not say that it is not there.
            Err(_) => {
                env.notify(Notice::Damaged);
                (at, true)
            }
        },
        Item::Corrupt(within) => match within.into_one() {
            Some(at) if at.name.starts_with(prefix) => (at, true),
            Some(_) => return Seen::Nothing,
            None => return Seen::Unknown,
        },
    };
    match Key::decode(at.name) {
        Ok(key) if is_there => Seen::Key(key),
        Ok(_) | Err(_) => Seen::Nothing,
    }
}

/// How many replicas all the keys have that are listed.
pub(crate) fn replicas(scope: Scope, key: &Key, env: &Env<'_>) -> usize {
    let buckets = &env.view.buckets;
    let n = match scope {
        Scope::Bucket | Scope::Buckets => buckets.of(key).n,
        Scope::All => {
            let all = buckets.all().map(|bucket| bucket.n);
            all.min().unwrap_or(1)
        }
    };
    n.into()
}

/// Whether this node is on duty for all that is asked for: what it does not have is not there.
fn is_on_duty(key: &Key, listing: &Listing, env: &Env<'_>) -> bool {
    if !env.view.was_moved {
        return true;
    }
    let n = replicas(listing.scope, key, env);
    let last = last_token(&listing.span);
    let mut next = Some(Token(listing.span.first().position));
    while let Some(token) = next.filter(|token| *token <= last) {
        if !env.view.is_on_duty(env.me(), token, n) {
            return false;
        }
        // As far as no ring has other owners.
        let ends = env.view.rings().map(|ring| {
            let range = ring.range(ring.partition(token));
            if range.last < token {
                u128::MAX
            } else {
                range.last.0
            }
        });
        let end = ends.min().unwrap_or(u128::MAX);
        next = end.checked_add(1).map(Token);
    }
    true
}

/// The last token that a span has anything of.
fn last_token(span: &Span) -> Token {
    Token(match span.end() {
        None => u128::MAX,
        Some(end) if end.name.is_empty() => end.position.saturating_sub(1),
        Some(end) => end.position,
    })
}

/// Not now, or not here.
fn nothing(listing: &Listing) -> Listed {
    let rest: Address = listing.span.first().clone();
    Listed {
        keys: Vec::new(),
        rest: Some(rest),
    }
}

fn tell(asker: Lister, listed: Listed, env: &mut Env<'_>) -> Option<(Slot, u32, Listed)> {
    match asker {
        Lister::Request(slot, question) => Some((slot, question, listed)),
        Lister::Peer(from, ticket, question) => {
            let message = Message::Listed {
                ticket,
                question,
                listed,
            };
            env.send(from, message);
            None
        }
    }
}
