//! What a lab does to its world, and looks at in it.

use super::*;

impl World<'_> {
    /// Every cut ends.
    pub(crate) fn heal(&mut self) {
        let count = self.machines.len();
        for from in 0..count {
            for to in (0..count).filter(|to| *to != from) {
                let (link, end) = self.link(from, to);
                for _ in 0..self.links[link].ends[end].cuts {
                    self.cut(from, to, false);
                }
            }
        }
    }

    /// Asks a node for something, outside of all plans, and waits for the answer; `None` if it
    /// stops before, or a promise is broken.
    pub(crate) fn ask_and_wait(&mut self, node: usize, request: Request) -> Option<Response> {
        if !self.machines[node].is_up() {
            return None;
        }
        self.requests += 1;
        let client = ClientRequest(self.requests);
        self.outside = Some(client);
        let arrived = self.machines[node].clocks(self.now).mono;
        self.handle(
            node,
            Event::Client {
                client,
                arrived,
                request,
            },
        );
        let end = self.now + TIMEOUT;
        while self.answer.is_none() && self.now < end {
            if self.violation.is_some() {
                return None;
            }
            let next = self
                .queue
                .peek()
                .map_or(end, |Reverse(next)| next.at.min(end));
            self.run_until(next);
        }
        self.outside = None;
        self.answer.take()
    }

    /// Puts another's disk in place of a node's own, or an empty one. The node is down. It does not
    /// tell that it is another's.
    pub(crate) fn give_disk(&mut self, node: usize, from: Option<usize>) {
        let disk = match from {
            Some(from) => self.machines[from].disk.snapshot().of_another(node),
            None => Disk::of(node),
        };
        self.machines[node].give(disk);
    }

    pub(crate) fn keep_disk(&mut self, node: usize) {
        let disk = self.machines[node].disk.snapshot();
        self.snapshots.insert(node, disk);
    }

    pub(crate) fn put_back_disk(&mut self, node: usize) {
        if let Some(disk) = self.snapshots.remove(&node) {
            self.machines[node].give(disk);
        }
    }

    /// A bit flips in what a node keeps of a key.
    pub(crate) fn damage(&mut self, node: usize, key: &Key) -> bool {
        let at = Address::of_object(key.token(), key.encoded());
        self.atlas.scar(node);
        self.machines[node]
            .disk
            .rot(Space::Objects, &at, false, &mut self.dice)
    }

    pub(crate) fn slow(&mut self, node: usize, times: u32) {
        self.machines[node].slowness = times;
    }

    pub(crate) fn in_order_of_duty(&self, key: &Key) -> Vec<usize> {
        let list = self.ring().lookup(key.token());
        let n = usize::from(self.scenario.quorum.n);
        let all = list.primaries(n).chain(list.fallbacks(n));
        all.map(|member| machine::place(member.id)).collect()
    }

    pub(crate) fn copies_held(&self, node: usize) -> u64 {
        let process = self.machines[node].node.as_ref();
        process.map_or(0, |process| process.held().copies)
    }

    pub(crate) fn is_settled(&self, key: &Key) -> bool {
        let at = Address::of_object(key.token(), key.encoded());
        let n = usize::from(self.scenario.quorum.n);
        let mut states = (self.in_order_of_duty(key).into_iter().take(n))
            .map(|node| self.shared_state(node, &at));
        let first = states.next().flatten();
        first.is_some() && states.all(|state| state == first)
    }

    pub(crate) fn clock_entries(&self, key: &Key) -> usize {
        let at = Address::of_object(key.token(), key.encoded());
        let entries = self.machines.iter().map(|machine| {
            let found = machine.disk.read(Space::Objects, &at);
            let ReadOutcome::Found(bytes) = found else {
                return 0;
            };
            let record = Record::decode(&at, bytes);
            record.map_or(0, |record| record.siblings().clock().entries().len())
        });
        entries.max().unwrap_or_default()
    }

    pub(crate) fn count(&self, what: Count) -> u64 {
        self.counters.of(what)
    }
}
