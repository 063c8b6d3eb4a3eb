//! The other nodes: what they have heard, what they keep, and what they say.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use dynamo_proto::node::{Event, Failure, Got, Listed, Response, Unsent, Written};
use dynamo_proto::store::Address;
use dynamo_proto::version::{
    Births, Boot, Content, Context, Record, RequestId, Retirements, Rules, Siblings, Write,
};
use dynamo_proto::wire::{Fetched, Message, NotStored, Refusal, Ticket};
use dynamo_proto::{Buckets, Durability, Instant, Key, Limits, NodeId, WallTime};

use super::ME;
use super::check::Ledger;
use super::draw;
use super::site::{self, MOST_MEMBERS};

/// The names of requests that the node under test was given begin so; peers' own do not.
pub(super) const OURS: u128 = 0x0a5c_ed00 << 96;

/// So much of each kind is remembered.
const REMEMBERED: usize = 16;

pub(super) struct Peers {
    buckets: Arc<Buckets>,
    births: BTreeMap<NodeId, Births>,
    records: BTreeMap<(NodeId, Key), Record>,
    written: u128,
    /// What the node asked, and whom.
    heard: VecDeque<(NodeId, Message)>,
    /// States of keys that the node, or a peer, once had.
    states: VecDeque<(Key, Siblings)>,
    contexts: Vec<Bytes>,
}

impl Peers {
    pub(super) fn new(buckets: &Arc<Buckets>) -> Self {
        Self {
            buckets: buckets.clone(),
            births: BTreeMap::new(),
            records: BTreeMap::new(),
            written: 0,
            heard: VecDeque::new(),
            states: VecDeque::new(),
            contexts: Vec::new(),
        }
    }

    /// Contexts that clients have been given.
    pub(super) fn contexts(&self) -> &[Bytes] {
        &self.contexts
    }

    /// A member other than the node, or a stranger.
    pub(super) fn any(&self, bytes: &mut Unstructured<'_>) -> Result<NodeId> {
        Ok(NodeId(bytes.int_in_range(ME.0 + 1..=MOST_MEMBERS + 1)?))
    }

    /// The node says something to some of them.
    pub(super) fn hear(&mut self, to: &[NodeId], message: &Message) {
        match message {
            Message::Store { key, siblings, .. } => {
                remember(&mut self.states, (key.clone(), siblings.clone()));
            }
            Message::Fetch { .. } | Message::Request { .. } | Message::List { .. } => {}
            Message::Response { response, .. } => return self.overhear(response),
            _ => return,
        }
        for peer in to {
            remember(&mut self.heard, (*peer, message.clone()));
        }
    }

    /// A client is answered: its context will come back.
    pub(super) fn overhear(&mut self, response: &Response) {
        let context = match response {
            Response::Got(got) => Some(&got.context.sealed),
            Response::Put(written) => written.context.as_ref(),
            Response::Fetched(kept) => kept.sealed.as_ref(),
            Response::Listed(_) | Response::Failed(_) | Response::Unknown => None,
        };
        if let Some(context) = context {
            if self.contexts.len() == REMEMBERED {
                self.contexts.remove(0);
            }
            self.contexts.push(context.clone());
        }
    }

    /// One of them writes something itself, and may have merged something before. One may bear the
    /// node's own name: a copy of it.
    pub(super) fn work(&mut self, bytes: &mut Unstructured<'_>, wall: WallTime) -> Result<()> {
        let node = NodeId(bytes.int_in_range(ME.0..=MOST_MEMBERS)?);
        let heard = self.state(bytes)?;
        let key = match &heard {
            Some((key, _)) => key.clone(),
            None => site::key(bytes)?,
        };
        let policy = self.buckets.of(&key).policy;
        let retired = Retirements::default();
        let record = self.records.entry((node, key.clone())).or_default();
        if let Some((_, siblings)) = heard {
            let _ = record.merge(siblings, policy, &retired); // or it is beyond what a peer knows
        }
        let births = self.births.entry(node);
        let births = births.or_insert_with(|| Births::new(node, Boot(node.0)));
        let past = bytes.arbitrary::<bool>()?.then(|| record.siblings().past());
        let rules = Rules {
            policy,
            truncate_to: None,
            limits: &Limits::default(),
            retired: &retired,
        };
        self.written += 1;
        let write = Write {
            past: past.as_ref(),
            content: Content::plain("p"),
            request: RequestId(self.written),
        };
        if record.mint(write, wall, births, &rules).is_ok() {
            remember(&mut self.states, (key, record.siblings().clone()));
        }
        Ok(())
    }

