//! An invented cluster, and what commands do to it.

mod events;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use dynamo_proto::node::{
    ClientRequest, Condition, Config, Event, Listing, Mode, Node, Operation, Request, Start,
};
use dynamo_proto::ring::Ring;
use dynamo_proto::store::{Address, Space, Span};
use dynamo_proto::version::{Boot, Content, Context, Dot, Policy, Record, RequestId};
use dynamo_proto::wire::Message;
use dynamo_proto::{Instant, Key, NodeId, Seed, WallTime};

use super::command::{Ask, Command, If, Link, Seen, Storing, What, Which};
use super::disk::{Disk, Mood};
use super::shape::{SECRET, Shape};
use super::words::{Letter, Words, name, time, unsent};

/// The calendar's time when a script begins.
const BEGINNING: WallTime = WallTime::from_secs(1_700_000_000);

/// More deadlines than this within one command: a machine that spins.
const MOST_TICKS: usize = 1000;

pub(super) struct Cluster {
    shape: Shape,
    ring: Arc<Ring>,
    words: Words,
    machines: BTreeMap<Letter, Machine>,
    /// Messages under way, in the order in which they were sent.
    sent: VecDeque<Sent>,
    cut: BTreeSet<Link>,
    clients: BTreeMap<ClientRequest, Client>,
    contexts: BTreeMap<String, Context>,
    /// Where listings go on.
    rests: BTreeMap<String, Span>,
    /// Which request each dot was minted for.
    minted: BTreeMap<Dot, RequestId>,
    now: Duration,
    trace: String,
}

/// A node and what it stands on.
struct Machine {
    node: Option<Node>,
    config: Arc<Config>,
    disk: Disk,
    starts: u64,
    /// Of its wall clock, in microseconds.
    off_by: i64,
    /// When it last said that it wants to be woken.
    wakes: Option<Instant>,
}

impl Machine {
    /// What stands for randomness: never the same twice.
    fn draw(&mut self) -> (Boot, Seed) {
        self.starts += 1;
        let number = self.config.node.0 << 32 | self.starts;
        (Boot(number), Seed(number))
    }
}

struct Sent {
    link: Link,
    message: Message,
}

/// A client that has asked.
struct Client {
    at: Letter,
    key: Key,
    /// What to call the context that it will get.
    name: Option<String>,
    request: Request,
    /// When its time is up.
    deadline: Duration,
    is_settled: bool,
}

impl Cluster {
    pub(super) fn new(shape: Shape) -> Result<(Self, String), String> {
        let ring = Arc::new(shape.ring()?);
        let key = shape.key(&shape.key)?;
        let mut letters = BTreeMap::new();
        let (mut on_duty, mut others) = (Vec::new(), Vec::new());
        for (at, member) in ring.lookup(key.token()).iter().enumerate() {
            let letter = Letter::of(at);
            letters.insert(member.id, letter);
            let text = if shape.hosts < shape.nodes {
                format!("{letter} ({})", member.host)
            } else {
                letter.to_string()
            };
            let is_primary = at < shape.bucket.n.into();
            if is_primary {
                &mut on_duty
            } else {
                &mut others
            }
            .push(text);
        }
        let mut trace = format!("{} on duty for {}", on_duty.join(", "), shape.key);
        if !others.is_empty() {
            let _ = write!(trace, ", not {}", others.join(", "));
        }
        trace.push('\n');
        let machines = letters.iter().map(|(id, letter)| {
            let machine = Machine {
                node: None,
                config: shape.config(*id),
                disk: Disk::new(),
                starts: 0,
                off_by: 0,
                wakes: None,
            };
            (*letter, machine)
        });
        let machines = machines.collect();
        let has_stamps = matches!(shape.bucket.policy, Policy::LastWriteWins { .. });
        let mut cluster = Self {
            shape,
            ring,
            words: Words::new(letters, SECRET, has_stamps.then_some(BEGINNING)),
            machines,
            sent: VecDeque::new(),
            cut: BTreeSet::new(),
            clients: BTreeMap::new(),
            contexts: BTreeMap::new(),
            rests: BTreeMap::new(),
            minted: BTreeMap::new(),
            now: Duration::ZERO,
            trace: String::new(),
        };
        for letter in cluster.letters() {
            cluster.start(letter)?;
        }
        cluster.trace.clear(); // what all nodes do at their start
        Ok((cluster, trace))
    }

