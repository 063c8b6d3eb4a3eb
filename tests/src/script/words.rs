//! How everything is written in a trace.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::node::{
    Condition, Listed, Listing, Mode, Notice, Operation, Options, Request, Response, Scope, Unsent,
};
use dynamo_proto::store::{Address, Batch, Command, ReadOutcome, Space, WriteError};
use dynamo_proto::version::{
    Action, Actor, Clock, Content, DataType, Dot, Record, Seal, Sibling, Siblings, Step, View,
};
use dynamo_proto::wire::{Exchange, Fetched, Message, NotStored, Ticket};
use dynamo_proto::{Durability, Key, NodeId, WallTime};

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

    pub(super) fn request(&mut self, request: &Request) -> String {
        let Request {
            key,
            operation,
            options,
            ..
        } = request;
        let mut text = match operation {
            Operation::Get { head, seen: _ } => {
                format!("get {}{}", name(key), if *head { ", head" } else { "" })
            }
            Operation::Fetch { .. } => format!("what has it of {}?", name(key)),
            Operation::Put {
                mode,
                content,
                condition,
                fastest: _,
            } => {
                let mut text = match content {
                    Content::Live { body, .. } => format!("put {} = {}", name(key), value(body)),
                    Content::Data(_) => format!("put {} = data", name(key)),
                    Content::Tombstone => format!("delete {}", name(key)),
                };
                match mode {
                    Mode::Context(parts) => {
                        for part in parts {
                            text += &format!(", having seen {}", self.context(key, part));
                        }
                    }
                    Mode::Blind => text += ", blind",
                    Mode::Overwrite => text += ", overwrite",
                }
                match condition {
                    Condition::None => {}
                    Condition::Absent => text += ", if absent",
                    Condition::Unchanged(part) => {
                        text += &format!(", if unchanged since {}", self.context(key, part));
                    }
                }
                text
            }
            Operation::List(listing) => format!("list {}", stretch(listing)),
            Operation::Update {
                update,
                context,
                fastest: _,
            } => {
                let steps: Vec<_> = update.steps().iter().map(step).collect();
                let mut text = format!("update {}: {}", name(key), steps.join(", "));
                if let Some(part) = context {
                    text += &format!(", having seen {}", self.context(key, part));
                }
                text
            }
        };
        text += &departures(options);
        text
    }

    /// What one node says to another.
    pub(super) fn message(&mut self, from: Letter, to: Letter, message: &Message) -> String {
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

    /// An answer to a request about that key.
    pub(super) fn response(&mut self, key: &Key, response: &Response) -> String {
        match response {
            Response::Got(got) => {
                let values: Vec<_> = got.siblings.answers().collect();
                let context = self.context(key, &got.context.sealed);
                let fastest = match got.context.fastest {
                    Some(node) => format!(", fastest {}", self.letter(node)),
                    None => String::new(),
                };
                format!("got {}, context {context}{fastest}", self.values(&values))
            }
            Response::Fetched(kept) => match &kept.outcome {
                Fetched::Found(siblings) => format!("has {}", self.siblings(siblings)),
                Fetched::Absent => "has nothing".into(),
                Fetched::Damaged => "has what it cannot read".into(),
                Fetched::Failed => "could not look".into(),
            },
            Response::Put(written) => {
                let values = count(written.siblings, "value");
                let context = match &written.context {
                    Some(sealed) => format!("context {}", self.context(key, sealed)),
                    None => "no context".into(),
                };
                match written.came_to {
                    Some(came_to) => format!("done, {values}, came to {came_to}"),
                    None => format!("done, {values}, {context}"),
                }
            }
            Response::Failed(failure) => format!("failed: {failure}"),
            Response::Unknown => "unknown".into(),
            Response::Listed(it) => format!("listed {}", listed(it)),
        }
    }

    pub(super) fn command(&mut self, command: &Command) -> String {
        match command {
            Command::Read { space, at } => format!("read {}", place(*space, at)),
            Command::Scan {
                space: Space::Objects,
                limit,
                ..
            } => format!("look through {} of its own", limit.items),
            Command::Scan { .. } => "look through what is held for others".into(),
            Command::Write(batch) if batch.changes.is_empty() => {
                format!("write nothing, {}", safe(batch.durability))
            }
            Command::Write(Batch {
                changes,
                durability,
                ..
            }) => {
                let changes = changes.iter().filter(|it| it.space != Space::Trees);
                let changes = changes.map(|change| match &change.bytes {
                    Some(bytes) => format!(
                        "write {} = {}",
                        place(change.space, &change.at),
                        self.record(&change.at, bytes)
                    ),
                    None => format!("remove {}", place(change.space, &change.at)),
                });
                let changes: Vec<_> = changes.collect();
                format!("{}, {}", changes.join(" and "), safe(*durability))
            }
        }
    }

    /// What became of a read.
    pub(super) fn outcome(&mut self, at: &Address, outcome: &ReadOutcome) -> String {
        match outcome {
            ReadOutcome::Found(bytes) => self.record(at, bytes),
            ReadOutcome::Absent => "nothing".into(),
            ReadOutcome::Corrupt => "damaged".into(),
            ReadOutcome::Failed => "cannot look".into(),
        }
    }

    /// What a store holds, without the node's note.
    pub(super) fn record(&mut self, at: &Address, bytes: &Bytes) -> String {
        match Record::decode(at, bytes.clone()) {
            Ok(record) => {
                let owners: Vec<_> = record
                    .owners()
                    .iter()
                    .map(|id| self.letter(*id).to_string())
                    .collect();
                let held = if owners.is_empty() {
                    String::new()
                } else {
                    format!(" for {}", owners.join(", "))
                };
                self.siblings(record.siblings()) + &held
            }
            Err(_) => "damaged".into(),
        }
    }

    pub(super) fn notice(&self, notice: &Notice) -> String {
        match notice {
            Notice::Forwarded { to } => format!("forwarded to {}", self.letter(*to)),
            Notice::Divergent { versions } => format!("{versions} different answers"),
            Notice::Retried { to } => format!("asks {} again", self.letter(*to)),
            Notice::Repeated => "came before: no second version".into(),
            Notice::Superseded { values } => {
                format!("supersedes {}", count(*values, "value"))
            }
            Notice::Newborn => "newborn actor".into(),
            Notice::TooLong { to, .. } => format!("too long for {}", self.letter(*to)),
            Notice::BegunAnew => "begins anew what is lost".into(),
            Notice::Renewed => "somebody mints under its name".into(),
            Notice::TooWeak { has, asked } => {
                format!("store gives {}, asked for {}", safe(*has), safe(*asked))
            }
            Notice::Damaged => "damaged record".into(),
            Notice::Shared { reads } => format!("{} at once", count(*reads, "read")),
            Notice::Overloaded => "overloaded".into(),
            Notice::Answered { took } => format!("took {}", time(*took)),
            Notice::Suspected { peer } => format!("suspects {}", self.letter(*peer)),
            Notice::Trusted { peer } => format!("trusts {} again", self.letter(*peer)),
            Notice::WasAway => "was not there for a while".into(),
            Notice::Hedged { to } => format!("hedges with {}", self.letter(*to)),
            Notice::Repaired { to } => format!("repairs {}", self.letter(*to)),
            Notice::HintTaken { owner } => format!("holds it for {}", self.letter(*owner)),
            Notice::HintRefused => "holds no more for others".into(),
            Notice::Pulled { .. }
            | Notice::Shed { .. }
            | Notice::Epoch { .. }
            | Notice::Removed
            | Notice::Overtaken
            | Notice::OtherCluster { .. }
            | Notice::OtherEpoch { .. }
            | Notice::HistoryFull => "learns about its cluster".into(),
            Notice::Levelled { with, got, gave } => {
                format!("level with {}: {got} came, {gave} went", self.letter(*with))
            }
            Notice::TreeMended { leaves } => format!("makes {} anew", count(*leaves, "leaf")),
            Notice::HandedOff { to, copies } => {
                format!(
                    "{} brought home to {}",
                    count(*copies, "copy"),
                    self.letter(*to)
                )
            }
        }
    }

    fn held_for(&self, owner: Option<NodeId>) -> String {
        owner.map_or_else(String::new, |owner| format!(" for {}", self.letter(owner)))
    }

    pub(super) fn siblings(&mut self, siblings: &Siblings) -> String {
        let values: Vec<_> = siblings.values().iter().collect();
        format!("{} {}", self.values(&values), self.clock(siblings.clock()))
    }

    pub(super) fn dot(&mut self, dot: &Dot) -> String {
        format!("{}:{}", self.actor(&dot.actor), dot.counter)
    }

    fn values(&mut self, values: &[&Sibling]) -> String {
        let mut texts: Vec<_> = values
            .iter()
            .map(|sibling| {
                let content = match &sibling.value.content {
                    Content::Live { body, .. } => value(body),
                    Content::Data(data) => data_text(&data.view()),
                    Content::Tombstone => "deleted".into(),
                };
                let stamp = match self.stamped_from {
                    Some(from) => format!("/{}", since(from, sibling.value.stamp)),
                    None => String::new(),
                };
                (self.dot(&sibling.dot), content, stamp)
            })
            .collect();
        texts.sort();
        let texts = texts
            .into_iter()
            .map(|(dot, content, stamp)| format!("{content}@{dot}{stamp}"));
        let texts: Vec<_> = texts.collect();
        if texts.is_empty() {
            "nothing".into()
        } else {
            texts.join(" + ")
        }
    }

    fn clock(&mut self, clock: &Clock) -> String {
        let entries = clock.entries().iter();
        let mut entries: Vec<_> = entries
            .map(|entry| format!("{}:{}", self.actor(&entry.actor), entry.counter))
            .collect();
        entries.sort();
        format!("{{{}}}", entries.join(", "))
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

/// How a request departs from its bucket's ways.
fn departures(options: &Options) -> String {
    let Options {
        n,
        r,
        w,
        pr,
        pw,
        durability,
        absent_counts,
        majority_absent,
        timeout,
        only_here,
    } = options;
    let mut text = String::new();
    for (name, number) in [("n", n), ("r", r), ("w", w), ("pr", pr), ("pw", pw)] {
        if let Some(number) = number {
            text += &format!(", {name}={number}");
        }
    }
    if let Some(durability) = durability {
        text += &format!(", {}", safe(*durability));
    }
    for (name, flag) in [
        ("absent-counts", absent_counts),
        ("majority-absent", majority_absent),
    ] {
        if let Some(flag) = flag {
            text += &format!(", {name}={flag}");
        }
    }
    if let Some(timeout) = timeout {
        text += &format!(", timeout {}", time(*timeout));
    }
    if *only_here {
        text += ", only here";
    }
    text
}

/// What is listed; where it begins and ends only as far as it does not do so with the ring.
fn stretch(listing: &Listing) -> String {
    let what = match listing.scope {
        Scope::Bucket => "keys",
        Scope::Buckets => "buckets",
        Scope::All => "everything",
    };
    let first = listing.span.first();
    let from = match (first.position, key_at(first)) {
        (0, _) => String::new(),
        (_, Some(key)) => format!(" from {key}"),
        (position, None) => format!(" from {:08x}", position >> 96),
    };
    let until = match listing.span.end() {
        Some(end) => format!(" up to {:08x}", end.position >> 96),
        None => String::new(),
    };
    format!("{what}{from}{until}, {} at most", listing.most)
}

fn listed(listed: &Listed) -> String {
    let keys: Vec<_> = listed.keys.iter().map(name).collect();
    let keys = match keys.is_empty() {
        true => "nothing".to_owned(),
        false => keys.join(", "),
    };
    match &listed.rest {
        Some(rest) => match key_at(rest) {
            Some(key) => format!("{keys}, goes on at {key}"),
            None => format!("{keys}, goes on at {:08x}", rest.position >> 96),
        },
        None => keys,
    }
}

fn key_at(at: &Address) -> Option<String> {
    Key::decode(at.name.clone()).ok().as_ref().map(name)
}

pub(super) fn name(key: &Key) -> String {
    String::from_utf8_lossy(key.key()).into_owned()
}

/// The key whose record is there.
pub(super) fn place(space: Space, at: &Address) -> String {
    if space == Space::Trees {
        return "its trees".into();
    }
    let key = match Key::decode(at.name.clone()) {
        Ok(key) => name(&key),
        Err(_) => "what is no key".into(),
    };
    match space {
        Space::Hints => format!("held {key}"),
        Space::Objects | Space::Trees | Space::Meta => key,
    }
}

pub(super) fn safe(durability: Durability) -> &'static str {
    match durability {
        Durability::Memory => "in memory",
        Durability::Written => "written",
        Durability::Flushed => "flushed",
    }
}

pub(super) fn unwritten(error: WriteError) -> &'static str {
    match error {
        WriteError::Full => "full",
        WriteError::Failed => "failed",
        WriteError::FlushFailed => "flush failed",
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

/// What one step of an update asks for.
fn step(step: &Step) -> String {
    let place: String = step
        .at
        .fields()
        .map(|field| field_text(field) + " ")
        .collect();
    let action = match &step.action {
        Action::Count(by) => format!("count {by}"),
        Action::Add(element) => format!("add {}", value(element)),
        Action::Remove(element) => format!("remove {}", value(element)),
        Action::Assign(to) => format!("assign {}", value(to)),
        Action::Enable => "enable".into(),
        Action::Disable => "disable".into(),
        Action::Clear => "clear".into(),
    };
    place + &action
}

fn field_text((kind, name): (DataType, &[u8])) -> String {
    format!("{kind} {}", name.escape_ascii())
}

fn data_text(view: &View<'_>) -> String {
    let list = |texts: Vec<String>| format!("[{}]", texts.join(", "));
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    match view.kind() {
        DataType::GrowCounter | DataType::Counter => view.count().to_string(),
        DataType::GrowSet | DataType::Set => list(view.elements().map(text).collect()),
        DataType::Register => view.value().map_or_else(String::new, text),
        DataType::MultiRegister => list(view.values().map(text).collect()),
        DataType::Flag => if view.is_enabled() { "on" } else { "off" }.into(),
        DataType::Sketch => format!("about {}", view.estimate()),
        DataType::Map => {
            let field = |field| {
                let within = data_text(&view.field(field));
                format!("{}: {within}", field_text((field.kind, field.name)))
            };
            list(view.fields().map(field).collect())
        }
    }
}

fn value(body: &Bytes) -> String {
    if body.is_empty() {
        return "(empty)".into();
    }
    String::from_utf8_lossy(body).into_owned()
}

fn since(from: WallTime, stamp: WallTime) -> String {
    let micros = stamp.as_micros() as i64 - from.as_micros() as i64;
    format!("{}s", micros as f64 / 1e6)
}

/// Why a message was not sent.
pub(super) fn unsent(why: Unsent) -> &'static str {
    match why {
        Unsent::Unreachable => "no connection",
        Unsent::Full => "too much waits",
        Unsent::TooLong => "too long",
    }
}
