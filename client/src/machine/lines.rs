//! Connections to nodes.

use std::collections::BTreeMap;

use dynamo_driver::Connection;
use dynamo_proto::{Instant, NodeId};

use super::places::PlaceId;

/// A connection, as the machine names it: never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    index: u32,
    generation: u32,
}

impl Link {
    /// Its place in a table: no other connection has it until this one is closed.
    #[must_use]
    pub fn index(self) -> usize {
        self.index as usize
    }
}

pub(super) struct Line {
    pub(super) place: PlaceId,
    pub(super) state: State,
    /// Who answers.
    pub(super) node: Option<NodeId>,
    /// What was asked and is not answered.
    pub(super) asked: BTreeMap<u64, Asked>,
    pub(super) opened: Instant,
    pub(super) heard: Instant,
    /// When something was last asked for a caller.
    pub(super) used: Instant,
    /// Whether it has been said that there is something to write.
    pub(super) is_announced: bool,
}

pub(super) enum State {
    Dialing,
    /// Frames, once both sides have shaken hands.
    Speaking(Box<Connection>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Request(u64),
    Directory,
}

impl Line {
    pub(super) fn is_open(&self) -> bool {
        self.node.is_some()
    }

    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        match &mut self.state {
            State::Speaking(connection) => Some(connection),
            State::Dialing => None,
        }
    }
}

/// All connections.
#[derive(Default)]
pub(super) struct Lines {
    places: Vec<(u32, Option<Line>)>,
}

impl Lines {
    pub(super) fn insert(&mut self, line: Line) -> Link {
        let free = self.places.iter().position(|(_, line)| line.is_none());
        let index = free.unwrap_or_else(|| {
            self.places.push((0, None));
            self.places.len() - 1
        });
        let (generation, place) = &mut self.places[index];
        *generation = generation.wrapping_add(1);
        *place = Some(line);
        Link {
            index: index as u32, // far fewer: each is a socket
            generation: *generation,
        }
    }

    pub(super) fn get(&self, link: Link) -> Option<&Line> {
        let (generation, line) = self.places.get(link.index())?;
        line.as_ref().filter(|_| *generation == link.generation)
    }

    pub(super) fn get_mut(&mut self, link: Link) -> Option<&mut Line> {
        let (generation, line) = self.places.get_mut(link.index())?;
        line.as_mut().filter(|_| *generation == link.generation)
    }

    pub(super) fn remove(&mut self, link: Link) -> Option<Line> {
        self.get(link)?;
        self.places[link.index()].1.take()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Link, &Line)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(index, (generation, line))| {
            let link = Link {
                index: index as u32,
                generation: *generation,
            };
            Some((link, line.as_ref()?))
        })
    }
}
