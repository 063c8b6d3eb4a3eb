//! What nodes say to each other.

use dynamo_proto::node::Unsent;
use dynamo_proto::wire::{Exchange, Fetched, Message, NotStored};

use super::requests::{listed, stretch};
use super::{Letter, Words, name, safe, time};

impl Words {
    /// What one node says to another.
    pub(in crate::script) fn message(
        &mut self,
        from: Letter,
        to: Letter,
        message: &Message,
    ) -> String {
        match message {
            Message::Store {
                epoch: _,
                ticket,
                durability,
                held_for,
                is_repair,
                key,
                siblings,
            } => {
                let verb = if *is_repair { "repair" } else { "store" };
                let ticket = self.ticket(from, *ticket);
                let state = self.siblings(siblings);
                format!(
                    "{verb} {ticket} {}{} = {state}, {}",
                    name(key),
                    self.held_for(*held_for),
                    safe(*durability)
                )
            }
            Message::Stored { ticket, durability } => {
                format!("stored {}, {}", self.ticket(to, *ticket), safe(*durability))
            }
            Message::NotStored { ticket, reason } => {
                let reason = match reason {
                    NotStored::Behind => "behind",
                    NotStored::Overloaded => "overloaded",
                    NotStored::Full => "full",
                    NotStored::HintsFull => "holds as much for others as it may",
                    NotStored::Failed => "failed",
                };
                format!("not stored {}: {reason}", self.ticket(to, *ticket))
            }
            Message::Fetch {
                epoch: _,
                ticket,
                held_for,
                key,
            } => {
                let ticket = self.ticket(from, *ticket);
                format!("fetch {ticket} {}{}", name(key), self.held_for(*held_for))
            }
            Message::Fetched { ticket, outcome } => {
                let ticket = self.ticket(to, *ticket);
                let outcome = match outcome {
                    Fetched::Found(siblings) => self.siblings(siblings),
                    Fetched::Absent => "absent".into(),
                    Fetched::Damaged => "damaged".into(),
                    Fetched::Failed => "failed".into(),
                };
                format!("fetched {ticket}: {outcome}")
            }
            Message::Request {
                epoch: _,
                ticket,
                patience,
                request,
            } => {
                self.forwarded.insert((from, *ticket), request.key.clone());
                let ticket = self.ticket(from, *ticket);
                let again = if request.is_retry { " again" } else { "" };
                format!(
                    "do {ticket}{again} #{}: {}, within {}",
                    request.id.0,
                    self.request(request),
                    time(*patience)
                )
            }
            Message::Response { ticket, response } => {
                let key = self.forwarded.get(&(to, *ticket)).cloned();
                let ticket = self.ticket(to, *ticket);
                match key {
                    Some(key) => format!("did {ticket}: {}", self.response(&key, response)),
                    None => format!("did {ticket}, which nobody asked for"),
                }
            }
            Message::Ping { .. } => "are you there?".into(),
            Message::Pong { .. } => "I am".into(),
            Message::Relay {
                from: origin,
                to: target,
                message,
            } => {
                let (origin, target) = (self.letter(*origin), self.letter(*target));
                let text = self.message(origin, target, message);
                format!("from {origin} for {target}: {text}")
            }
            Message::Handoff { ticket, copies } => {
                let ticket = self.ticket(from, *ticket);
                let copies: Vec<_> = copies
                    .iter()
                    .map(|copy| {
                        let (key, state) = (name(&copy.key), self.siblings(&copy.siblings));
                        format!("{key} = {state}, {}", safe(copy.durability))
                    })
                    .collect();
                format!("here is yours {ticket}: {}", copies.join(" and "))
            }
            Message::List {
                ticket, listing, ..
            } => format!("list {} {}", self.ticket(from, *ticket), stretch(listing)),
            Message::Listed {
                ticket, listed: it, ..
            } => format!("listed {}: {}", self.ticket(to, *ticket), listed(it)),
            Message::Compare { .. } | Message::Compared { .. } => "compares".into(),
            Message::Exchange(exchange) => match exchange {
                Exchange::Roots { parts, .. } => format!("compares {} parts", parts.len()),
                Exchange::Leaves { digests, .. } => format!("compares {} leaves", digests.len()),
                Exchange::Unequal { is_sure: false, .. } => "cannot say".into(),
                Exchange::Unequal { differs, .. } => {
                    let all: u32 = differs.iter().map(|word| word.count_ones()).sum();
                    format!("{all} differ")
                }
                Exchange::Doubt { numbers, .. } => format!("doubts {} leaves", numbers.len()),
            },
            Message::Gossip(gossip) => format!("gossip: {}", gossip.name()),
            Message::HandedOff {
                ticket,
                taken,
                credit,
            } => {
                let ticket = self.ticket(to, *ticket);
                let more = if *credit > 0 {
                    "more is welcome"
                } else {
                    "no more now"
                };
                format!("has {ticket}: {} of it, {more}", taken.count_ones())
            }
            Message::Admin { .. }
            | Message::Administered { .. }
            | Message::AskDirectory { .. }
            | Message::Directory { .. }
            | Message::NewEpoch(_)
            | Message::Hello(_)
            | Message::Welcome(_)
            | Message::Refused(_)
            | Message::Unsupported(_) => "says what only drivers say".into(),
        }
    }
}

/// Why a message was not sent.
pub(in crate::script) fn unsent(why: Unsent) -> &'static str {
    match why {
        Unsent::Unreachable => "no connection",
        Unsent::Full => "too much waits",
        Unsent::TooLong => "too long",
    }
}
