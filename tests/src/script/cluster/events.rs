//! What nodes are told and what they do about it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::node::{ClientRequest, Effect, Event, Notice, Op, Response, Start};
use dynamo_proto::store::{Command, Completion, Space, Span, WriteError};
use dynamo_proto::version::{Context, Record};
use dynamo_proto::wire::Message;
use dynamo_proto::{Instant, Now, WallTime};

use super::super::words::{Letter, count, place, safe, time, unwritten};
use super::{BEGINNING, Cluster, Sent, instant};

/// What follows at once from what a node did.
enum Todo {
    /// Its store carries a command out.
    Store(Op, Command),
    /// It is told something.
    Hear(Event),
}

/// Whoever sleeps so long is not woken in any script.
const NEVER: Duration = Duration::from_secs(1 << 20);

impl Cluster {
    /// Gives a node an event, and its store what comes of it.
    pub(super) fn handle(&mut self, at: Letter, event: Event) -> Result<(), String> {
        let mut todo = VecDeque::new();
        self.step(at, event, &mut todo)?;
        while let Some(next) = todo.pop_front() {
            let event = match next {
                Todo::Store(op, command) => self.completed(at, op, command)?,
                Todo::Hear(event) => event,
            };
            self.step(at, event, &mut todo)?;
        }
        Ok(())
    }

    /// A command that the store had held back.
    pub(super) fn stored(&mut self, at: Letter, op: Op, command: Command) -> Result<(), String> {
        let event = self.completed(at, op, command)?;
        self.handle(at, event)
    }

    fn completed(&mut self, at: Letter, op: Op, command: Command) -> Result<Event, String> {
        let completion = self.machine(at)?.disk.carry_out(command.clone());
        // What a full store refuses was never there for anybody.
        if completion != Completion::Wrote(Err(WriteError::Full)) {
            self.check_dots(&command)?;
        }
        let text = match (&command, &completion) {
            (Command::Read { space, at }, Completion::Read(outcome)) => {
                format!(
                    "read {}: {}",
                    place(*space, at),
                    self.words.outcome(at, outcome)
                )
            }
            (Command::Write(batch), Completion::Wrote(result)) => {
                let what = match batch.changes.first() {
                    Some(change) => place(change.space, &change.at),
                    None => "nothing".into(),
                };
                match result {
                    Ok(durability) => format!("wrote {what}, {}", safe(*durability)),
                    Err(error) => format!("did not write {what}: {}", unwritten(*error)),
                }
            }
            (Command::Scan { space, .. }, Completion::Scanned(page)) => match page {
                Ok(page) if *space == Space::Objects => {
                    let more = if page.rest.is_some() {
                        ", and more"
                    } else {
                        ""
                    };
                    format!("finds {}{more}", count(page.items.len() as u32, "record"))
                }
                Ok(page) if page.items.is_empty() => "holds nothing for others".into(),
                Ok(page) => format!(
                    "holds {} for others",
                    count(page.items.len() as u32, "copy")
                ),
                Err(failed) => failed.to_string(),
            },
            _ => return Err("a store answers what was not asked".into()),
        };
        self.line(&format!("{at}: {text}"));
        Ok(Event::Stored { op, completion })
    }

    /// One event and its effects; what the store is to do at once is left to the caller.
    fn step(&mut self, at: Letter, event: Event, todo: &mut VecDeque<Todo>) -> Result<(), String> {
        let now = self.now;
        let machine = self.machine(at)?;
        let wall = BEGINNING.as_micros() + now.as_micros() as u64;
        let now = Now {
            mono: instant(now),
            wall: WallTime::from_micros(wall.saturating_add_signed(machine.off_by)),
        };
        let node = machine.node.as_mut();
        let node = node.ok_or_else(|| format!("{at} has crashed"))?;
        let mut effects = Vec::new();
        node.handle(now, event, &mut effects);
        let wakes = node.next_deadline().filter(|at| *at < instant(NEVER));
        if wakes.is_some_and(|wakes| wakes <= now.mono) {
            return Err(format!("{at} wants to be woken in the past"));
        }
        for effect in effects {
            self.effect(at, effect, todo)?;
        }
        let machine = self.machine(at)?;
        let outstanding = machine.disk.waiting.len() + todo.len();
        if outstanding > machine.config.capacity.stores() {
            return Err(format!("{at} asks too much of its store"));
        }
        if std::mem::replace(&mut machine.wakes, wakes) != wakes && machine.node.is_some() {
            match wakes {
                Some(at) => {
                    self.effect_line(&format!("wakes at {}", time(at.since(Instant::default()))))
                }
                None => self.effect_line("sleeps"),
            }
        }
        Ok(())
    }

