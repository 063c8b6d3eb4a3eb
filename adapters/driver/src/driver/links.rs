//! The connections of a driver, and how much waits on all of them together.

use bytes::BytesMut;
use dynamo_proto::{Instant, NodeId};

use super::session::Session;
use crate::front::Front;
use crate::{Bounds, Connection};

/// How much is read at once from a front's client.
const READ_BYTES: usize = 16 << 10;

/// A connection, as the driver names it: never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl Link {
    /// Its place in a table: no other connection has it until this one is closed, and few places are
    /// empty.
    #[must_use]
    pub fn index(self) -> usize {
        self.index as usize
    }
}

#[derive(Default)]
pub(super) struct Links {
    places: Vec<Place>,
    free: Vec<u32>,
    /// Those of clients, and those on which the node is looked after.
    pub(super) clients: usize,
    pub(super) admins: usize,
    pub(super) strangers: usize,
    /// What waits on all of them, both ways.
    pub(super) waiting_bytes: usize,
}

#[derive(Default)]
struct Place {
    generation: u32,
    line: Option<Line>,
}

/// One connection.
pub(super) struct Line {
    pub(super) speech: Speech,
    pub(super) session: Session,
    /// When it came about, and when something was last heard.
    pub(super) opened: Instant,
    pub(super) heard: Instant,
    /// When what is outgoing last became less, or something after there was nothing.
    pub(super) moved: Instant,
    /// Since when there is always something outgoing, if there is.
    pub(super) behind: Instant,
    /// Whether it has been said that there is something to write.
    pub(super) is_announced: bool,
    /// Whether it has been said that nothing is to be read.
    pub(super) is_paused: bool,
    /// Whether a ping was sent since something was last heard.
    pub(super) is_pinged: bool,
    /// Whether the other side has said its last.
    pub(super) is_finished: bool,
    /// Whether it is a client that is told of every new epoch.
    pub(super) follows: bool,
    /// Whether it is over once all that is outgoing is written.
    pub(super) is_ending: bool,
    /// What of the sum is this one's.
    counted: usize,
}

/// What is spoken on a connection.
pub(super) enum Speech {
    /// Nothing yet: it is being dialed.
    Dialing { peer: Dialed },
    /// Frames.
    Wire {
        connection: Box<Connection>,
        who: Who,
    },
    /// A front's protocol.
    Front {
        front: Box<dyn Front>,
        lane: Lane,
        input: BytesMut,
        out: BytesMut,
    },
    /// Nothing any more: the adapter is still to be told.
    Over,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Nobody knows yet. Who should be, if it was dialed.
    Stranger(Option<Dialed>),
    /// A node.
    Peer(NodeId),
    /// A client.
    Client,
    /// Somebody who looks after the node.
    Admin,
    /// Somebody who is turned away.
    Nobody,
}

/// Who is dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialed {
    /// A node.
    Peer(NodeId),
    /// Whoever is at the address of a seed.
    Seed(u16),
}

/// Whose places a connection takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Those of clients.
    Clients,
    /// Those of clients while there are any, and then those that are kept for looking after the
    /// node, whatever clients do. In one of these nothing is asked of the node, and whoever has been
    /// quiet the longest makes room for who comes next.
    Admins,
    /// None: it is turned away.
    Nobody,
}

