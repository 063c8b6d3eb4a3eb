//! Many small machines on a network that loses and delays: nothing but time, messages and counts.

use std::time::Duration;

use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A machine that is run.
pub(crate) trait Machine {
    type Message;

    /// When it wants to be woken, in milliseconds.
    fn deadline(&self) -> Option<u64>;
    /// Time has passed.
    fn tick(&mut self, now: u64, out: &mut Out<Self::Message>);
    /// A message came.
    fn handle(
        &mut self,
        now: u64,
        from: usize,
        message: Self::Message,
        out: &mut Out<Self::Message>,
    );
    /// How long a message is.
    fn bytes(message: &Self::Message) -> usize;
}

/// What a machine puts out.
pub(crate) struct Out<M> {
    pub(crate) messages: Vec<(usize, M)>,
    pub(crate) happened: Vec<Happened>,
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// A node believes another to be down.
    Suspects(usize),
    /// And no more.
    Trusts(usize),
    /// A node knows of a history of this height.
    Knows(u32),
    /// A node knows that everybody has its history.
    Settled,
}

/// What the network does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Of a thousand messages.
    pub(crate) lost: u64,
}

/// Slots of the wheel, a millisecond each: nobody plans further ahead.
const SLOTS: u64 = 4096;
/// What every message costs beside its own bytes: a frame's head.
const HEAD: usize = dynamo_proto::wire::HEADER_BYTES;

enum Due<M> {
    Wake(usize),
    Arrives { from: usize, to: usize, message: M },
}

pub(crate) struct World<M: Machine> {
    pub(crate) nodes: Vec<M>,
    pub(crate) is_down: Vec<bool>,
    pub(crate) now: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) messages: u64,
    /// When what happened where, since it was last taken.
    pub(crate) happened: Vec<(u64, usize, Happened)>,
    weather: Weather,
    wheel: Vec<Vec<Due<M::Message>>>,
    wakes: Vec<u64>,
    dice: Xoshiro256PlusPlus,
    out: Out<M::Message>,
}

impl<M: Machine> World<M> {
    pub(crate) fn new(nodes: Vec<M>, weather: Weather, seed: u64) -> Self {
        let count = nodes.len();
        let mut world = Self {
            nodes,
            is_down: vec![false; count],
            now: 0,
            sent: 0,
            received: 0,
            messages: 0,
            happened: Vec::new(),
            weather,
            wheel: (0..SLOTS).map(|_| Vec::new()).collect(),
            wakes: vec![u64::MAX; count],
            dice: Xoshiro256PlusPlus::seed_from_u64(seed),
            out: Out {
                messages: Vec::new(),
                happened: Vec::new(),
            },
        };
        for node in 0..count {
            world.rouse(node);
        }
        world
    }

    /// A number below the bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.dice.next_u64() % bound.max(1)
    }

    /// Something else changed the node: it is asked anew when it wants to be woken.
    pub(crate) fn rouse(&mut self, node: usize) {
        self.wakes[node] = u64::MAX;
        self.plan(node);
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now + time.as_millis() as u64;
        self.run_while(until, |_| true);
    }

    /// Runs until then, or until the condition fails, which is looked at every ten milliseconds.
    pub(crate) fn run_while(&mut self, until: u64, mut goes_on: impl FnMut(&mut Self) -> bool) {
        while self.now < until {
            if self.now.is_multiple_of(10) && !goes_on(self) {
                return;
            }
            self.now += 1;
            let slot = (self.now % SLOTS) as usize;
            let mut due = std::mem::take(&mut self.wheel[slot]);
            for due in due.drain(..) {
                match due {
                    Due::Wake(node) if self.wakes[node] == self.now && !self.is_down[node] => {
                        self.nodes[node].tick(self.now, &mut self.out);
                        self.after(node);
                    }
                    Due::Wake(_) => {}
                    Due::Arrives { from, to, message } => {
                        if self.is_down[to] {
                            continue;
                        }
                        self.received += (M::bytes(&message) + HEAD) as u64;
                        self.nodes[to].handle(self.now, from, message, &mut self.out);
                        self.after(to);
                    }
                }
            }
            // Its room is kept for the next turn.
            due.append(&mut self.wheel[slot]);
            self.wheel[slot] = due;
        }
    }

    /// Lets a node say what it has to say.
    pub(crate) fn say(&mut self, node: usize, act: impl FnOnce(&mut M, u64, &mut Out<M::Message>)) {
        act(&mut self.nodes[node], self.now, &mut self.out);
        self.after(node);
    }

    fn after(&mut self, from: usize) {
        let mut messages = std::mem::take(&mut self.out.messages);
        for (to, message) in messages.drain(..) {
            self.sent += (M::bytes(&message) + HEAD) as u64;
            self.messages += 1;
            let delay = self.delay();
            if self.dice.next_u64() % 1000 >= self.weather.lost {
                let slot = ((self.now + delay) % SLOTS) as usize;
                self.wheel[slot].push(Due::Arrives { from, to, message });
            }
        }
        self.out.messages = messages;
        let now = self.now;
        let happened = self.out.happened.drain(..);
        self.happened.extend(happened.map(|it| (now, from, it)));
        self.wakes[from] = u64::MAX;
        self.plan(from);
    }

    /// Mostly a few milliseconds, one in a hundred takes up to half a second.
    fn delay(&mut self) -> u64 {
        let draw = self.dice.next_u64();
        if draw.is_multiple_of(100) {
            20 + draw / 100 % 480
        } else {
            1 + draw / 100 % 19
        }
    }

    fn plan(&mut self, node: usize) {
        if let Some(at) = self.nodes[node].deadline() {
            let at = at.clamp(self.now + 1, self.now + SLOTS - 1);
            if at < self.wakes[node] {
                self.wakes[node] = at;
                self.wheel[(at % SLOTS) as usize].push(Due::Wake(node));
            }
        }
    }
}
