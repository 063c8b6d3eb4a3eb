//! What goes wrong between machines.

use super::*;

impl World<'_> {
    /// All pairs between which that fault lets nothing through, each in the two directions.
    pub(super) fn apart(&self, kind: FaultKind) -> Vec<(usize, usize)> {
        let count = self.machines.len();
        let is_apart = |one: usize, other: usize| match kind {
            FaultKind::Isolate { node } => one == node || other == node,
            FaultKind::Split { side, bridge } => {
                let is_bridge = bridge == Some(one) || bridge == Some(other);
                !is_bridge && (side >> one ^ side >> other) & 1 == 1
            }
            FaultKind::Ring { reach } => {
                let distance = one.abs_diff(other);
                distance.min(count - distance) > reach
            }
            _ => false,
        };
        let pairs = (0..count).flat_map(|one| (0..count).map(move |other| (one, other)));
        pairs
            .filter(|(one, other)| one != other && is_apart(*one, *other))
            .collect()
    }

    pub(super) fn part(&mut self, kind: FaultKind, begins: bool) {
        let pairs = self.apart(kind);
        if begins && !pairs.is_empty() {
            match kind {
                FaultKind::Ring { .. } => self.counters.add(Count::Ring, 1),
                FaultKind::Split {
                    bridge: Some(_), ..
                } => self.counters.add(Count::Bridge, 1),
                FaultKind::Split { .. } => self.counters.add(Count::Split, 1),
                _ => {}
            }
        }
        for (from, to) in pairs {
            self.cut(from, to, begins);
        }
    }

    /// A link that is there goes, or one that is not comes, until the fault ends.
    pub(super) fn flap(&mut self, fault: usize) {
        let FaultKind::Flap { one, other, every } = self.scenario.faults[fault].kind else {
            return;
        };
        let ends = self.ends(fault);
        let is_over = self.now >= ends;
        let is_away = self.away.remove(&fault);
        if !is_over && !is_away {
            self.cut(one, other, true);
            self.cut(other, one, true);
            self.away.insert(fault);
            self.counters.add(Count::Flapped, 1);
        } else if is_away {
            self.cut(one, other, false);
            self.cut(other, one, false);
        }
        if !is_over {
            let next = (self.now + every.max(Duration::from_millis(1))).min(ends);
            self.schedule(next, Happening::Flap { fault });
        }
    }

    /// A machine forgets a connection; its peer goes on sending into it for a while.
    pub(super) fn forget(&mut self, node: usize, peer: usize) {
        let (link, end) = self.link(node, peer);
        let side = &mut self.links[link].ends[end];
        if !std::mem::take(&mut side.is_established) {
            return;
        }
        side.connection = None;
        self.counters.add(Count::HalfOpened, 1);
        let epoch = self.links[link].ends[1 - end].epoch;
        let give = Happening::Give {
            link,
            end: 1 - end,
            epoch,
            unless_established: false,
        };
        self.schedule_in(PATIENCE, give);
        // Both may have forgotten by then.
        self.schedule_in(PATIENCE, Happening::Dial { link });
        let peer = machine::id(peer);
        self.handle(node, Event::PeerLost { peer });
    }

    /// What was remembered of what one machine sent the other arrives once more.
    pub(super) fn replay(&mut self, fault: usize, from: usize, to: usize) {
        let (link, end) = self.link(from, to);
        let records = &mut self.links[link].ends[end].records;
        let Some(at) = records.iter().position(|(of, _)| *of == fault) else {
            return;
        };
        let (_, record) = records.swap_remove(at);
        let epoch = self.links[link].ends[1 - end].epoch;
        let mut arrives = self.now;
        for bytes in record {
            arrives += self.dice.delay(Duration::from_millis(20));
            self.counters.add(Count::Replayed, 1);
            let to = 1 - end;
            self.schedule(
                arrives,
                Happening::Arrive {
                    link,
                    to,
                    epoch,
                    bytes,
                },
            );
        }
        // In the middle of a frame it leaves a stream that nobody may ever notice is broken.
        let give = Happening::Give {
            link,
            end: 1 - end,
            epoch,
            unless_established: false,
        };
        self.schedule(arrives + PATIENCE, give);
    }
}
