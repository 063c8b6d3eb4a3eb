//! RESP2 and RESP3: what Redis and its clients speak.
//!
//! ```text
//!   bytes --> Reader --> Arguments --> commands --> asks of the node
//!   bytes <-- Reply  <-- the line of turns <------- answers of the node, in any order
//! ```
//!
//! Plain commands act on the bucket `default`. `SET` puts its value in place of what is there: by
//! its stamp where the last write wins, by reading first where siblings are kept. A plain read of
//! several siblings is an error that names `DYNAMO.GET`; the `DYNAMO.` commands speak of contexts
//! and of any bucket, written `bucket` or `type/bucket`.
//!
//! - Answers go out in the order of their commands, however the node answers.
//! - `MGET`, `MSET`, `DEL` and `EXISTS` of several keys are as many requests, each by itself.
//! - `DEL` and `GETDEL` read and then delete what they have read, so what is written in between
//!   stays.
//! - What cannot be meant is refused with the reason, never faked: conditions that are no locks,
//!   expiry, steps that would need a lock.
//! - Counters, sets, sketches and maps are changed by updates, in buckets of these types.

mod about;
mod commands;
mod data;
mod outcome;
mod reader;
mod reply;
mod turns;

use bytes::{Bytes, BytesMut};
use dynamo_proto::node::{Condition, Got, Mode, Operation, Options, Response};
use dynamo_proto::version::{Action, Content, Context, DataType, Policy};
use dynamo_proto::{Key, KeyError, Limits};
use serde_json::Value;

use self::commands::{Verb, find, shown};
use self::reader::{Arguments, Bounds, Read, Reader, number};
use self::reply::{Reply, Version};
use self::turns::{Several, State, Turns, Wish};
use crate::admin::{Command, Refused};
use crate::front::{Ask, Desk, Front, Goodbye, Ticket};

const BUCKET_TYPE: &[u8] = b"default";
const BUCKET: &[u8] = b"default";

/// An argument may always be so long, whatever the limit of values.
const LEAST_ARGUMENT_BYTES: usize = 64 << 10;

/// How many of the longest arguments a command may have.
const LONGEST_ARGUMENTS: usize = 4;

/// Longest name that a client may give its connection.
const NAME_BYTES: usize = 256;

const NO_CONDITION: &str = "a condition is looked up just before the write, so two clients may \
     both find it so, and no lock may rest on it";

/// One connection of a client that speaks RESP.
#[derive(Debug, Default)]
pub struct Resp {
    reader: Reader,
    version: Version,
    turns: Turns,
    /// The last command, while not all its keys have been asked for.
    rest: Option<Rest>,
    /// Why the connection ends once all is answered.
    goodbye: Option<Goodbye>,
    name: Bytes,
    id: Option<i64>,
    /// Whether `MULTI` was refused and its end is still to come.
    is_in_transaction: bool,
}

/// Keys that wait for room.
#[derive(Debug)]
struct Rest {
    verb: Verb,
    arguments: Arguments,
    /// The next one to be asked for.
    next: usize,
    /// Whose turn it is, where they share one.
    turn: u64,
}

/// Either what to ask the node, or what to say at once.
type Asked = Result<(Key, Operation, Options, Wish), Reply>;

