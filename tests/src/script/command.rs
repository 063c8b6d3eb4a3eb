//! One line of a script, understood.

use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::node::{MOST_LISTED, Options, Scope, Unsent};
use dynamo_proto::version::Action;

use super::arguments::{Arguments, duration, parse};
use super::disk::Mood;
use super::shape::{Shape, durability};
use super::words::Letter;

pub(super) enum Command {
    Cluster(Shape),
    Ask(Ask),
    /// The same again and again: each time what is sent takes so long, and nothing is shown.
    Often {
        times: u32,
        wait: Duration,
        ask: Ask,
    },
    Deliver(Which),
    Drop(Which),
    Copy(Link),
    Unsent(Link, Unsent),
    Break(Letter, Letter),
    Cut(Vec<Link>),
    Heal,
    Queue,
    Tick(Duration),
    Clock(Letter, i64),
    Crash {
        at: Letter,
        after_writing: bool,
    },
    Restart(Letter),
    Store(Letter, Storing),
    Show(Letter, String),
    Damage(Letter, String),
    Scrub(Letter, String),
    Wipe(Letter),
}

/// From one node to another.
pub(super) type Link = (Letter, Letter);

/// Which messages a command is about.
pub(super) enum Which {
    /// All among these nodes, and those that come of them; of all nodes if none are named.
    Among(Vec<Letter>),
    /// The first so many on one link.
    On(Link, usize),
}

/// What a store is told.
pub(super) enum Storing {
    Mood(Mood),
    Holds,
    Next,
}

/// A client's request.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) at: Letter,
    pub(super) key: String,
    pub(super) what: What,
    pub(super) options: Options,
    /// What to call the context that comes with the answer.
    pub(super) name: Option<String>,
    /// Which earlier request this is a retry of.
    pub(super) again: Option<u64>,
    /// Whether it says that it may have been asked for before.
    pub(super) is_retry: bool,
    pub(super) waited: Duration,
}

#[derive(Clone)]
pub(super) enum What {
    Get {
        head: bool,
    },
    Update(Action),
    List {
        scope: Scope,
        most: u16,
        /// Behind which earlier page.
        from: Option<String>,
    },
    Put {
        /// Nothing is a delete.
        value: Option<String>,
        mode: Seen,
        condition: If,
        fastest: Option<Letter>,
    },
}

/// What a write supersedes.
#[derive(Clone)]
pub(super) enum Seen {
    Context(String),
    Nothing,
    Whatever,
}

/// When a write is to be done.
#[derive(Clone)]
pub(super) enum If {
    Always,
    Absent,
    Unchanged(String),
}

impl Command {
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        if let Some(rest) = line.strip_prefix("often ") {
            return Self::often(rest);
        }
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        let mut rest = Arguments::new(words);
        let command = match name {
            "cluster" => Self::Cluster(Shape::parse(&mut rest)?),
            "get" | "put" | "delete" | "count" | "add" | "remove" | "list" => {
                Self::Ask(Ask::parse(name, &mut rest)?)
            }
            "deliver" => Self::Deliver(Which::parse(&mut rest)?),
            "drop" => Self::Drop(Which::parse(&mut rest)?),
            "copy" => Self::Copy(one_link(&mut rest)?),
            "unsent" => Self::Unsent(one_link(&mut rest)?, unsent(&mut rest)?),
            "break" => Self::Break(rest.letter()?, rest.letter()?),
            "cut" => Self::Cut(cut(&mut rest)?),
            "heal" => Self::Heal,
            "queue" => Self::Queue,
            "tick" => Self::Tick(duration(rest.word("how long")?)?),
            "clock" => Self::Clock(rest.letter()?, offset(rest.word("how far off")?)?),
            "crash" => Self::Crash {
                at: rest.letter()?,
                after_writing: rest.flag("after-writing"),
            },
            "restart" => Self::Restart(rest.letter()?),
            "store" => Self::Store(rest.letter()?, Storing::parse(rest.word("a mood")?)?),
            "show" => Self::Show(rest.letter()?, rest.word("a key")?.to_owned()),
            "damage" => Self::Damage(rest.letter()?, rest.word("a key")?.to_owned()),
            "scrub" => Self::Scrub(rest.letter()?, rest.word("a key")?.to_owned()),
            "wipe" => Self::Wipe(rest.letter()?),
            _ => return Err(format!("no such command: {name}")),
        };
        rest.finish()?;
        Ok(command)
    }

    fn often(rest: &str) -> Result<Self, String> {
        let mut words = rest.splitn(3, ' ');
        let mut word = |what: &str| words.next().ok_or(format!("{what} is missing"));
        Ok(Self::Often {
            times: parse("a number", word("how often")?)?,
            wait: duration(word("how long each time")?)?,
            ask: match Self::parse(word("a request")?)? {
                Self::Ask(ask) => ask,
                _ => return Err("only requests are repeated".into()),
            },
        })
    }
}

