//! What clients ask for, and what they are told.

use dynamo_proto::Key;
use dynamo_proto::node::{
    Condition, Listed, Listing, Mode, Operation, Options, Request, Response, Scope,
};
use dynamo_proto::store::Address;
use dynamo_proto::version::Content;
use dynamo_proto::wire::Fetched;

use super::values::{step, value};
use super::{Words, count, name, safe, time};

impl Words {
    pub(in crate::script) fn request(&mut self, request: &Request) -> String {
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

    /// An answer to a request about that key.
    pub(in crate::script) fn response(&mut self, key: &Key, response: &Response) -> String {
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
pub(super) fn stretch(listing: &Listing) -> String {
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

pub(super) fn listed(listed: &Listed) -> String {
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