impl Resp {
    /// A connection that has just begun: it speaks RESP2 until asked for RESP3.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn run(&mut self, arguments: Arguments, desk: &mut Desk<'_>) {
        if self.is_in_transaction
            && let Some(reply) = self.instead_of(arguments.name())
        {
            return self.say(reply, desk);
        }
        let known = match find(arguments.name()) {
            Ok(known) if known.takes(arguments.len()) => known,
            Ok(known) => return self.say(known.wrong_number(), desk),
            Err(reply) => {
                self.is_in_transaction = arguments.name().eq_ignore_ascii_case(b"multi");
                return self.say(reply, desk);
            }
        };
        match known.verb {
            verb @ (Verb::MGet | Verb::MSet | Verb::Del | Verb::Exists) => {
                self.start_several(verb, arguments, desk);
            }
            verb @ (Verb::Get
            | Verb::Set
            | Verb::GetDel
            | Verb::StrLen
            | Verb::Ttl
            | Verb::DynamoGet
            | Verb::DynamoPut
            | Verb::DynamoDel) => {
                let asked = ask(verb, &arguments, desk);
                self.ask(asked, desk);
            }
            Verb::Data(deed, key_at) => {
                let asked = data::ask(deed, key_at, &arguments, desk);
                self.ask(asked, desk);
            }
            Verb::DynamoCluster if arguments.len() > 1 => self.administer(&arguments, desk),
            verb => {
                let reply = self.tell(verb, &arguments, desk);
                self.say(reply, desk);
            }
        }
    }

    /// Nothing of a transaction is done, since it cannot be done as a whole: clients send all of it
    /// before they hear that it is refused.
    fn instead_of(&mut self, name: &[u8]) -> Option<Reply> {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        self.is_in_transaction = !(is(b"exec") || is(b"discard") || is(b"quit"));
        match () {
            () if is(b"quit") => None,
            () if is(b"discard") => Some(Reply::Ok),
            () if is(b"exec") => Some(Reply::error(
                "EXECABORT nothing was done: MULTI is not supported",
            )),
            () => Some(Reply::error(
                "ERR not done: MULTI was refused, and EXEC or DISCARD has not come yet",
            )),
        }
    }

    /// A command for the cluster: its answer comes at once, and waits for its turn.
    fn administer(&mut self, arguments: &Arguments, desk: &mut Desk<'_>) {
        let words = (1..arguments.len()).map(|at| str::from_utf8(arguments.at(at)));
        let words: Result<Vec<_>, _> = words.collect();
        let Some(command) = words.ok().and_then(|words| Command::of_words(&words)) else {
            let reply = "ERR DYNAMO.CLUSTER takes STATUS, PLAN, COMMIT [ANYWAY], UNSTAGE, JOIN [node], \
                 LEAVE node, REMOVE node, REPLACE dead by, WEIGHT node number, ZONE node label, or JSON";
            return self.say(Reply::error(reply), desk);
        };
        let turn = self.turns.take(State::Told, self.version);
        desk.commands.push((Turns::ticket(turn, 0), command));
    }

    /// Answers by itself.
    fn tell(&mut self, verb: Verb, arguments: &Arguments, desk: &mut Desk<'_>) -> Reply {
        let site = &desk.site;
        match verb {
            Verb::Ping if arguments.len() == 1 => Reply::Simple("PONG"),
            Verb::Ping | Verb::Echo => Reply::Bulk(arguments.keep(1)),
            Verb::Select if arguments.at(1) == b"0" => Reply::Ok,
            Verb::Select => Reply::error("ERR there is one database, number 0"),
            Verb::Info => about::info(site),
            Verb::Command => {
                let names: Vec<_> = (2..arguments.len()).map(|at| arguments.at(at)).collect();
                commands::describe(arguments.at(1), &names)
            }
            Verb::DynamoCluster => about::cluster(site),
            Verb::DynamoBucket => key(arguments.at(1), b"any", &site.config.limits)
                .map(|key| about::bucket(site.buckets.of(&key)))
                .unwrap_or_else(outcome::bad_key),
            Verb::DynamoPreflist => key(arguments.at(1), arguments.at(2), &site.config.limits)
                .map(|key| about::preference_list(&key, site))
                .unwrap_or_else(outcome::bad_key),
            Verb::Hello => self.greet(arguments, desk),
            Verb::Client => self.client(arguments, desk),
            Verb::Quit => {
                self.goodbye = Some(Goodbye::Asked);
                Reply::Ok
            }
            _ => Reply::error("ERR this command asks the node"), // all others were asked for
        }
    }

    fn greet(&mut self, arguments: &Arguments, desk: &mut Desk<'_>) -> Reply {
        let (mut version, mut name) = (self.version, None);
        if arguments.len() > 1 {
            version = match arguments.at(1) {
                b"2" => Version::Resp2,
                b"3" => Version::Resp3,
                _ => {
                    return Reply::error("NOPROTO unsupported protocol version: 2 and 3 are known");
                }
            };
        }
        let mut at = 2;
        while at < arguments.len() {
            let option = arguments.at(at);
            if option.eq_ignore_ascii_case(b"setname") && at + 1 < arguments.len() {
                name = Some(arguments.keep(at + 1));
                at += 2;
            } else if option.eq_ignore_ascii_case(b"auth") {
                return Reply::error(
                    "ERR nobody is authenticated here: connect without a password",
                );
            } else {
                return Reply::error(format!("ERR syntax error in HELLO at '{}'", shown(option)));
            }
        }
        if let Some(name) = name
            && let Err(reply) = self.rename(name)
        {
            return reply;
        }
        self.version = version;
        about::hello(version, self.id(desk))
    }

    fn client(&mut self, arguments: &Arguments, desk: &mut Desk<'_>) -> Reply {
        let below = arguments.at(1);
        let is =
            |name: &str, len| below.eq_ignore_ascii_case(name.as_bytes()) && arguments.len() == len;
        if is("id", 2) {
            Reply::Integer(self.id(desk))
        } else if is("getname", 2) {
            match self.name.is_empty() {
                true => Reply::Nil,
                false => Reply::Bulk(self.name.clone()),
            }
        } else if is("setname", 3) {
            self.rename(arguments.keep(2)).err().unwrap_or(Reply::Ok)
        } else if is("setinfo", 4) {
            Reply::Ok // told for lists of clients, which are not kept
        } else {
            Reply::error(format!(
                "ERR CLIENT {} is not supported: ID, GETNAME, SETNAME and SETINFO are",
                shown(below)
            ))
        }
    }

    fn rename(&mut self, name: Bytes) -> Result<(), Reply> {
        if name.len() > NAME_BYTES || !name.iter().all(u8::is_ascii_graphic) {
            return Err(Reply::error(
                "ERR a client's name is at most 256 printable characters without blanks",
            ));
        }
        self.name = Bytes::copy_from_slice(&name); // which would keep all that it came with
        Ok(())
    }

    /// A number that no other connection has.
    fn id(&mut self, desk: &mut Desk<'_>) -> i64 {
        *self
            .id
            .get_or_insert_with(|| (desk.dice.number() >> 1) as i64)
    }

    fn start_several(&mut self, verb: Verb, arguments: Arguments, desk: &mut Desk<'_>) {
        let turn = match verb {
            Verb::MGet => {
                self.say(Reply::Head(arguments.len() - 1), desk);
                0
            }
            _ => {
                let state = State::Several(Several::new(verb, arguments.clone()));
                self.turns.take(state, self.version)
            }
        };
        self.rest = Some(Rest {
            verb,
            arguments,
            next: 1,
            turn,
        });
        self.ask_rest(desk);
    }

    /// Asks for as many keys of the last command as there is room for; whether for all.
    fn ask_rest(&mut self, desk: &mut Desk<'_>) -> bool {
        while let Some(rest) = &mut self.rest {
            if rest.next >= rest.arguments.len() {
                self.rest = None;
                break;
            }
            if !self.turns.have_room() || !desk.has_room() {
                return false;
            }
            let (at, turn) = (rest.next, rest.turn);
            let limits = &desk.site.config.limits;
            let key = key(BUCKET, rest.arguments.at(at), limits).map_err(outcome::bad_key);
            match rest.verb {
                Verb::MGet => {
                    rest.next += 1;
                    let get = |key| (key, read(false), Options::default(), Wish::Value);
                    self.ask(key.map(get), desk);
                }
                Verb::MSet => {
                    rest.next += 2;
                    let value = rest.arguments.keep(at + 1);
                    let asked = key.map(|key| (write_over(&key, value, desk), key));
                    self.ask_part(turn, at, asked, false, desk);
                }
                verb => {
                    rest.next += 1;
                    let asked = key.map(|key| (read(true), key));
                    self.ask_part(turn, at, asked, verb == Verb::Del, desk);
                }
            }
        }
        true
    }

    fn ask_part(
        &mut self,
        turn: u64,
        part: usize,
        asked: Result<(Operation, Key), Reply>,
        leads_to_write: bool,
        desk: &mut Desk<'_>,
    ) {
        match asked {
            Ok((operation, key)) => desk.asks.push(Ask {
                ticket: Turns::ticket(turn, part),
                key,
                operation,
                options: Options::default(),
                leads_to_write,
            }),
            Err(reply) => self.turns.part_failed(turn, reply, desk.out),
        }
    }

    fn ask(&mut self, asked: Asked, desk: &mut Desk<'_>) {
        match asked {
            Ok((key, operation, options, wish)) => {
                let leads_to_write = matches!(wish, Wish::Taken(_));
                let turn = self.turns.take(State::Asked(wish), self.version);
                desk.asks.push(Ask {
                    ticket: Turns::ticket(turn, 0),
                    key,
                    operation,
                    options,
                    leads_to_write,
                });
            }
            Err(reply) => self.say(reply, desk),
        }
    }

    fn say(&mut self, reply: Reply, desk: &mut Desk<'_>) {
        self.turns.say(reply, self.version, desk.out);
    }

    /// The connection ends once all that was asked before is answered.
    fn part(&self) -> Result<(), Goodbye> {
        match self.goodbye {
            Some(goodbye) if self.turns.are_over() => Err(goodbye),
            _ => Ok(()),
        }
    }
}

