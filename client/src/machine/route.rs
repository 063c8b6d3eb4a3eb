//! Whom to ask.

use std::time::Duration;

use dynamo_proto::Instant;

use super::asks::Running;
use super::lines::Line;
use super::places::{Place, PlaceId};
use super::{Link, Machine, Way};

/// One that could be asked, the least first.
type Order = (bool, bool, Duration, usize);

impl Machine {
    /// Places where a request was not tried yet, the best first: those of nodes on duty by how fast
    /// they answer, then all others. Those that fail again and again come last, while their time has
    /// not come not at all.
    pub(super) fn candidates(&self, running: &Running) -> Vec<PlaceId> {
        let is_read = running.is_read();
        let on_duty = self.on_duty(running);
        let mut order: Vec<(Order, PlaceId)> = Vec::new();
        for (id, place) in &self.places {
            if running.tried.contains(id) || !place.circuit.lets_through(self.now) {
                continue;
            }
            let seat = on_duty.iter().position(|at| at == id);
            let load = self.load(place);
            let is_closed = place.circuit.until().is_some();
            let rank = place.rank(is_read, self.now);
            let last = seat.unwrap_or(load);
            order.push(((seat.is_none(), is_closed, rank, last), *id));
        }
        order.sort();
        order.into_iter().map(|(_, id)| id).collect()
    }

    /// Where the nodes on duty for a request's key are, in order of duty.
    pub(super) fn on_duty(&self, running: &Running) -> Vec<PlaceId> {
        let Some(chart) = self
            .chart
            .as_ref()
            .filter(|_| self.settings.way == Way::Direct)
        else {
            return Vec::new();
        };
        let (key, options) = (&running.ask.key, &running.ask.options);
        let nodes = chart.on_duty(key, options, running.is_read());
        nodes
            .filter_map(|node| self.nodes.get(&node).copied())
            .collect()
    }

    /// The open connection to a place on which least is asked, if there is room on it; and more
    /// connections where there is little.
    pub(super) fn line_to(&mut self, at: PlaceId) -> Option<Link> {
        let most = self.settings.in_flight;
        let place = self.places.get(&at)?;
        let lines = place.links.iter();
        let lines = lines.filter_map(|link| Some((*link, self.lines.get(*link)?)));
        let open = lines.filter(|(_, line)| line.is_open());
        let least = open.min_by_key(|(_, line)| line.asked.len());
        let (link, asked) = least.map(|(link, line)| (link, line.asked.len()))?;
        let wants_more = asked >= most / 2 && place.links.len() < self.settings.connections;
        if wants_more {
            self.dial(at);
        }
        (asked < most).then_some(link)
    }

    /// Whether a connection to that place is there, or comes about. Dials if none is.
    pub(super) fn is_to_come(&mut self, at: PlaceId) -> bool {
        let Some(place) = self.places.get(&at) else {
            return false;
        };
        if place.links.is_empty() {
            if !place.circuit.lets_through(self.now) {
                return false;
            }
            self.dial(at);
        }
        true
    }

    /// When the first of all places may be asked that now may not.
    pub(super) fn next_opening(&self) -> Option<Instant> {
        let places = self.places.values();
        places.filter_map(|place| place.circuit.until()).min()
    }

    fn load(&self, place: &Place) -> usize {
        let lines = place.links.iter().filter_map(|link| self.lines.get(*link));
        let asked = lines.map(|line: &Line| line.asked.len());
        asked.sum::<usize>() + place.waiting.len()
    }
}