impl Ask {
    fn parse(name: &str, rest: &mut Arguments<'_>) -> Result<Self, String> {
        let at = rest.letter()?;
        let key = rest.word("a key")?.to_owned();
        let what = match name {
            "get" => What::Get {
                head: rest.flag("head"),
            },
            "list" => What::List {
                scope: match (rest.flag("buckets"), rest.flag("everything")) {
                    (true, _) => Scope::Buckets,
                    (_, true) => Scope::All,
                    _ => Scope::Bucket,
                },
                most: rest.parsed("most")?.unwrap_or(MOST_LISTED),
                from: rest.context("from")?,
            },
            "count" => What::Update(Action::Count(rest.parsed("by")?.unwrap_or(1))),
            "add" => What::Update(Action::Add(element(rest)?)),
            "remove" => What::Update(Action::Remove(element(rest)?)),
            _ => {
                let value = match name {
                    "put" => Some(rest.word("a value")?.to_owned()),
                    _ => None,
                };
                What::Put {
                    value,
                    mode: Seen::parse(rest)?,
                    condition: If::parse(rest)?,
                    fastest: rest.named("fastest").map(Letter::parse).transpose()?,
                }
            }
        };
        Ok(Self {
            at,
            key,
            what,
            options: Options {
                n: rest.parsed("n")?,
                r: rest.parsed("r")?,
                w: rest.parsed("w")?,
                pr: rest.parsed("pr")?,
                pw: rest.parsed("pw")?,
                durability: rest.named("durability").map(durability).transpose()?,
                absent_counts: rest.parsed("absent-counts")?,
                majority_absent: rest.parsed("majority-absent")?,
                timeout: rest.duration("timeout")?,
                only_here: rest.flag("only-here"),
            },
            name: rest.context("as")?,
            again: rest.parsed("again")?,
            is_retry: rest.flag("retry"),
            waited: rest.duration("waited")?.unwrap_or_default(),
        })
    }
}

impl Seen {
    fn parse(rest: &mut Arguments<'_>) -> Result<Self, String> {
        let context = rest.context("context")?;
        match (context, rest.flag("blind"), rest.flag("overwrite")) {
            (Some(name), false, false) => Ok(Self::Context(name)),
            (None, true, false) => Ok(Self::Nothing),
            (None, false, true) => Ok(Self::Whatever),
            _ => Err("say context=, blind or overwrite".into()),
        }
    }
}

impl If {
    fn parse(rest: &mut Arguments<'_>) -> Result<Self, String> {
        match (rest.flag("if-absent"), rest.context("if-unchanged")?) {
            (false, None) => Ok(Self::Always),
            (true, None) => Ok(Self::Absent),
            (false, Some(name)) => Ok(Self::Unchanged(name)),
            (true, Some(_)) => Err("say if-absent or if-unchanged=, not both".into()),
        }
    }
}

impl Which {
    fn parse(rest: &mut Arguments<'_>) -> Result<Self, String> {
        let Some(first) = rest.maybe_word() else {
            return Ok(Self::Among(Vec::new()));
        };
        if let Some(link) = link(first)? {
            let count = rest.maybe_word().map(|word| parse("a number", word));
            return Ok(Self::On(link, count.transpose()?.unwrap_or(1)));
        }
        let mut among = vec![Letter::parse(first)?];
        among.extend(rest.letters()?);
        Ok(Self::Among(among))
    }
}

impl Storing {
    fn parse(word: &str) -> Result<Self, String> {
        match word {
            "holds" => Ok(Self::Holds),
            "next" => Ok(Self::Next),
            mood => Ok(Self::Mood(Mood::parse(mood)?)),
        }
    }
}

fn element(rest: &mut Arguments<'_>) -> Result<Bytes, String> {
    Ok(rest.word("an element")?.to_owned().into())
}

fn link(word: &str) -> Result<Option<Link>, String> {
    let ends = word.split_once("->");
    let link = ends.map(|(from, to)| Ok((Letter::parse(from)?, Letter::parse(to)?)));
    link.transpose()
}

fn one_link(rest: &mut Arguments<'_>) -> Result<Link, String> {
    let word = rest.word("a link")?;
    link(word)?.ok_or_else(|| format!("{word} is no link"))
}

fn unsent(rest: &mut Arguments<'_>) -> Result<Unsent, String> {
    match rest.maybe_word() {
        None => Ok(Unsent::Unreachable),
        Some("full") => Ok(Unsent::Full),
        Some("too-long") => Ok(Unsent::TooLong),
        Some(other) => Err(format!("{other} keeps nothing from being sent")),
    }
}

fn cut(rest: &mut Arguments<'_>) -> Result<Vec<Link>, String> {
    let first = rest.word("a link")?;
    if let Some(link) = link(first)? {
        return Ok(vec![link]);
    }
    let (one, other) = (Letter::parse(first)?, rest.letter()?);
    Ok(vec![(one, other), (other, one)])
}

/// So many microseconds, before or after.
fn offset(word: &str) -> Result<i64, String> {
    let (sign, length) = match word.strip_prefix('-') {
        Some(length) => (-1, length),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    };
    Ok(sign * duration(length)?.as_micros() as i64)
}
