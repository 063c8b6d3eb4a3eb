//! What gets from one node to another.

use dynamo_proto::node::Unsent;

use super::*;

impl World<'_> {
    /// What a node has minted leaves it only when its own copy is as safe as the bucket asks.
    pub(super) fn check_kept(&mut self, node: usize, siblings: &Siblings) {
        if self.scenario.keys.is_empty() {
            return; // nothing is planned, so nothing is looked at when it is stored
        }
        let durability = self.scenario.quorum.durability;
        let machine = &self.machines[node];
        let is_unsafe = |dot: &Dot| match machine.minted.get(dot) {
            Some(write) => !machine.disk.is_safe(*write, durability),
            None => dot.actor.node == machine::id(node) && !self.ghost.knows(dot),
        };
        let early = siblings
            .values()
            .iter()
            .map(|sibling| sibling.dot)
            .find(is_unsafe);
        if let Some(dot) = early {
            self.fail(
                "P4",
                format!("node {node} tells of {dot:?} before it has kept it"),
            );
        }
    }

    pub(super) fn send(
        &mut self,
        node: usize,
        peer: NodeId,
        message: &Message,
    ) -> Result<(), Unsent> {
        let (link, end) = self.link(node, machine::place(peer));
        let frailty = self.links[link].frailty;
        let side = &mut self.links[link].ends[end];
        match &mut side.connection {
            Some(connection) if side.is_established => connection.send(message)?,
            _ => return Err(Unsent::Unreachable),
        }
        if matches!(
            message,
            Message::Compare { .. } | Message::Compared { .. } | Message::Handoff { .. }
        ) {
            self.moved += message.encode().bytes().len() as u64;
        }
        if frailty > 0 && matches!(message, Message::Request { .. }) {
            // Perhaps before it arrives, perhaps before its answer does.
            let way = self.way(link);
            let takes = self
                .dice
                .delay(2 * (way.least + way.more) + self.scenario.disk);
            self.schedule_in(takes, Happening::Reset { link });
        }
        Ok(())
    }

    /// Takes what a node's connections have to say and sends it on its way.
    pub(super) fn flush(&mut self, node: usize) {
        for peer in 0..self.machines.len() {
            if peer != node {
                let (link, end) = self.link(node, peer);
                self.flush_link(link, end);
            }
        }
    }

    pub(super) fn flush_link(&mut self, link: usize, end: End) {
        let Some(connection) = &mut self.links[link].ends[end].connection else {
            return;
        };
        let bytes = connection.take_outgoing().freeze();
        if bytes.is_empty() {
            return;
        }
        let epoch = self.links[link].ends[end].epoch;
        let pieces = self.through(link, end, |side, weather| side.carry(bytes, weather));
        self.schedule_pieces(link, 1 - end, pieces);
        if let Some(arrived) = self.links[link].ends[end].severed() {
            let give = Happening::Give {
                link,
                end: 1 - end,
                epoch,
                unless_established: false,
            };
            self.schedule(arrived.max(self.now), give);
        }
        if std::mem::take(&mut self.links[link].ends[end].has_suffered) {
            // Sooner or later somebody finds out, if not by what arrives next.
            let give = Happening::Give {
                link,
                end: 1 - end,
                epoch,
                unless_established: false,
            };
            self.schedule_in(PATIENCE, give);
        }
    }

    pub(super) fn through(
        &mut self,
        link: usize,
        end: End,
        work: impl FnOnce(&mut Side, &mut Weather<'_>) -> Vec<Piece>,
    ) -> Vec<Piece> {
        let weather = &mut Weather {
            now: self.now,
            way: self.way(link),
            noise: self.noise,
            dice: &mut self.dice,
            counters: &mut self.counters,
        };
        work(&mut self.links[link].ends[end], weather)
    }

    pub(super) fn schedule_pieces(&mut self, link: usize, to: End, pieces: Vec<Piece>) {
        for Piece {
            epoch,
            bytes,
            arrives,
        } in pieces
        {
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
    }

    pub(super) fn arrive(&mut self, link: usize, to: End, epoch: u64, bytes: &Bytes) {
        self.digest = mix(self.digest, self.now.as_nanos() as u64);
        self.digest = mix(self.digest, (link * 2 + to) as u64);
        self.digest = bytes
            .iter()
            .fold(self.digest, |digest, byte| mix(digest, (*byte).into()));
        let node = self.machine_at(link, to);
        if !self.machines[node].is_up() {
            return;
        }
        if epoch > self.links[link].ends[to].epoch {
            // Somebody dials: whatever was here is over.
            self.hang_up(link, to);
            let (identity, nonce) = (self.identity(node), self.nonce());
            let limits = self.machines[node].config.limits;
            let connection = Connection::accept(identity, nonce, limits, OUTGOING_BYTES);
            self.links[link].ends[to].begin(connection, epoch);
        }
        let side = &mut self.links[link].ends[to];
        if side.epoch != epoch {
            return;
        }
        if side.connection.is_none() {
            return;
        }
        let mut bytes = &bytes[..];
        let peer = self.machine_at(link, 1 - to);
        loop {
            let side = &mut self.links[link].ends[to];
            let Some(connection) = side.connection.as_mut().filter(|_| side.epoch == epoch) else {
                return;
            };
            match connection.poll() {
                Ok(Some(Heard::Established(_))) => side.is_established = true,
                Ok(Some(Heard::Message(message))) => {
                    let arrived = self.machines[node].clocks(self.now).mono;
                    self.handle(
                        node,
                        Event::Peer {
                            from: machine::id(peer),
                            arrived,
                            message,
                        },
                    );
                }
                Ok(Some(Heard::Unsupported(unsupported))) => {
                    self.fail("wire", format!("{unsupported:?} was not understood"));
                }
                Ok(None) if bytes.is_empty() => break,
                Ok(None) => connection.receive(&mut bytes),
                Err(ended) => {
                    self.tell(|| format!("link {link} ends at node {node}: {ended}"));
                    return self.hang_up(link, to);
                }
            }
        }
        self.flush_link(link, to);
    }

    pub(super) fn dial(&mut self, link: usize) {
        let (node, peer) = (self.machine_at(link, 0), self.machine_at(link, 1));
        if self.links[link].ends[0].connection.is_some() || !self.machines[node].is_up() {
            return;
        }
        let hello = self.identity(node).hello(self.nonce());
        let to = Some(machine::id(peer));
        let limits = self.machines[node].config.limits;
        let connection = Connection::dial(hello, to, limits, OUTGOING_BYTES);
        let of = &mut self.links[link];
        of.epoch += 1;
        let epoch = of.epoch;
        of.ends[0].begin(connection, epoch);
        self.flush_link(link, 0);
        // An answer that does not come is not waited for for ever.
        let give = Happening::Give {
            link,
            end: 0,
            epoch,
            unless_established: true,
        };
        self.schedule_in(PATIENCE / 2, give);
    }

    /// Ends one end's connection and tells its node. The other end will notice.
    pub(super) fn hang_up(&mut self, link: usize, end: End) {
        let side = &mut self.links[link].ends[end];
        let was_established = std::mem::take(&mut side.is_established);
        if side.connection.take().is_none() {
            return;
        }
        let epoch = side.epoch;
        let (node, peer) = (self.machine_at(link, end), self.machine_at(link, 1 - end));
        let notice = self.dice.delay(Duration::from_millis(100));
        let give = Happening::Give {
            link,
            end: 1 - end,
            epoch,
            unless_established: false,
        };
        self.schedule_in(notice, give);
        let takes = self.dice.delay(Duration::from_millis(200));
        self.schedule_in(takes, Happening::Dial { link });
        if was_established {
            self.counters.add(Count::ConnectionLost, 1);
            self.handle(
                node,
                Event::PeerLost {
                    peer: machine::id(peer),
                },
            );
        }
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize, begins: bool) {
        if from == to {
            return;
        }
        let (link, end) = self.link(from, to);
        let side = &mut self.links[link].ends[end];
        if begins {
            side.cuts += 1;
            self.counters.add(Count::Cut, 1);
            for end in [0, 1] {
                let epoch = self.links[link].ends[end].epoch;
                let give = Happening::Give {
                    link,
                    end,
                    epoch,
                    unless_established: true,
                };
                self.schedule_in(PATIENCE, give);
            }
        } else {
            side.cuts -= 1;
            if side.cuts == 0 {
                let pieces = self.through(link, end, Side::release);
                self.schedule_pieces(link, 1 - end, pieces);
            }
        }
    }
}