impl Front for Resp {
    fn receive(&mut self, input: &mut BytesMut, desk: &mut Desk<'_>) -> Result<(), Goodbye> {
        let bounds = bounds(&desk.site.config.limits);
        while self.goodbye.is_none() && self.ask_rest(desk) {
            if !self.turns.have_room() || !desk.has_room() {
                return Ok(());
            }
            match self.reader.next(input, bounds) {
                Ok(None) => return Ok(()),
                Ok(Some(Read::Command(arguments))) => self.run(arguments, desk),
                Ok(Some(Read::Dropped(excess))) => {
                    self.say(Reply::error(format!("ERR {excess}")), desk);
                }
                Err(malformed) => {
                    let error = Reply::error(format!("ERR Protocol error: {malformed}"));
                    self.say(error, desk);
                    self.goodbye = Some(Goodbye::Senseless("what follows is no RESP"));
                }
            }
        }
        if self.goodbye.is_some() {
            input.clear();
        }
        self.part()
    }

    fn answered(
        &mut self,
        ticket: Ticket,
        response: Response,
        desk: &mut Desk<'_>,
    ) -> Result<(), Goodbye> {
        if let Some((key, operation)) = self.turns.answered(ticket, response, desk) {
            desk.asks.push(Ask {
                ticket,
                key,
                operation,
                options: Options::default(),
                leads_to_write: true,
            });
        }
        self.ask_rest(desk);
        self.part()
    }

