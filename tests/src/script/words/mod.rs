//! How everything is written in a trace.

mod messages;
mod notices;
mod requests;
mod stores;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::version::{Actor, Seal};
use dynamo_proto::wire::Ticket;
use dynamo_proto::{Durability, Key, NodeId, WallTime};

pub(super) use self::messages::unsent;
pub(super) use self::stores::{place, unwritten};

/// A node, in the order of duty for the script's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Letter(char);

/// Who is called what.
pub(super) struct Words {
    pub(super) letters: BTreeMap<NodeId, Letter>,
    actors: BTreeMap<Actor, String>,
    /// By the node that gave it out.
    tickets: BTreeMap<(Letter, Ticket), String>,
    /// What forwarded requests are about; their answers do not say.
    forwarded: BTreeMap<(Letter, Ticket), Key>,
    /// Sealed parts, and the name by which the script knows each.
    contexts: Vec<(Bytes, String)>,
    seal: Seal,
    /// When stamps decide, and so are worth showing: what they are counted from.
    stamped_from: Option<WallTime>,
}

impl Letter {
    pub(super) fn of(place: usize) -> Self {
        Self((b'A' + place as u8) as char) // at most 26
    }

    pub(super) fn parse(word: &str) -> Result<Self, String> {
        match word.as_bytes() {
            [letter @ b'A'..=b'Z'] => Ok(Self(*letter as char)),
            _ => Err(format!("{word} is no node")),
        }
    }
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Words {
    pub(super) fn new(
        letters: BTreeMap<NodeId, Letter>,
        secret: [u8; 16],
        stamped_from: Option<WallTime>,
    ) -> Self {
        Self {
            letters,
            actors: BTreeMap::new(),
            tickets: BTreeMap::new(),
            forwarded: BTreeMap::new(),
            contexts: Vec::new(),
            seal: Seal::new(secret),
            stamped_from,
        }
    }

    pub(super) fn letter(&self, id: NodeId) -> Letter {
        self.letters[&id]
    }

    /// From now on those bytes are called so.
    pub(super) fn call(&mut self, sealed: &Bytes, name: &str) {
        self.contexts.retain(|(other, _)| other != sealed);
        self.contexts.push((sealed.clone(), name.to_owned()));
    }

    fn held_for(&self, owner: Option<NodeId>) -> String {
        owner.map_or_else(String::new, |owner| format!(" for {}", self.letter(owner)))
    }

    fn actor(&mut self, actor: &Actor) -> String {
        let letter = self.letter(actor.node);
        let born = self.actors.keys().filter(|other| other.node == actor.node);
        let next = format!("{letter}{}", born.count() + 1);
        self.actors.entry(*actor).or_insert(next).clone()
    }

    fn ticket(&mut self, of: Letter, ticket: Ticket) -> String {
        let given = self.tickets.keys().filter(|(other, _)| *other == of);
        let next = format!("[{}{}]", of.0.to_ascii_lowercase(), given.count() + 1);
        self.tickets.entry((of, ticket)).or_insert(next).clone()
    }

    fn context(&mut self, key: &Key, sealed: &Bytes) -> String {
        let named = self.contexts.iter().find(|(other, _)| other == sealed);
        let called = named.map_or(String::new(), |(_, name)| format!("${name} "));
        match self.seal.open(key, sealed) {
            Ok(past) => format!("{called}{}", self.clock(&past.clock)),
            Err(_) => format!("{called}of another key"),
        }
    }
}

pub(super) fn name(key: &Key) -> String {
    String::from_utf8_lossy(key.key()).into_owned()
}

pub(super) fn safe(durability: Durability) -> &'static str {
    match durability {
        Durability::Memory => "in memory",
        Durability::Written => "written",
        Durability::Flushed => "flushed",
    }
}

/// In seconds. What a node drew at random is off the half second, by less than another half: `0.5s+`.
pub(super) fn time(time: Duration) -> String {
    let halves = time.as_millis() / 500;
    let is_drawn = !time.subsec_nanos().is_multiple_of(50_000_000);
    let plus = if is_drawn { "+" } else { "" };
    let millis = if is_drawn {
        500 * halves
    } else {
        time.as_millis()
    };
    format!("{}s{plus}", millis as f64 / 1000.0)
}

pub(super) fn count(number: u32, what: &str) -> String {
    match what.strip_suffix('y') {
        Some(stem) if number != 1 => format!("{number} {stem}ies"),
        _ if number != 1 => format!("{number} {what}s"),
        _ => format!("{number} {what}"),
    }
}
