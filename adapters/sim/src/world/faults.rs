//! What goes wrong, and what remains when it has.

use super::*;

impl World<'_> {
    pub(super) fn fault(&mut self, at: usize, begins: bool) {
        let fault = self.scenario.faults[at];
        self.tell(|| {
            format!(
                "{} {:?}",
                if begins { "begins:" } else { "ends:" },
                fault.kind
            )
        });
        match fault.kind {
            FaultKind::Cut { from, to, both } => {
                self.cut(from, to, begins);
                if both {
                    self.cut(to, from, begins);
                }
            }
            FaultKind::Reset { from, to } => {
                if from != to {
                    let (link, _) = self.link(from, to);
                    let frailty = &mut self.links[link].frailty;
                    *frailty = if begins { *frailty + 1 } else { *frailty - 1 };
                }
            }
            FaultKind::Isolate { node } => {
                for peer in 0..self.machines.len() {
                    self.cut(node, peer, begins);
                    self.cut(peer, node, begins);
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
            FaultKind::Pause { node } => {
                let machine = &mut self.machines[node];
                machine.late_until = self.now;
                if begins {
                    machine.pauses += 1;
                    self.counters.add(Count::Paused, 1);
                } else {
                    machine.pauses -= 1;
                    if machine.pauses == 0 {
                        for event in std::mem::take(&mut machine.inbox) {
                            self.handle(node, event);
                        }
                        self.handle(node, Event::Tick);
                    }
                }
            }
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
            } => {
                self.noise = if begins {
                    Noise {
                        lost,
                        damaged,
                        doubled,
                        reordered,
                    }
                } else {
                    Noise::default()
                };
            }
        }
    }

    pub(crate) fn restart(&mut self, node: usize) {
        if self.machines[node].is_up() {
            return;
        }
        self.machines[node].start(&mut self.dice);
        self.handle(node, Event::Tick);
        for peer in 0..self.machines.len() {
            if peer != node {
                let (link, _) = self.link(node, peer);
                self.schedule_in(Duration::ZERO, Happening::Dial { link });
            }
        }
    }

    pub(super) fn check_quiet(&mut self) {
        if self.violation.is_some() {
            return;
        }
        if let Some((name, asked)) = self.asked.first_key_value() {
            let what = format!("{name:?}, asked at {:?}, was never answered", asked.at);
            return self.fail("I10", what);
        }
        let busy = (0..self.machines.len()).find(|node| {
            let process = self.machines[*node].node.as_ref();
            process.is_some_and(|node| {
                node.running() > 0 || node.load() > 0 || node.next_deadline().is_some()
            })
        });
        if let Some(node) = busy
            && let Some(process) = &self.machines[node].node
        {
            let what = format!(
                "node {node} is still busy though nobody waits: {} requests, {} changes, {:?}, to be woken at {:?}",
                process.running(),
                process.load(),
                process.held(),
                process.next_deadline(),
            );
            self.fail("liveness", what);
        }
    }
}