    /// Carries out a command and returns the trace of it.
    pub(super) fn run(&mut self, command: Command) -> Result<String, String> {
        match command {
            Command::Cluster(_) => return Err("there is a cluster already".into()),
            Command::Ask(ask) => self.ask(ask)?,
            Command::Often { times, wait, ask } => {
                for _ in 0..times {
                    self.ask(ask.clone())?;
                    self.tick(wait)?;
                    self.run(Command::Deliver(Which::Among(Vec::new())))?;
                }
                self.trace.clear();
            }
            Command::Deliver(which) => {
                self.each(&which, |cluster, sent| cluster.deliver(sent))?;
            }
            Command::Drop(which) => self.each(&which, |cluster, sent| {
                cluster.lose(&sent);
                Ok(())
            })?,
            Command::Copy(link) => {
                let at = self.first_on(link)?;
                let message = self.sent[at].message.clone();
                self.sent.push_back(Sent { link, message });
            }
            Command::Unsent(link, why) => {
                let Sent { message, .. } = self.take(link)?;
                let text = self.words.message(link.0, link.1, &message);
                let why_not = unsent(why);
                self.line(&format!(
                    "{}: {why_not}, not sent to {}: {text}",
                    link.0, link.1
                ));
                let to = self.id(link.1)?;
                self.handle(link.0, Event::Unsent { to, message, why })?;
            }
            Command::Break(one, other) => self.break_off(one, other)?,
            Command::Cut(links) => {
                for link in links {
                    self.machine(link.0)?;
                    self.machine(link.1)?;
                    self.cut.insert(link);
                }
            }
            Command::Heal => self.cut.clear(),
            Command::Queue => {
                for at in 0..self.sent.len() {
                    let Sent { link, message } = &self.sent[at];
                    let text = self.words.message(link.0, link.1, message);
                    let line = format!("{}->{}: {text}", link.0, link.1);
                    self.line(&line);
                }
            }
            Command::Tick(wait) => self.tick(wait)?,
            Command::Clock(at, off_by) => self.machine(at)?.off_by = off_by,
            Command::Crash { at, after_writing } => self.crash(at, after_writing)?,
            Command::Restart(at) => {
                if self.machine(at)?.node.is_some() {
                    return Err(format!("{at} has not crashed"));
                }
                self.start(at)?;
            }
            Command::Store(at, storing) => self.set_store(at, storing)?,
            Command::Show(at, key) => self.show(at, &key)?,
            Command::Damage(at, key) => {
                let key = self.shape.key(&key)?;
                self.machine(at)?.disk.damage(&key)?;
            }
            Command::Scrub(at, key) => {
                let key = self.shape.key(&key)?;
                self.line(&format!("{at}: {} is found damaged", name(&key)));
                let damaged = Event::Damaged {
                    space: Space::Objects,
                    at: Address::of_object(key.token(), key.encoded()),
                };
                self.handle(at, damaged)?;
            }
            Command::Wipe(at) => self.machine(at)?.disk.wipe(),
        }
        Ok(std::mem::take(&mut self.trace))
    }

    /// What must hold when a script is over.
    pub(super) fn check_end(&self) -> Result<(), String> {
        let open = self.clients.iter().find(|(_, client)| !client.is_settled);
        match open {
            Some((client, _)) => Err(format!("#{} was never answered", client.0)),
            None => Ok(()),
        }
    }

    fn ask(&mut self, ask: Ask) -> Result<(), String> {
        let Ask {
            at,
            key,
            what,
            options,
            name,
            again,
            is_retry,
            waited,
        } = ask;
        self.machine(at)?;
        let key = self.shape.key(&key)?;
        let number = self.clients.len() as u64 + 1;
        let request = match again {
            Some(earlier) => {
                let earlier = self.clients.get(&ClientRequest(earlier));
                let earlier = earlier.ok_or("there is no request of that number")?;
                earlier.request.id
            }
            None => RequestId(number.into()),
        };
        let operation = match what {
            What::Get { head } => Operation::Get {
                head,
                seen: Vec::new(),
            },
            What::Put {
                value,
                mode,
                condition,
                fastest,
            } => self.put(value, mode, condition, fastest)?,
            What::List { scope, most, from } => {
                let rest = from.map(|name| self.rests.get(&name).ok_or("no listing ended so"));
                let span = rest.transpose()?.cloned().unwrap_or_else(Span::all);
                Operation::List(Listing { scope, span, most })
            }
            What::Update(action) => Operation::Update {
                fastest: None,
                update: action.into(),
                context: None,
            },
        };
        let request = Request {
            id: request,
            is_retry,
            key: key.clone(),
            operation,
            options,
        };
        let timing = self.shape.timing;
        let timeout = options.timeout.unwrap_or(timing.timeout);
        let arrived = self.now.saturating_sub(waited);
        let client = Client {
            at,
            key,
            name,
            request: request.clone(),
            deadline: (arrived + timeout.min(timing.longest_timeout)).max(self.now),
            is_settled: false,
        };
        let again = again.map_or(String::new(), |earlier| format!(", again #{earlier}"));
        let text = self.words.request(&request);
        let waited = if waited.is_zero() {
            String::new()
        } else {
            format!(", {} ago", time(waited))
        };
        self.line(&format!("{at}: #{number}{again} {text}{waited}"));
        self.clients.insert(ClientRequest(number), client);
        let event = Event::Client {
            client: ClientRequest(number),
            arrived: instant(arrived),
            request,
        };
        self.handle(at, event)
    }

