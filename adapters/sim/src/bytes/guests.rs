//! Whoever comes in at a node's doors.

use std::time::Duration;

use bytes::Bytes;
use dynamo_driver::driver::{Entrance, Lane};
use dynamo_driver::http::Http;
use dynamo_driver::resp::Resp;

use super::native::Native;
use super::pipes::End;
use super::text::Text;
use super::{Happening, LENGTH, START, World};

/// Somebody with at most one connection, of which the node has the first end.
pub(super) struct Guest {
    pub(super) kind: Kind,
    pub(super) pipe: Option<usize>,
    pub(super) node: usize,
    /// When it came in.
    pub(super) since: Duration,
    pub(super) outgoing: Vec<u8>,
    /// What it has taken and not made sense of.
    pub(super) heard: Vec<u8>,
    pub(super) has_left: bool,
}

pub(super) enum Kind {
    Native(Box<Native>),
    Text(Text),
    /// Asks how a node is.
    Prober,
    /// Says nonsense.
    Stranger,
    /// Says what it is told, and keeps what it hears.
    Script,
}

/// How long a node that is there may take to say how it is.
const HEALTH: Duration = Duration::from_secs(2);

const PROBE: &[u8] = b"GET /health HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n";

impl World {
    /// Guests of every kind.
    pub(super) fn invite(&mut self) {
        let mut kinds: Vec<Kind> = Vec::new();
        kinds.extend((0..5).map(|_| Kind::Native(Box::default())));
        kinds.extend([None, None, Some(40)].map(|pace| Kind::Text(Text::new(pace, false))));
        kinds.push(Kind::Text(Text::new(None, true)));
        kinds.extend([Kind::Prober, Kind::Prober, Kind::Stranger, Kind::Stranger]);
        for kind in kinds {
            self.welcome(kind, START);
        }
    }

    pub(super) fn welcome(&mut self, kind: Kind, wait: Duration) -> usize {
        let at = self.guests.len();
        self.guests.push(Guest {
            kind,
            pipe: None,
            node: 0,
            since: Duration::ZERO,
            outgoing: Vec::new(),
            heard: Vec::new(),
            has_left: false,
        });
        self.schedule(wait, Happening::Guest(at));
        at
    }

    /// All guests go.
    pub(super) fn calm_down(&mut self) {
        for at in 0..self.guests.len() {
            self.leave(at);
            self.forget(at);
            self.guests[at].has_left = true;
        }
    }

    pub(super) fn turn(&mut self, at: usize) {
        if self.guests[at].has_left {
            return;
        }
        let pause = match &self.guests[at].kind {
            Kind::Native(_) => self.native_turn(at),
            Kind::Text(_) => self.text_turn(at),
            Kind::Prober => self.probe(at),
            Kind::Stranger => self.babble(at),
            Kind::Script => return,
        };
        let wait = self.dice.delay(pause).max(Duration::from_millis(1));
        self.schedule(wait, Happening::Guest(at));
    }

    /// Comes in at a node that is there.
    pub(super) fn call(&mut self, at: usize, node: usize, entrance: Entrance) -> bool {
        let Some(end) = self.accept(node, entrance) else {
            return false;
        };
        let pipe = self.join([end, End::Guest(at)]);
        let guest = &mut self.guests[at];
        (guest.pipe, guest.node, guest.since) = (Some(pipe), node, self.now);
        guest.outgoing.clear();
        guest.heard.clear();
        true
    }

    /// Lets go of its connection.
    pub(super) fn leave(&mut self, at: usize) {
        if let Some(pipe) = self.guests[at].pipe.take() {
            self.close(pipe, 1);
        }
    }

    pub(super) fn say(&mut self, at: usize) {
        let Some(pipe) = self.guests[at].pipe else {
            return;
        };
        let len = self.window(pipe, 1).min(self.guests[at].outgoing.len());
        if len > 0 {
            let bytes: Bytes = self.guests[at].outgoing.drain(..len).collect();
            self.carry(pipe, 1, bytes);
        }
    }

