//! What must be so when nothing goes wrong any more.

use super::*;

/// How long nodes may go on by themselves when nobody asks for anything any more: bringing home
/// what they hold for others, finding out who is there.
const QUIET: Duration = Duration::from_secs(60);

/// How long replicas may take to become equal.
const CONVERGE: Duration = Duration::from_secs(60);

impl World<'_> {
    pub(super) fn check_quiet(&mut self) {
        if self.violation.is_some() {
            return;
        }
        if let Some((name, asked)) = self.asked.first_key_value() {
            let what = format!("{name:?}, asked at {:?}, was never answered", asked.at);
            return self.fail("I10", what);
        }
        let down = self.machines.iter().position(|machine| !machine.is_up());
        if let Some(node) = down {
            return self.fail("liveness", format!("node {node} never started again"));
        }
        let end = self.now + QUIET;
        let mut busy = self.busy();
        while busy.is_some() && self.now < end && self.violation.is_none() {
            self.settle(Duration::from_secs(1));
            busy = self.busy();
        }
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

    /// A node that has something to do.
    fn busy(&self) -> Option<usize> {
        (0..self.machines.len()).find(|node| {
            let process = self.machines[*node].node.as_ref();
            process.is_some_and(|node| {
                node.running() > 0 || node.load() > 0 || node.next_deadline().is_some()
            })
        })
    }

    /// On their own, and soon, all replicas of a key become equal, and nobody holds anything for
    /// anybody else.
    pub(super) fn check_convergence(&mut self) {
        let end = self.now + CONVERGE;
        while let Some(difference) = self.difference() {
            if self.violation.is_some() {
                return;
            }
            if self.now >= end {
                return self.fail("I6", difference);
            }
            self.settle(Duration::from_secs(1));
        }
    }

    /// Something that has not become equal.
    fn difference(&self) -> Option<String> {
        let hints = |machine: &Machine| machine.disk.count(Space::Hints);
        if let Some(node) = self.machines.iter().position(|machine| hints(machine) > 0) {
            let hints = hints(&self.machines[node]);
            return Some(format!("node {node} still holds {hints} hints"));
        }
        (0..self.scenario.keys.len()).find_map(|key| {
            let primaries = self.primaries(key);
            let first = self.shared_state(primaries[0], key);
            let differs =
                |node: &&usize| first.is_none() || self.shared_state(**node, key) != first;
            let other = primaries.iter().find(differs)?;
            Some(format!(
                "nodes {} and {other} hold key {key} differently",
                primaries[0]
            ))
        })
    }

    /// What all replicas of a key are to have in common, in bytes; none of a damaged record.
    pub(super) fn shared_state(&self, node: usize, key: usize) -> Option<Vec<u8>> {
        let at = self.address(key);
        let mut bytes = Vec::new();
        match self.machines[node].disk.read(Space::Objects, &at) {
            ReadOutcome::Found(found) => Record::decode(&at, found)
                .ok()?
                .siblings()
                .encode(&mut bytes),
            ReadOutcome::Absent => {}
            ReadOutcome::Corrupt | ReadOutcome::Failed => return None,
        }
        Some(bytes)
    }
}
