//! The other way to detect failures, to compare with: SWIM (Das, Gupta, Motivala, 2002) with
//! suspicion and rumours that ride on its pings.
//!
//! Each period every node pings one of the others, in a random order in which each comes once; if no
//! answer comes it has three more ping it. Who does not answer is suspected, and down for good after
//! a while that grows with the logarithm of the cluster, unless it says by then that it is there. The
//! factors are those of the best-known implementation (memberlist): 4 for suspicion and for how often
//! a rumour is passed on, ten rumours a message; like there, the doubted are told so with every
//! ping. It has no gossip besides, which that implementation has.

use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::world::{Happened, Machine, Out};

const PERIOD: u64 = 1000;
const PATIENCE: u64 = 500;
const RELAYS: usize = 3;
const FACTOR: u64 = 4;
const RIDERS: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Belief {
    Alive,
    Suspect,
    Down,
}

#[derive(Clone, Copy)]
struct Rumour {
    about: usize,
    belief: Belief,
    incarnation: u32,
}

#[derive(Clone, Copy)]
enum Kind {
    Ping { asker: usize },
    Ack { asker: usize, subject: usize },
    Reach { subject: usize },
}

pub(crate) struct Said {
    kind: Kind,
    number: u32,
    rumours: Vec<Rumour>,
}

pub(crate) struct Swim {
    me: usize,
    beliefs: Vec<(Belief, u32)>,
    incarnation: u32,
    order: Vec<usize>,
    next_in_order: usize,
    next_period: u64,
    number: u32,
    /// Whom it pings in this period, and when it asks others to.
    probe: Option<(usize, u64)>,
    /// Until when the suspected may deny it.
    suspects: Vec<(usize, u64)>,
    rumours: Vec<(Rumour, u64)>,
    dice: Xoshiro256PlusPlus,
}

pub(crate) fn born(nodes: usize, seed: u64) -> Vec<Swim> {
    let node = |me| {
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed ^ (me as u64) << 20);
        Swim {
            me,
            beliefs: vec![(Belief::Alive, 0); nodes],
            incarnation: 0,
            order: (0..nodes).filter(|node| *node != me).collect(),
            next_in_order: usize::MAX,
            next_period: dice.next_u64() % PERIOD,
            number: 0,
            probe: None,
            suspects: Vec::new(),
            rumours: Vec::new(),
            dice,
        }
    };
    (0..nodes).map(node).collect()
}

impl Swim {
    fn logarithm(&self) -> u64 {
        (self.beliefs.len() as f64).log10().ceil().max(1.0) as u64
    }

    fn say(&mut self, to: usize, kind: Kind, number: u32, out: &mut Out<Said>) {
        // Those that were passed on least go first.
        self.rumours
            .sort_by_key(|(_, left)| std::cmp::Reverse(*left));
        let mut rumours: Vec<_> = (self.rumours.iter().take(RIDERS))
            .map(|(rumour, _)| *rumour)
            .collect();
        // Whoever is doubted is told so, however often that was passed on.
        let (belief, incarnation) = self.beliefs[to];
        if belief != Belief::Alive && rumours.iter().all(|it| it.about != to) {
            rumours.push(Rumour {
                about: to,
                belief,
                incarnation,
            });
        }
        for (_, left) in self.rumours.iter_mut().take(RIDERS) {
            *left -= 1;
        }
        self.rumours.retain(|(_, left)| *left > 0);
        out.messages.push((
            to,
            Said {
                kind,
                number,
                rumours,
            },
        ));
    }

    fn believe(&mut self, rumour: Rumour, now: u64, out: &mut Out<Said>) {
        let Rumour {
            about,
            belief,
            incarnation,
        } = rumour;
        if about == self.me {
            if belief != Belief::Alive && incarnation >= self.incarnation {
                self.incarnation = incarnation + 1;
                self.pass_on(Rumour {
                    about,
                    belief: Belief::Alive,
                    incarnation: self.incarnation,
                });
            }
            return;
        }
        let (old, then) = self.beliefs[about];
        let is_news = match belief {
            Belief::Alive => incarnation > then,
            Belief::Suspect => incarnation > then || (incarnation == then && old == Belief::Alive),
            Belief::Down => incarnation >= then && old != Belief::Down,
        };
        if !is_news {
            return;
        }
        self.beliefs[about] = (belief, incarnation);
        self.suspects.retain(|(node, _)| *node != about);
        match belief {
            Belief::Suspect => {
                self.suspects
                    .push((about, now + FACTOR * self.logarithm() * PERIOD));
            }
            Belief::Down => out.happened.push(Happened::Suspects(about)),
            Belief::Alive if old == Belief::Down => out.happened.push(Happened::Trusts(about)),
            Belief::Alive => {}
        }
        self.pass_on(rumour);
    }