    fn effect(
        &mut self,
        at: Letter,
        effect: Effect,
        todo: &mut VecDeque<Todo>,
    ) -> Result<(), String> {
        match effect {
            Effect::Send { to, message } => {
                let to: Vec<_> = to.iter().map(|id| self.words.letter(*id)).collect();
                let first = *to.first().ok_or("a message to nobody")?;
                let names: Vec<_> = to.iter().map(Letter::to_string).collect();
                let text = self.words.message(at, first, &message);
                self.effect_line(&format!("to {}: {text}", names.join(", ")));
                let message = Message::decode(&message.encode())
                    .map_err(|error| format!("does not cross the wire: {error}"))?;
                for to in to {
                    if self.cut.contains(&(at, to)) {
                        self.effect_line(&format!("lost on the way to {to}"));
                        continue;
                    }
                    let (link, message) = ((at, to), message.clone());
                    self.sent.push_back(Sent { link, message });
                }
            }
            // What it writes down about its cluster is always safe, and nothing is decided here.
            Effect::Store {
                op,
                command: Command::Write(batch),
            } if batch.changes.iter().any(|it| it.space == Start::SPACE) => {
                let completion = Completion::Wrote(Ok(batch.durability));
                todo.push_back(Todo::Hear(Event::Stored { op, completion }));
            }
            // Trees follow what is kept, whatever the store does: that is not what scripts are about.
            Effect::Store { op, command } if is_of_trees(&command) => {
                let disk = &self.machine(at)?.disk;
                let completion = disk.carry_out_quietly(command);
                todo.push_back(Todo::Hear(Event::Stored { op, completion }));
            }
            Effect::Store { op, command } => {
                let text = self.words.command(&command);
                let disk = &mut self.machine(at)?.disk;
                if disk.holds {
                    disk.waiting.push_back((op, command));
                    self.effect_line(&format!("{text} (held)"));
                } else {
                    todo.push_back(Todo::Store(op, command));
                    self.effect_line(&text);
                }
            }
            Effect::Introduce { .. } => return Err("nobody here has a seed".into()),
            Effect::Reply { client, response } => self.reply(at, client, &response)?,
            Effect::Draw => {
                let (boot, _) = self.machine(at)?.draw();
                self.effect_line("asks for a new boot");
                todo.push_back(Todo::Hear(Event::Drawn { boot }));
            }
            Effect::Notify(Notice::Answered { .. }) => {} // as the answer shows
            Effect::Notify(notice) => {
                let text = self.words.notice(&notice);
                self.effect_line(&text);
            }
            Effect::Halt(reason) => {
                self.effect_line(&format!("halt: {reason}"));
                todo.clear();
                self.crash(at, false)?;
            }
        }
        Ok(())
    }

    fn reply(
        &mut self,
        at: Letter,
        number: ClientRequest,
        response: &Response,
    ) -> Result<(), String> {
        let client = self.clients.get_mut(&number);
        let client = client.filter(|client| client.at == at);
        let client = client.ok_or("an answer to nobody")?;
        if std::mem::replace(&mut client.is_settled, true) {
            return Err(format!("#{} was answered twice", number.0));
        }
        let context = match response {
            Response::Got(got) => Some(got.context.clone()),
            Response::Put(written) => written.context.clone().map(|sealed| Context {
                sealed,
                fastest: None,
            }),
            Response::Listed(listed) => {
                if let (Some(name), Some(rest)) = (client.name.take(), &listed.rest) {
                    self.rests.insert(name, Span::new(rest.clone(), None));
                }
                None
            }
            Response::Fetched(_) | Response::Failed(_) | Response::Unknown => None,
        };
        if let (Some(name), Some(context)) = (client.name.take(), context) {
            self.words.call(&context.sealed, &name);
            self.contexts.insert(name, context);
        }
        let text = self.words.response(&client.key, response);
        self.effect_line(&format!("answer #{}: {text}", number.0));
        Ok(())
    }

    /// A dot names one write, wherever it turns up.
    fn check_dots(&mut self, command: &Command) -> Result<(), String> {
        let Command::Write(batch) = command else {
            return Ok(());
        };
        for change in &batch.changes {
            let bytes: Bytes = change.bytes.clone().unwrap_or_default();
            let Ok(record) = Record::decode(&change.at, bytes) else {
                continue;
            };
            for sibling in record.siblings().values() {
                let request = sibling.value.request;
                if *self.minted.entry(sibling.dot).or_insert(request) != request {
                    let dot = self.words.dot(&sibling.dot);
                    return Err(format!("{dot} was minted twice"));
                }
            }
        }
        Ok(())
    }
}

/// How many records whoever compares them with trees looks at, at a time; nobody else does so.
const AUDITED: usize = 1000;

/// Whether a command is about trees alone, or compares them with what they are of.
fn is_of_trees(command: &Command) -> bool {
    match command {
        Command::Read { space, .. } => *space == Space::Trees,
        Command::Scan { space, limit, .. } => match space {
            Space::Trees => true,
            Space::Objects => limit.items == AUDITED,
            Space::Hints | Space::Meta => false,
        },
        Command::Write(batch) => {
            let mut changes = batch.changes.iter();
            !batch.changes.is_empty() && changes.all(|change| change.space == Space::Trees)
        }
    }
}