    fn administered(
        &mut self,
        ticket: Ticket,
        outcome: Result<Value, Refused>,
        desk: &mut Desk<'_>,
    ) -> Result<(), Goodbye> {
        let reply = match outcome {
            Ok(answer) => Reply::text(answer.to_string()),
            Err(refused) => Reply::error(format!("ERR {refused}")),
        };
        self.turns.administered(ticket, reply, desk.out);
        Ok(())
    }

    fn kept_back(&self) -> usize {
        self.turns.kept_back()
    }

    fn wants(&self) -> usize {
        self.reader.missing()
    }

    fn turn_away(&self, out: &mut BytesMut) {
        Reply::error("ERR max number of clients reached").write(self.version, out);
    }
}

fn bounds(limits: &Limits) -> Bounds {
    let argument = limits.value_bytes.max(LEAST_ARGUMENT_BYTES);
    Bounds {
        argument,
        command: LONGEST_ARGUMENTS * argument,
    }
}

/// A key of a bucket written `bucket` or `type/bucket`.
fn key(bucket: &[u8], key: &[u8], limits: &Limits) -> Result<Key, KeyError> {
    let slash = bucket.iter().position(|byte| *byte == b'/');
    let (bucket_type, bucket) = match slash {
        Some(at) => (&bucket[..at], &bucket[at + 1..]),
        None => (BUCKET_TYPE, bucket),
    };
    Key::new(bucket_type, bucket, key, limits)
}