    fn pass_on(&mut self, rumour: Rumour) {
        self.rumours.retain(|(old, _)| old.about != rumour.about);
        self.rumours.push((rumour, FACTOR * self.logarithm()));
    }

    fn next_subject(&mut self) -> Option<usize> {
        for _ in 0..self.order.len() {
            if self.next_in_order >= self.order.len() {
                for at in (1..self.order.len()).rev() {
                    let other = self.dice.next_u64() as usize % (at + 1);
                    self.order.swap(at, other);
                }
                self.next_in_order = 0;
            }
            let subject = self.order[self.next_in_order];
            self.next_in_order += 1;
            if self.beliefs[subject].0 != Belief::Down {
                return Some(subject);
            }
        }
        None
    }
}

impl Machine for Swim {
    type Message = Said;

    fn deadline(&self) -> Option<u64> {
        let suspects = self.suspects.iter().map(|(_, at)| *at);
        let asks = self.probe.map(|(_, at)| at).filter(|at| *at != u64::MAX);
        suspects.chain(asks).chain([self.next_period]).min()
    }

    fn tick(&mut self, now: u64, out: &mut Out<Said>) {
        let over: Vec<usize> = (self.suspects.iter())
            .filter(|(_, at)| *at <= now)
            .map(|(node, _)| *node)
            .collect();
        for about in over {
            let incarnation = self.beliefs[about].1;
            let belief = Belief::Down;
            self.believe(
                Rumour {
                    about,
                    belief,
                    incarnation,
                },
                now,
                out,
            );
        }
        if let Some((subject, at)) = self.probe
            && at <= now
        {
            self.probe = Some((subject, u64::MAX));
            for _ in 0..RELAYS {
                let relay = self.order[self.dice.next_u64() as usize % self.order.len()];
                if relay != subject {
                    self.say(relay, Kind::Reach { subject }, self.number, out);
                }
            }
        }
        if self.next_period <= now {
            self.next_period = now + PERIOD;
            if let Some((about, _)) = self.probe.take() {
                let incarnation = self.beliefs[about].1;
                let belief = Belief::Suspect;
                self.believe(
                    Rumour {
                        about,
                        belief,
                        incarnation,
                    },
                    now,
                    out,
                );
            }
            if let Some(subject) = self.next_subject() {
                self.number += 1;
                self.probe = Some((subject, now + PATIENCE));
                self.say(subject, Kind::Ping { asker: self.me }, self.number, out);
            }
        }
    }

    fn handle(&mut self, now: u64, from: usize, said: Said, out: &mut Out<Said>) {
        for rumour in said.rumours {
            self.believe(rumour, now, out);
        }
        let number = said.number;
        match said.kind {
            Kind::Ping { asker } => {
                let subject = self.me;
                self.say(from, Kind::Ack { asker, subject }, number, out);
            }
            Kind::Reach { subject } => self.say(subject, Kind::Ping { asker: from }, number, out),
            Kind::Ack { asker, subject } if asker != self.me => {
                self.say(asker, Kind::Ack { asker, subject }, number, out);
            }
            Kind::Ack { subject, .. } => {
                let is_due = number == self.number;
                self.probe
                    .take_if(|(probed, _)| *probed == subject && is_due);
            }
        }
    }

    fn bytes(said: &Said) -> usize {
        let kind = match said.kind {
            Kind::Ping { .. } | Kind::Reach { .. } => 8,
            Kind::Ack { .. } => 16,
        };
        // A kind, a number, how many rumours; a node, a belief and an incarnation each.
        6 + kind + 13 * said.rumours.len()
    }
}