    fn put(
        &mut self,
        value: Option<String>,
        mode: Seen,
        condition: If,
        fastest: Option<Letter>,
    ) -> Result<Operation, String> {
        let mut fastest = fastest.map(|letter| self.id(letter)).transpose()?;
        let mode = match mode {
            Seen::Context(name) => {
                let context = self.context(&name)?;
                fastest = fastest.or(context.fastest);
                Mode::Context([context.sealed].into_iter().collect())
            }
            Seen::Nothing => Mode::Blind,
            Seen::Whatever => Mode::Overwrite,
        };
        let condition = match condition {
            If::Always => Condition::None,
            If::Absent => Condition::Absent,
            If::Unchanged(name) => Condition::Unchanged(self.context(&name)?.sealed),
        };
        let content = value.map_or(Content::Tombstone, Content::plain);
        Ok(Operation::Put {
            fastest,
            mode,
            content,
            condition,
        })
    }

    /// The context of that name, which from now on is shown by it.
    fn context(&mut self, name: &str) -> Result<Context, String> {
        let context = self.contexts.get(name);
        let context = context.ok_or_else(|| format!("no context ${name} was given"))?;
        self.words.call(&context.sealed, name);
        Ok(context.clone())
    }

    /// Does something with each of those messages.
    fn each(
        &mut self,
        which: &Which,
        mut what: impl FnMut(&mut Self, Sent) -> Result<(), String>,
    ) -> Result<(), String> {
        match which {
            Which::On(link, count) => {
                for _ in 0..*count {
                    let sent = self.take(*link)?;
                    what(self, sent)?;
                }
            }
            Which::Among(nodes) => {
                for letter in nodes {
                    self.machine(*letter)?;
                }
                let is_among = |letter: &Letter| nodes.is_empty() || nodes.contains(letter);
                let is_meant = |sent: &Sent| is_among(&sent.link.0) && is_among(&sent.link.1);
                while let Some(at) = self.sent.iter().position(is_meant)
                    && let Some(sent) = self.sent.remove(at)
                {
                    what(self, sent)?;
                }
            }
        }
        Ok(())
    }

    fn deliver(&mut self, Sent { link, message }: Sent) -> Result<(), String> {
        let (from, to) = link;
        let text = self.words.message(from, to, &message);
        if self.machine(to)?.node.is_none() {
            self.line(&format!("{from}->{to}: nobody there for {text}"));
            return Ok(());
        }
        self.line(&format!("{from}->{to}: {text}"));
        let event = Event::Peer {
            from: self.id(from)?,
            arrived: instant(self.now),
            message,
        };
        self.handle(to, event)
    }

    fn lose(&mut self, Sent { link, message }: &Sent) {
        let text = self.words.message(link.0, link.1, message);
        self.line(&format!("{}->{}: lost: {text}", link.0, link.1));
    }

    fn break_off(&mut self, one: Letter, other: Letter) -> Result<(), String> {
        for link in [(one, other), (other, one)] {
            while let Ok(sent) = self.take(link) {
                self.lose(&sent);
            }
        }
        for (at, peer) in [(one, other), (other, one)] {
            let id = self.id(peer)?;
            if self.machine(at)?.node.is_some() {
                self.line(&format!("{at}: connection to {peer} lost"));
                self.handle(at, Event::PeerLost { peer: id })?;
            }
        }
        Ok(())
    }

    /// Time passes, with a stop at each deadline.
    fn tick(&mut self, wait: Duration) -> Result<(), String> {
        let until = self.now + wait;
        for _ in 0..MOST_TICKS {
            let next = |machine: &Machine| machine.node.as_ref()?.next_deadline();
            let due = self.machines.iter().filter_map(|(letter, machine)| {
                let at = next(machine)?;
                (at <= instant(until)).then_some((at, *letter))
            });
            let Some((at, letter)) = due.min() else {
                self.now = until;
                return self.check_deadlines();
            };
            self.now = self.now.max(at.since(Instant::default()));
            self.line(&format!("{letter}: it is {}", time(self.now)));
            self.handle(letter, Event::Tick)?;
        }
        Err("a node wants to be woken again and again".into())
    }

