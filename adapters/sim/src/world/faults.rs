//! What goes wrong, when it begins and when it ends.

use super::*;

impl World<'_> {
    pub(super) fn fault(&mut self, at: usize, begins: bool) {
        let kind = self.scenario.faults[at].kind;
        self.tell(|| format!("{} {kind:?}", if begins { "begins:" } else { "ends:" }));
        match kind {
            FaultKind::Cut { from, to, both } => {
                self.cut(from, to, begins);
                if both {
                    self.cut(to, from, begins);
                }
            }
            FaultKind::Isolate { .. } | FaultKind::Split { .. } | FaultKind::Ring { .. } => {
                self.part(kind, begins);
            }
            FaultKind::Flap { .. } => {
                if begins {
                    self.flap(at);
                }
            }
            FaultKind::HalfOpen { node, peer } => {
                if begins && node != peer {
                    self.forget(node, peer);
                }
            }
            FaultKind::Clog { from, to, times } => self.on_way(from, to, |side| {
                if begins {
                    side.clogs.push(times);
                } else if let Some(at) = side.clogs.iter().position(|clog| *clog == times) {
                    side.clogs.swap_remove(at);
                }
            }),
            FaultKind::Sever { from, to } => self.on_way(from, to, |side| {
                side.severs = if begins { side.severs + 1 } else { 0 };
            }),
            FaultKind::Replay { from, to } => {
                if begins {
                    self.on_way(from, to, |side| side.records.push((at, Vec::new())));
                } else if from != to {
                    self.replay(at, from, to);
                }
            }
            FaultKind::Reset { from, to } => {
                if from != to {
                    let (link, _) = self.link(from, to);
                    let frailty = &mut self.links[link].frailty;
                    *frailty = if begins { *frailty + 1 } else { *frailty - 1 };
                }
            }
            FaultKind::Stop {
                node,
                stop,
                effects,
                writing,
            } => {
                if begins {
                    if self.machines[node].is_up() {
                        self.machines[node].doom = Some(Doom {
                            effects,
                            writing,
                            stop,
                        });
                    }
                } else {
                    self.stop(node, stop);
                    self.restart(node);
                }
            }
            FaultKind::Outage { stop } => {
                self.counters.add(Count::Outage, u64::from(begins));
                for node in 0..self.machines.len() {
                    if begins {
                        self.stop(node, stop);
                    } else {
                        self.restart(node);
                    }
                }
            }
            FaultKind::Pause { node } => self.pause(node, begins),
            FaultKind::Slow { node, times } => {
                self.machines[node].slowness = if begins { times } else { 1 };
                self.counters.add(Count::Slowed, u64::from(begins));
            }
            FaultKind::Jump { node, secs } => {
                if begins {
                    self.machines[node].off_by += secs;
                    self.counters.add(Count::ClockJumped, 1);
                }
            }
            FaultKind::Noise {
                lost,
                damaged,
                doubled,
                reordered,
                resent,
            } => {
                self.noise = if begins {
                    Noise {
                        lost,
                        damaged,
                        doubled,
                        reordered,
                        resent,
                    }
                } else {
                    Noise::default()
                };
            }
            FaultKind::Surge { per_sec, key } => {
                if begins {
                    self.counters.add(Count::Surge, 1);
                    self.surge(at, per_sec, key);
                }
            }
            FaultKind::SlowDisk { .. }
            | FaultKind::DiskErrors { .. }
            | FaultKind::FlushError { .. }
            | FaultKind::FullDisk { .. }
            | FaultKind::LoseWrites { .. }
            | FaultKind::TornWrite { .. } => self.ail(kind, begins),
            FaultKind::Rot {
                node,
                key,
                is_known,
            } => {
                if begins && key < self.scenario.keys.len() {
                    self.rot(node, key, is_known);
                }
            }
            FaultKind::Wipe { .. }
            | FaultKind::Rollback { .. }
            | FaultKind::Swap { .. }
            | FaultKind::Clone { .. } => self.change_disks(at, kind, begins),
        }
    }

    /// When that fault ends.
    pub(super) fn ends(&self, fault: usize) -> Duration {
        let fault = self.scenario.faults[fault];
        START + fault.at + fault.lasts
    }

    fn on_way(&mut self, from: usize, to: usize, work: impl FnOnce(&mut Side)) {
        if from != to {
            let (link, end) = self.link(from, to);
            work(&mut self.links[link].ends[end]);
        }
    }

    pub(crate) fn pause(&mut self, node: usize, begins: bool) {
        let machine = &mut self.machines[node];
        machine.late_until = self.now;
        if begins {
            machine.pauses += 1;
            self.counters.add(Count::Paused, 1);
            return;
        }
        machine.pauses -= 1;
        if machine.pauses == 0 {
            for event in std::mem::take(&mut machine.inbox) {
                self.handle(node, event);
            }
            self.handle(node, Event::Tick);
        }
    }

    /// What is wrong with a disk until the fault ends.
    fn ail(&mut self, kind: FaultKind, begins: bool) {
        let counted = |count: u32| if begins { count + 1 } else { count - 1 };
        match kind {
            FaultKind::SlowDisk { node, times } => {
                self.machines[node].ails.slowness = if begins { times } else { 1 };
                self.counters.add(Count::DiskSlowed, u64::from(begins));
            }
            FaultKind::DiskErrors {
                node,
                reads,
                writes,
                is_half_done,
            } => {
                let ails = &mut self.machines[node].ails;
                (ails.reads, ails.writes) = if begins { (reads, writes) } else { (0, 0) };
                ails.is_half_done = is_half_done;
            }
            FaultKind::FlushError { node } => self.machines[node].ails.fails_flush = begins,
            FaultKind::FullDisk { node } => {
                let full = &mut self.machines[node].ails.full;
                *full = counted(*full);
                self.counters.add(Count::DiskFull, u64::from(begins));
            }
            FaultKind::LoseWrites {
                node,
                writes,
                is_misdirected,
                is_live,
            } => {
                let ails = &mut self.machines[node].ails;
                ails.loses = if begins { writes } else { 0 };
                (ails.is_misdirected, ails.is_live) = (is_misdirected, is_live);
                if !begins && !is_live {
                    self.stop(node, Stop::Kill);
                    self.restart(node);
                }
            }
            FaultKind::TornWrite { node, effects } => {
                let machine = &mut self.machines[node];
                machine.ails.tears = counted(machine.ails.tears);
                let (writing, stop) = (true, Stop::PowerLoss);
                if begins && machine.is_up() {
                    machine.doom = Some(Doom {
                        effects,
                        writing,
                        stop,
                    });
                } else if !begins {
                    self.stop(node, stop);
                    self.restart(node);
                }
            }
            _ => {}
        }
    }

    /// Disks are replaced while their processes are down.
    ///
    /// A store knows whose it is. A program that finds another's refuses to start on it; whoever
    /// runs it then gives it an empty one, as [`restart`](Self::restart) does.
    fn change_disks(&mut self, at: usize, kind: FaultKind, begins: bool) {
        match (kind, begins) {
            (FaultKind::Wipe { node }, true) => {
                self.replace(node, Disk::of(node), Count::Wiped);
            }
            (FaultKind::Wipe { node }, false) => self.restart(node),
            (FaultKind::Rollback { node }, true) => {
                self.snapshots
                    .insert(at, self.machines[node].disk.snapshot());
            }
            (FaultKind::Rollback { node }, false) => {
                if let Some(disk) = self.snapshots.remove(&at)
                    && self.replace(node, disk, Count::RolledBack)
                {
                    self.restart(node);
                }
            }
            (FaultKind::Swap { one, other }, true) => {
                let disks = [one, other].map(|node| self.machines[node].disk.snapshot());
                let [ones, others] = disks;
                self.exchange(vec![(one, others), (other, ones)], Count::Exchanged);
            }
            (FaultKind::Swap { one, other }, false) => {
                self.restart(one);
                self.restart(other);
            }
            (FaultKind::Clone { from, to }, true) => {
                let disk = self.machines[from].disk.snapshot();
                self.replace(to, disk, Count::Exchanged);
            }
            (FaultKind::Clone { to, .. }, false) => self.restart(to),
            _ => {}
        }
    }

    pub(crate) fn restart(&mut self, node: usize) {
        if self.machines[node].is_up() || self.machines[node].is_gone {
            return;
        }
        if self.machines[node].disk.owner() != node {
            self.tell(|| format!("node {node} is given an empty disk: it had another's"));
            self.counters.add(Count::StrangeDisk, 1);
            self.machines[node].give(Disk::of(node));
        }
        let surfaced = self.machines[node].disk.open();
        self.counters.add(Count::LossSurfaced, surfaced as u64);
        self.check_found_tree(node);
        self.machines[node].start(&mut self.dice);
        self.handle(node, Event::Tick);
        for peer in 0..self.machines.len() {
            if peer != node {
                let (link, _) = self.link(node, peer);
                self.schedule_in(Duration::ZERO, Happening::Dial { link });
            }
        }
    }
}