    /// One of them sends a state.
    pub(super) fn store(
        &mut self,
        bytes: &mut Unstructured<'_>,
        ledger: &mut Ledger,
    ) -> Result<Event> {
        let (from, ticket) = (self.any(bytes)?, small(bytes)?);
        let durability = site::durability(bytes)?;
        let state = match bytes.ratio(1, 8)? {
            true => strange(bytes)?,
            false => self.state(bytes)?,
        };
        let (key, siblings) = match state {
            Some(state) => state,
            None => (site::key(bytes)?, Siblings::default()),
        };
        ledger.stores(from, ticket);
        let held_for = match bytes.ratio(1, 4)? {
            true => Some(self.any(bytes)?),
            false => None,
        };
        Ok(said(
            from,
            Message::Store {
                epoch: Default::default(),
                ticket,
                durability,
                held_for,
                is_repair: bytes.ratio(1, 4)?,
                key,
                siblings,
            },
        ))
    }

    /// One of them asks for a state.
    pub(super) fn fetch(
        &mut self,
        bytes: &mut Unstructured<'_>,
        ledger: &mut Ledger,
    ) -> Result<Event> {
        let (from, ticket) = (self.any(bytes)?, small(bytes)?);
        let key = site::key(bytes)?;
        let held_for = match bytes.ratio(1, 4)? {
            true => Some(self.any(bytes)?),
            false => None,
        };
        if held_for.is_some() && bytes.ratio(1, 2)? {
            let listing = draw::listing(bytes)?;
            let question = 0;
            return Ok(said(
                from,
                Message::List {
                    ticket,
                    question,
                    key,
                    listing,
                },
            ));
        }
        let fetch = Message::Fetch {
            epoch: Default::default(),
            ticket,
            held_for,
            key,
        };
        ledger.fetches(from, ticket);
        Ok(said(from, fetch))
    }

    /// One of them answers what it was asked, perhaps not for the first time.
    pub(super) fn answer(&mut self, bytes: &mut Unstructured<'_>) -> Result<Event> {
        let Some((asked, message)) = pick(&self.heard, bytes)? else {
            return self.invent(bytes);
        };
        let from = match bytes.ratio(1, 16)? {
            true => self.any(bytes)?,
            false => asked,
        };
        let answer = match message {
            Message::Store {
                ticket, durability, ..
            } => stored(bytes, ticket, durability)?,
            Message::Fetch { ticket, key, .. } => Message::Fetched {
                ticket,
                outcome: self.outcome(bytes, &key)?,
            },
            Message::Request { ticket, .. } => Message::Response {
                ticket,
                response: self.response(bytes)?,
            },
            Message::List {
                ticket, question, ..
            } => {
                let named: Vec<_> = self.states.iter().map(|(key, _)| key.clone()).collect();
                let goes_on = bytes.arbitrary::<bool>()?;
                Message::Listed {
                    ticket,
                    question,
                    listed: Listed {
                        rest: named
                            .last()
                            .filter(|_| goes_on)
                            .map(|key| Address::of_object(key.token(), key.encoded())),
                        keys: named,
                    },
                }
            }
            Message::Ping { ticket } => Message::Pong { ticket },
            Message::Handoff { ticket, .. } => Message::HandedOff {
                ticket,
                taken: bytes.arbitrary()?,
                credit: bytes.arbitrary()?,
            },
            other => other,
        };
        Ok(said(from, answer))
    }

    /// One of them answers what it was never asked, or asked something else, or says what only
    /// drivers should hear.
    pub(super) fn invent(&mut self, bytes: &mut Unstructured<'_>) -> Result<Event> {
        let from = self.any(bytes)?;
        let ticket = match pick(&self.heard, bytes)? {
            Some((
                _,
                Message::Store { ticket, .. }
                | Message::Fetch { ticket, .. }
                | Message::Request { ticket, .. },
            )) => ticket,
            _ => Ticket(bytes.arbitrary()?),
        };
        let message = match bytes.int_in_range(0..=3)? {
            0 => {
                let durability = site::durability(bytes)?;
                stored(bytes, ticket, durability)?
            }
            1 => {
                let key = site::key(bytes)?;
                let outcome = self.outcome(bytes, &key)?;
                Message::Fetched { ticket, outcome }
            }
            2 => Message::Response {
                ticket,
                response: self.response(bytes)?,
            },
            _ => Message::Refused(Refusal::Cluster),
        };
        Ok(said(from, message))
    }