    fn check_deadlines(&self) -> Result<(), String> {
        let mut clients = self.clients.iter();
        let late = clients.find(|(_, client)| !client.is_settled && client.deadline <= self.now);
        match late {
            Some((client, _)) => Err(format!("#{} was not answered in time", client.0)),
            None => Ok(()),
        }
    }

    fn start(&mut self, at: Letter) -> Result<(), String> {
        let (ring, bucket) = (self.ring.clone(), self.shape.bucket.clone());
        let machine = self.machine(at)?;
        let (boot, seed) = machine.draw();
        let config = machine.config.clone();
        let start = Start {
            is_restored: true,
            ..Start::founder(config.cluster, &ring, bucket.into(), config.node)
        };
        let node = Node::new(config, start, boot, seed);
        machine.node = Some(node.map_err(|error| error.to_string())?);
        self.handle(at, Event::Tick)
    }

    fn crash(&mut self, at: Letter, after_writing: bool) -> Result<(), String> {
        let machine = self.machine(at)?;
        if machine.node.take().is_none() {
            return Err(format!("{at} has crashed already"));
        }
        machine.wakes = None;
        for (_, command) in std::mem::take(&mut machine.disk.waiting) {
            let text = self.words.command(&command);
            if after_writing {
                self.machine(at)?.disk.carry_out(command);
                self.line(&format!("{at}: crashes after this: {text}"));
            } else {
                self.line(&format!("{at}: crashes before this: {text}"));
            }
        }
        let clients = self.clients.iter_mut();
        let open = clients.filter(|(_, client)| client.at == at && !client.is_settled);
        for (number, client) in open {
            client.is_settled = true;
            let _ = writeln!(self.trace, "#{} will not be answered", number.0);
        }
        Ok(())
    }

    fn set_store(&mut self, at: Letter, storing: Storing) -> Result<(), String> {
        let disk = &mut self.machine(at)?.disk;
        match storing {
            Storing::Holds => disk.holds = true,
            Storing::Next => {
                let next = disk.waiting.pop_front();
                let (op, command) = next.ok_or("its store holds nothing")?;
                self.stored(at, op, command)?;
            }
            Storing::Mood(mood) => {
                disk.mood = mood;
                if mood == Mood::Works {
                    disk.holds = false;
                }
                while !self.machine(at)?.disk.holds
                    && let Some((op, command)) = self.machine(at)?.disk.waiting.pop_front()
                {
                    self.stored(at, op, command)?;
                }
            }
        }
        Ok(())
    }

    fn show(&mut self, at: Letter, key: &str) -> Result<(), String> {
        let key = self.shape.key(key)?;
        let (place, bytes) = self.machine(at)?.disk.look(&key);
        let text = match bytes {
            None => "nothing".into(),
            Some(bytes) => {
                let minted = Record::decode(&place, bytes.clone())
                    .ok()
                    .and_then(|record| record.minted().copied());
                let state = self.words.record(&place, &bytes);
                match minted {
                    Some(dot) => format!("{state}, last minted here {}", self.words.dot(&dot)),
                    None => state,
                }
            }
        };
        self.line(&format!("{at} holds {} = {text}", name(&key)));
        Ok(())
    }

    fn take(&mut self, link: Link) -> Result<Sent, String> {
        let at = self.first_on(link)?;
        Ok(self.sent.remove(at).expect("just found there"))
    }

    fn first_on(&self, link: Link) -> Result<usize, String> {
        let at = self.sent.iter().position(|sent| sent.link == link);
        at.ok_or_else(|| format!("nothing waits on {}->{}", link.0, link.1))
    }

    fn machine(&mut self, at: Letter) -> Result<&mut Machine, String> {
        let machine = self.machines.get_mut(&at);
        machine.ok_or_else(|| format!("no node {at}"))
    }

    fn id(&mut self, letter: Letter) -> Result<NodeId, String> {
        Ok(self.machine(letter)?.config.node)
    }

    fn letters(&self) -> Vec<Letter> {
        self.machines.keys().copied().collect()
    }

    fn line(&mut self, text: &str) {
        self.trace.push_str(text);
        self.trace.push('\n');
    }

    fn effect_line(&mut self, text: &str) {
        self.line(&format!("   {text}"));
    }
}

fn instant(since_start: Duration) -> Instant {
    Instant::from_nanos(since_start.as_nanos() as u64)
}
