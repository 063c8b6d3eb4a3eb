//! One node, what its peers tell it, and a store that is a map.

use super::*;
use crate::store::{Batch, Completion};
use crate::version::{Policy, Record, Rules, Siblings, Write};
use crate::wire::{HeldCopy, Ticket};

/// The node that is there; three others are only names.
const ME: NodeId = NodeId(4);

struct Alone {
    node: Node,
    store: BTreeMap<(Space, Address), Bytes>,
    sent: Vec<(NodeId, Message)>,
    replies: Vec<Response>,
    asked: u64,
    /// Whether its store answers nothing.
    stands_still: bool,
    now: Now,
    /// Scans that the store does not answer, if it answers none.
    scans: Option<Vec<(Op, Command)>>,
}

impl Alone {
    /// A node that has counted what it holds for others.
    fn new() -> Self {
        let mut alone = Self::starting();
        alone.answer_scans();
        alone
    }

    /// A node whose store has not answered any scan yet.
    fn starting() -> Self {
        let mut nodes = Cluster::new(4, Bucket::default()).nodes;
        let mut alone = Self {
            node: nodes.remove(&ME).unwrap(),
            store: BTreeMap::new(),
            sent: Vec::new(),
            replies: Vec::new(),
            asked: 0,
            stands_still: false,
            now: Now {
                mono: Instant::from_nanos(1),
                wall: WallTime::from_secs(1000),
            },
            scans: Some(Vec::new()),
        };
        alone.handle(Event::Tick);
        alone
    }

    fn answer_scans(&mut self) {
        for (op, command) in self.scans.take().into_iter().flatten() {
            let completion = self.carry_out(command);
            self.handle(Event::Stored { op, completion });
        }
    }

    fn handle(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut effects = Vec::new();
            self.node.handle(self.now, event, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Send { to, message } => {
                        self.sent
                            .extend(to.into_iter().map(|to| (to, message.clone())));
                    }
                    Effect::Reply { response, .. } => self.replies.push(response),
                    Effect::Store { .. } if self.stands_still => {}
                    Effect::Store { op, command } => {
                        if let (Some(scans), Command::Scan { .. }) = (&mut self.scans, &command) {
                            scans.push((op, command));
                            continue;
                        }
                        let completion = self.carry_out(command);
                        events.push_back(Event::Stored { op, completion });
                    }
                    _ => {}
                }
            }
        }
    }

    fn carry_out(&mut self, command: Command) -> Completion {
        match command {
            Command::Read { space, at } => Completion::Read(match self.store.get(&(space, at)) {
                Some(bytes) => ReadOutcome::Found(bytes.clone()),
                None => ReadOutcome::Absent,
            }),
            Command::Write(Batch {
                changes,
                durability,
                ..
            }) => {
                for change in changes {
                    let place = (change.space, change.at);
                    match change.bytes {
                        Some(bytes) => self.store.insert(place, bytes),
                        None => self.store.remove(&place),
                    };
                }
                Completion::Wrote(Ok(durability))
            }
            Command::Scan { space, span, limit } => {
                let there = self.store.range((space, span.first().clone())..);
                let items = there
                    .take_while(|((other, at), _)| *other == space && span.contains(at))
                    .map(|((_, at), bytes)| {
                        Ok::<_, ScanFailed>(Item::Found {
                            at: at.clone(),
                            bytes: bytes.clone(),
                        })
                    });
                Completion::Scanned(Page::fill(&span, limit, items))
            }
        }
    }

    fn hear(&mut self, from: u64, message: Message) {
        self.handle(Event::Peer {
            from: NodeId(from),
            arrived: self.now.mono,
            message,
        });
    }

    /// A client writes blindly, and one copy is enough for it.
    fn put(&mut self, key: &Key) {
        let options = Options {
            w: Some(1),
            timeout: Some(Duration::from_secs(1)),
            ..Options::default()
        };
        let operation = Operation::Put {
            fastest: None,
            mode: Mode::Blind,
            content: Content::plain("tea"),
            condition: Condition::None,
        };
        self.asked += 1;
        let request = Request {
            id: RequestId(self.asked.into()),
            is_retry: false,
            key: key.clone(),
            operation,
            options,
        };
        self.handle(Event::Client {
            client: ClientRequest(self.asked),
            arrived: self.now.mono,
            request,
        });
    }

    /// A key for which this node only stands in.
    fn foreign_key(&self, number: u64) -> Option<Key> {
        let key = key(&format!("k{number}"));
        let on_duty = self.node.ring().lookup(key.token()).primaries(3);
        let is_mine = on_duty.into_iter().any(|member| member.id == ME);
        (!is_mine).then_some(key)
    }
}

fn key(name: &str) -> Key {
    Key::new("default", "test", name, &Limits::default()).unwrap()
}

/// What a node that is not there wrote.
fn state(len: usize, boot: u64) -> Siblings {
    let (limits, retired) = (Limits::default(), Retirements::default());
    let rules = Rules {
        policy: Policy::Siblings,
        truncate_to: None,
        limits: &limits,
        retired: &retired,
    };
    let mut births = Births::new(NodeId(99), Boot(boot));
    let write = Write {
        past: None,
        content: Content::plain(vec![7; len]),
        request: RequestId(boot.into()),
    };
    let mut record = Record::default();
    let minted = record.mint(write, WallTime::from_secs(1000), &mut births, &rules);
    minted.unwrap();
    record.into_siblings()
}