    /// What the node said was not sent.
    pub(super) fn unsent(&mut self, bytes: &mut Unstructured<'_>) -> Result<Event> {
        match pick(&self.heard, bytes)? {
            Some((to, message)) => {
                let why = *bytes.choose(&[Unsent::Unreachable, Unsent::Full, Unsent::TooLong])?;
                Ok(Event::Unsent { to, message, why })
            }
            None => Ok(Event::Tick),
        }
    }

    fn outcome(&self, bytes: &mut Unstructured<'_>, key: &Key) -> Result<Fetched> {
        Ok(match bytes.int_in_range(0..=7)? {
            0 => Fetched::Damaged,
            1 => Fetched::Failed,
            2 | 3 => Fetched::Absent,
            _ => {
                let of_key = self.states.iter().filter(|(other, _)| other == key);
                let states: Vec<_> = of_key.map(|(_, state)| state).collect();
                match states.len() {
                    0 => Fetched::Absent,
                    _ => Fetched::Found((*bytes.choose(&states)?).clone()),
                }
            }
        })
    }

    fn response(&self, bytes: &mut Unstructured<'_>) -> Result<Response> {
        Ok(match bytes.int_in_range(0..=5)? {
            0 => Response::Unknown,
            1 => Response::Failed(*bytes.choose(&[
                Failure::NoCoordinator,
                Failure::Overloaded,
                Failure::Full,
                Failure::Expired,
            ])?),
            2 => Response::Got(Got {
                siblings: Siblings::default(),
                context: Context {
                    sealed: Bytes::new(),
                    fastest: None,
                },
            }),
            _ => Response::Put(Written {
                siblings: 1,
                context: self.contexts.first().cloned(),
                receipt: None,
                came_to: None,
            }),
        })
    }

    fn state(&self, bytes: &mut Unstructured<'_>) -> Result<Option<(Key, Siblings)>> {
        pick(&self.states, bytes)
    }
}

/// A state that nobody ever had, if the next bytes are one.
fn strange(bytes: &mut Unstructured<'_>) -> Result<Option<(Key, Siblings)>> {
    let key = site::key(bytes)?;
    let len = usize::from(bytes.arbitrary::<u8>()?).min(bytes.len());
    let encoded = Bytes::copy_from_slice(bytes.bytes(len)?);
    let state = Siblings::decode(encoded).ok();
    let is_ours = |id: RequestId| id.0 >> 96 == OURS >> 96;
    Ok(state
        .filter(|state| !state.values().iter().any(|it| is_ours(it.value.request)))
        .map(|state| (key, state)))
}

fn stored(bytes: &mut Unstructured<'_>, ticket: Ticket, asked: Durability) -> Result<Message> {
    Ok(match bytes.int_in_range(0..=7)? {
        0 => {
            let reason = *bytes.choose(&[
                NotStored::Overloaded,
                NotStored::Full,
                NotStored::Failed,
                NotStored::Behind,
            ])?;
            Message::NotStored { ticket, reason }
        }
        1 => Message::Stored {
            ticket,
            durability: site::durability(bytes)?,
        },
        _ => Message::Stored {
            ticket,
            durability: asked,
        },
    })
}

fn small(bytes: &mut Unstructured<'_>) -> Result<Ticket> {
    bytes.int_in_range(0..=7).map(Ticket)
}

fn said(from: NodeId, message: Message) -> Event {
    Event::Peer {
        from,
        arrived: Instant::default(),
        message,
    }
}

fn pick<T: Clone>(some: &VecDeque<T>, bytes: &mut Unstructured<'_>) -> Result<Option<T>> {
    match some.len() {
        0 => Ok(None),
        count => Ok(Some(some[bytes.choose_index(count)?].clone())),
    }
}

fn remember<T>(some: &mut VecDeque<T>, thing: T) {
    some.push_back(thing);
    if some.len() > REMEMBERED {
        some.pop_front();
    }
}