/// What a command on one key asks of the node.
fn ask(verb: Verb, arguments: &Arguments, desk: &Desk<'_>) -> Asked {
    let limits = &desk.site.config.limits;
    let is_plain = !matches!(verb, Verb::DynamoGet | Verb::DynamoPut | Verb::DynamoDel);
    let key = match is_plain {
        true => key(BUCKET, arguments.at(1), limits),
        false => key(arguments.at(1), arguments.at(2), limits),
    };
    let key = key.map_err(outcome::bad_key)?;
    let mut options = Options::default();
    let (operation, wish) = match verb {
        Verb::Set => {
            check_set(arguments)?;
            (write_over(&key, arguments.keep(2), desk), Wish::Ok)
        }
        Verb::StrLen => (read(false), Wish::Length),
        Verb::Ttl => (read(true), Wish::Lifetime),
        Verb::GetDel => (read(false), Wish::Taken(key.clone())),
        Verb::DynamoGet => (read(false), Wish::Siblings),
        Verb::DynamoPut => {
            options.w = write_quorum(arguments)?;
            let content = Content::plain(arguments.keep(4));
            let without = Mode::Blind;
            (
                write_with(arguments.keep(3), without, content)?,
                Wish::Context,
            )
        }
        Verb::DynamoDel if arguments.len() > 4 => {
            return Err(Reply::error("ERR syntax error after the context"));
        }
        Verb::DynamoDel => {
            let (without, content) = (Mode::Overwrite, Content::Tombstone);
            (
                write_with(arguments.keep(3), without, content)?,
                Wish::Context,
            )
        }
        _ => (read(false), Wish::Value),
    };
    Ok((key, operation, options, wish))
}

/// What `SET` may say beyond its key and value.
fn check_set(arguments: &Arguments) -> Result<(), Reply> {
    for at in 3..arguments.len() {
        let option = arguments.at(at).to_ascii_uppercase();
        let reason = match &option[..] {
            b"KEEPTTL" => continue, // there is none
            b"NX" | b"XX" => NO_CONDITION,
            b"GET" => "reading and writing are two steps here: GET first",
            b"EX" | b"PX" | b"EXAT" | b"PXAT" => commands::NO_EXPIRY,
            _ => return Err(Reply::error("ERR syntax error")),
        };
        let option = String::from_utf8_lossy(&option);
        return Err(Reply::error(format!(
            "ERR SET with {option} is not supported: {reason}"
        )));
    }
    Ok(())
}

fn write_quorum(arguments: &Arguments) -> Result<Option<u8>, Reply> {
    match arguments.len() {
        5 => Ok(None),
        7 if arguments.at(5).eq_ignore_ascii_case(b"w") => number(arguments.at(6))
            .and_then(|number| u8::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| Reply::error("ERR W takes a number of replicas")),
        _ => Err(Reply::error(
            "ERR syntax error: after the value only W and a number may follow",
        )),
    }
}

fn read(head: bool) -> Operation {
    let seen = Vec::new();
    Operation::Get { head, seen }
}

/// A write in place of what is there.
fn write_over(key: &Key, value: Bytes, desk: &Desk<'_>) -> Operation {
    let mode = match desk.site.buckets.of(key).policy {
        Policy::Data(DataType::Register | DataType::MultiRegister) => {
            return Operation::Update {
                fastest: None,
                update: Action::Assign(value).into(),
                context: None,
            };
        }
        Policy::Siblings | Policy::Data(_) => Mode::Overwrite,
        Policy::LastWriteWins { .. } => Mode::Blind, // its stamp decides
    };
    Operation::Put {
        fastest: None,
        mode,
        content: Content::plain(value),
        condition: Condition::None,
    }
}

/// A write by somebody who hands back a context; an empty one is none.
fn write_with(context: Bytes, without: Mode, content: Content) -> Result<Operation, Reply> {
    let (fastest, mode) = match context.is_empty() {
        true => (None, without),
        false => {
            let context = Context::decode(context)
                .map_err(|error| Reply::error(format!("BADCONTEXT {error}")))?;
            (
                context.fastest,
                Mode::Context([context.sealed].into_iter().collect()),
            )
        }
    };
    Ok(Operation::Put {
        fastest,
        mode,
        content,
        condition: Condition::None,
    })
}

/// A delete of what was read.
fn delete(got: Got) -> Operation {
    Operation::Put {
        fastest: got.context.fastest,
        mode: Mode::Context([got.context.sealed].into_iter().collect()),
        content: Content::Tombstone,
        condition: Condition::None,
    }
}