fn held_for(owner: NodeId, key: Key, number: u64) -> Message {
    Message::Store {
        epoch: Default::default(),
        ticket: Ticket(number),
        durability: Durability::Flushed,
        held_for: Some(owner),
        is_repair: false,
        key,
        siblings: state(5000, number + 1),
    }
}

#[test]
fn a_copy_that_its_owner_cannot_take_keeps_no_other_back() {
    let mut alone = Alone::new();
    let keys: Vec<_> = (0..200)
        .filter_map(|number| alone.foreign_key(number))
        .take(20)
        .collect();
    for (number, key) in (0..).zip(&keys) {
        alone.hear(1, held_for(NodeId(2), key.clone(), number));
    }
    assert_eq!(alone.node.held().copies, 20);
    let bad = keys.iter().min_by_key(|key| key.token()).unwrap();
    for _ in 0..600 {
        alone.now.mono = alone.now.mono + Duration::from_millis(100);
        alone.handle(Event::Tick);
        for (to, message) in core::mem::take(&mut alone.sent) {
            match message {
                Message::Handoff { ticket, copies } => {
                    let sound = |copy: &HeldCopy| copy.key != *bad;
                    let bits = copies.iter().zip(0..).filter(|(copy, _)| sound(copy));
                    let taken = bits.fold(0, |taken, (_, at)| taken | 1 << at);
                    let credit = 256 << 10;
                    alone.hear(
                        to.0,
                        Message::HandedOff {
                            ticket,
                            taken,
                            credit,
                        },
                    );
                }
                Message::Ping { ticket } => alone.hear(to.0, Message::Pong { ticket }),
                _ => {}
            }
        }
    }
    assert_eq!(alone.node.held().copies, 1);
}

#[test]
fn nothing_is_held_for_this_node_itself() {
    let mut alone = Alone::new();
    alone.hear(1, held_for(ME, key("a"), 1));
    let answer = alone.sent.pop();
    let is_refused = matches!(answer, Some((NodeId(1), Message::NotStored { .. })));
    assert!(is_refused, "{answer:?}");
    assert_eq!(alone.node.held().copies, 0);
}

#[test]
fn what_is_held_for_a_stranger_goes_to_who_is_on_duty() {
    let mut alone = Alone::new();
    let number = (0..).find(|it| alone.foreign_key(*it).is_some()).unwrap();
    let key = alone.foreign_key(number).unwrap();
    alone.hear(1, held_for(NodeId(777), key.clone(), 1));
    assert_eq!(alone.node.held().copies, 3);
    let list = alone.node.ring().lookup(key.token()).primaries(3);
    let mut homes: Vec<_> = list.map(|member| member.id).collect();
    alone.now.mono = alone.now.mono + Duration::from_secs(10);
    alone.handle(Event::Tick);
    homes.retain(|home| {
        let is_to = |(to, message): &(NodeId, Message)| {
            to == home && matches!(message, Message::Handoff { .. })
        };
        !alone.sent.iter().any(is_to)
    });
    assert_eq!(homes, [], "nothing is on its way to them");
}

#[test]
fn nothing_is_held_for_others_before_what_is_held_has_been_counted() {
    let mut alone = Alone::starting();
    for peer in 1..4 {
        alone.handle(Event::PeerLost { peer: NodeId(peer) });
    }
    let mine = |number: &u64| alone.foreign_key(*number).is_none();
    let number = (0..).find(mine).unwrap();
    alone.put(&key(&format!("k{number}")));
    let held = |alone: &Alone| alone.store.keys().any(|(space, _)| *space == Space::Hints);
    for _ in 0..40 {
        alone.now.mono = alone.now.mono + Duration::from_millis(100);
        alone.handle(Event::Tick);
    }
    assert_eq!(alone.node.running(), 0);
    assert!(!held(&alone), "what the others lack is not owed yet");
    alone.answer_scans();
    assert_eq!(alone.node.held().copies, 0);
}

#[test]
fn a_node_with_too_much_to_do_still_passes_on_what_others_can_do() {
    let mut alone = Alone::new();
    let most = alone.node.config.capacity.own();
    alone.stands_still = true;
    for number in 0..most as u64 {
        let fetch = Message::Fetch {
            epoch: Default::default(),
            ticket: Ticket(number),
            held_for: None,
            key: key("hot"),
        };
        alone.hear(1, fetch);
    }
    let numbers = 0..100;
    let (mut forwarded, mut refused) = (0, 0);
    for number in numbers {
        let is_foreign = alone.foreign_key(number).is_some();
        alone.put(&key(&format!("k{number}")));
        let sent = alone.sent.drain(..);
        let passed_on = sent.filter(|(_, message)| matches!(message, Message::Request { .. }));
        assert_eq!(passed_on.count(), usize::from(is_foreign));
        let response = Response::Failed(Failure::Overloaded);
        assert_eq!(alone.replies.pop(), (!is_foreign).then_some(response));
        forwarded += u32::from(is_foreign);
        refused += u32::from(!is_foreign);
    }
    assert!(forwarded > 10 && refused > 10);
}