impl Links {
    pub(super) fn insert(&mut self, speech: Speech, now: Instant) -> Link {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            (self.places.len() - 1) as u32 // far fewer: each is a socket
        });
        let place = &mut self.places[index as usize];
        place.line = Some(Line {
            speech,
            session: Session::default(),
            opened: now,
            heard: now,
            moved: now,
            behind: now,
            is_announced: false,
            is_paused: false,
            is_pinged: false,
            is_finished: false,
            follows: false,
            is_ending: false,
            counted: 0,
        });
        let link = Link {
            index,
            generation: place.generation,
        };
        self.counts_in(link, 1);
        link
    }

    /// A connection that is not over.
    pub(super) fn get(&self, link: Link) -> Option<&Line> {
        let place = self.places.get(link.index as usize)?;
        let line = place.line.as_ref()?;
        let is_it = place.generation == link.generation && !matches!(line.speech, Speech::Over);
        is_it.then_some(line)
    }

    /// A connection that is not over.
    pub(super) fn get_mut(&mut self, link: Link) -> Option<&mut Line> {
        let place = self.places.get_mut(link.index as usize)?;
        let line = place.line.as_mut()?;
        let is_it = place.generation == link.generation && !matches!(line.speech, Speech::Over);
        is_it.then_some(line)
    }

    /// All that are not over.
    pub(super) fn all(&self) -> impl Iterator<Item = (Link, &Line)> {
        self.places.iter().enumerate().filter_map(|(index, place)| {
            let line = place.line.as_ref()?;
            let link = Link {
                index: index as u32,
                generation: place.generation,
            };
            (!matches!(line.speech, Speech::Over)).then_some((link, line))
        })
    }

    /// The connection is over; its name is free once that has been [told](Self::forget).
    pub(super) fn end(&mut self, link: Link) -> Option<Speech> {
        self.get(link)?;
        self.counts_in(link, -1);
        let line = self.get_mut(link)?;
        let speech = std::mem::replace(&mut line.speech, Speech::Over);
        let counted = std::mem::take(&mut line.counted);
        line.session = Session::default();
        self.waiting_bytes -= counted;
        Some(speech)
    }

    pub(super) fn forget(&mut self, link: Link) {
        let place = &mut self.places[link.index as usize];
        if place.generation == link.generation && place.line.take().is_some() {
            place.generation = place.generation.wrapping_add(1);
            self.free.push(link.index);
        }
    }

    /// Who is at the other end is somebody else than was thought.
    pub(super) fn identify(&mut self, link: Link, is: Who) {
        self.counts_in(link, -1);
        if let Some(Speech::Wire { who, .. }) = self.get_mut(link).map(|line| &mut line.speech) {
            *who = is;
        }
        self.counts_in(link, 1);
    }

    /// Who has been quiet the longest in the places that are kept.
    pub(super) fn quietest_admin(&self) -> Option<Link> {
        let admins = self.all().filter(|(_, line)| line.is_admin());
        admins
            .min_by_key(|(_, line)| line.heard)
            .map(|(link, _)| link)
    }

    /// Counts anew what waits on that connection.
    pub(super) fn recount(&mut self, link: Link) {
        let Some(line) = self.get_mut(link) else {
            return;
        };
        let (before, after) = (line.counted, line.waiting_bytes());
        line.counted = after;
        self.waiting_bytes = self.waiting_bytes - before + after;
    }

    fn counts_in(&mut self, link: Link, sign: isize) {
        let Some(line) = self.get(link) else {
            return;
        };
        let counter = match &line.speech {
            Speech::Wire { who, .. } => match who {
                Who::Stranger(None) => &mut self.strangers,
                Who::Client => &mut self.clients,
                Who::Admin => &mut self.admins,
                Who::Stranger(Some(_)) | Who::Peer(_) | Who::Nobody => return,
            },
            Speech::Front { lane, .. } => match lane {
                Lane::Clients => &mut self.clients,
                Lane::Admins => &mut self.admins,
                Lane::Nobody => return,
            },
            Speech::Dialing { .. } | Speech::Over => return,
        };
        *counter = counter.saturating_add_signed(sign);
    }
}

impl Line {
    /// What is to be written.
    pub(super) fn outgoing(&self) -> &[u8] {
        match &self.speech {
            Speech::Wire { connection, .. } => connection.outgoing(),
            Speech::Front { out, .. } => out,
            Speech::Dialing { .. } | Speech::Over => &[],
        }
    }

    pub(super) fn is_admin(&self) -> bool {
        match &self.speech {
            Speech::Front { lane, .. } => *lane == Lane::Admins,
            Speech::Wire { who, .. } => *who == Who::Admin,
            Speech::Dialing { .. } | Speech::Over => false,
        }
    }

    pub(super) fn is_client(&self) -> bool {
        match &self.speech {
            Speech::Wire { who, .. } => matches!(who, Who::Client | Who::Admin),
            Speech::Front { .. } => true,
            Speech::Dialing { .. } | Speech::Over => false,
        }
    }

    /// Answers that the client has not read.
    pub(super) fn unread_bytes(&self) -> usize {
        match &self.speech {
            Speech::Wire { connection, .. } => connection.outgoing().len(),
            Speech::Front { front, out, .. } => out.len() + front.kept_back(),
            Speech::Dialing { .. } | Speech::Over => 0,
        }
    }

    /// What was received and is not understood yet.
    pub(super) fn input_bytes(&self) -> usize {
        match &self.speech {
            Speech::Wire { connection, .. } => connection.unread(),
            Speech::Front { input, .. } => input.len(),
            Speech::Dialing { .. } | Speech::Over => 0,
        }
    }

    /// How many bytes are wanted of it now.
    pub(super) fn wants(&self, bounds: &Bounds) -> usize {
        if self.is_finished || self.is_ending || self.session.is_blocked {
            return 0;
        }
        match &self.speech {
            Speech::Wire { connection, .. } => connection.room(),
            // A front that leaves bytes while something is asked for waits for its answer.
            Speech::Front { input, .. } if input.len() >= READ_BYTES && self.session.len() > 0 => 0,
            Speech::Front { front, .. } => {
                let most = bounds.unread_bytes.max(READ_BYTES);
                front.wants().clamp(READ_BYTES, most)
            }
            Speech::Dialing { .. } | Speech::Over => 0,
        }
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.unread_bytes() + self.input_bytes() + self.session.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_not_reused_and_its_place_is_once_it_is_told() {
        let mut links = Links::default();
        let dialing = || Speech::Dialing {
            peer: Dialed::Peer(NodeId(1)),
        };
        let first = links.insert(dialing(), Instant::default());
        links.end(first);
        assert!(links.get(first).is_none());
        let second = links.insert(dialing(), Instant::default());
        assert_ne!(first.index, second.index);
        links.forget(first);
        let third = links.insert(dialing(), Instant::default());
        assert_eq!(first.index, third.index);
        assert_ne!(first, third);
        assert!(links.get(first).is_none() && links.get(third).is_some());
    }
}