    /// Something has come for it.
    pub(super) fn hear(&mut self, at: usize, pipe: usize) {
        if self.guests[at].pipe != Some(pipe) {
            return;
        }
        match &self.guests[at].kind {
            Kind::Native(_) => {
                self.take_some(at, usize::MAX);
                self.native_hears(at);
            }
            Kind::Text(text) if text.reads_at_once() => {
                self.take_some(at, usize::MAX);
                self.text_hears(at);
            }
            Kind::Text(_) => {} // in its turn, if ever
            Kind::Prober => {
                self.take_some(at, usize::MAX);
                self.is_healthy(at);
            }
            Kind::Stranger | Kind::Script => self.take_some(at, usize::MAX),
        }
    }

    pub(super) fn take_some(&mut self, at: usize, most: usize) {
        let guest = &mut self.guests[at];
        if let Some(pipe) = guest.pipe {
            let arrived = &mut self.pipes[pipe].arrived[1];
            guest.heard.extend(arrived.drain(..most.min(arrived.len())));
        }
    }

    /// The node has ended its connection.
    pub(super) fn guest_left(&mut self, at: usize, pipe: usize) {
        if self.guests[at].pipe != Some(pipe) {
            return;
        }
        if matches!(self.guests[at].kind, Kind::Prober) && !self.was_away(at) {
            let node = self.guests[at].node;
            self.fail(
                "admin",
                format!("node {node} hung up on who asked how it is"),
            );
        }
        self.leave(at);
        self.forget(at);
    }

    /// It will not hear what became of what it asked for.
    fn forget(&mut self, at: usize) {
        match &self.guests[at].kind {
            Kind::Native(_) => self.native_forgets(at),
            Kind::Text(_) => self.text_forgets(at),
            Kind::Prober | Kind::Stranger | Kind::Script => {}
        }
    }

    /// Whether its node has not always been there since it came in.
    fn was_away(&self, at: usize) -> bool {
        let guest = &self.guests[at];
        let node = &self.nodes[guest.node];
        !node.runs() || node.away_at >= guest.since
    }

    fn probe(&mut self, at: usize) -> Duration {
        let is_late = self.now > self.guests[at].since + HEALTH;
        if self.guests[at].pipe.is_some() {
            if is_late && !self.was_away(at) {
                let node = self.guests[at].node;
                self.fail("admin", format!("node {node} does not say how it is"));
            } else if is_late {
                self.leave(at);
            }
        } else {
            let node = self.dice.index(self.nodes.len());
            let front = Entrance::Front(Box::new(Http::default()), Lane::Admins);
            if self.call(at, node, front) {
                self.guests[at].outgoing.extend(PROBE);
                self.say(at);
            }
        }
        Duration::from_millis(300)
    }

    fn is_healthy(&mut self, at: usize) {
        let heard = &self.guests[at].heard;
        if heard.windows(4).any(|end| end == b"\r\n\r\n") {
            if !heard.starts_with(b"HTTP/1.1 200 ") {
                let answer = heard.escape_ascii().to_string();
                self.fail("admin", format!("a node says of itself {answer}"));
            }
            self.leave(at);
        }
    }

    fn babble(&mut self, at: usize) -> Duration {
        if self.guests[at].pipe.is_some() {
            if self.dice.is_one_in(4) {
                self.leave(at);
            }
            return Duration::from_millis(200);
        }
        let node = self.dice.index(self.nodes.len());
        let entrance = match self.dice.below(3) {
            0 => Entrance::Native,
            1 => Entrance::Front(Box::new(Resp::default()), Lane::Clients),
            _ => Entrance::Front(Box::new(Http::default()), Lane::Clients),
        };
        if self.call(at, node, entrance) {
            let len = 1 + self.dice.index(300);
            let nonsense: Vec<u8> = (0..len).map(|_| self.dice.number() as u8).collect();
            self.guests[at].outgoing.extend(nonsense);
            self.say(at);
        }
        Duration::from_millis(200)
    }

    /// Whether there is still something to do.
    pub(super) fn is_open_for_guests(&self) -> bool {
        self.now < START + LENGTH
    }
}
