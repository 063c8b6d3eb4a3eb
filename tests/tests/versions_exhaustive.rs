//! Every sequence of up to six steps of three replicas and two clients, against explicit causal
//! histories.

use dynamo_tests::history::{Step, World};

const REPLICAS: usize = 3;
const CLIENTS: usize = 2;
const STEPS: usize = 6;

/// Sequences that differ only in the names of replicas or clients are the same: a name is used
/// only once all lower ones are.
#[derive(Clone, Copy, Default)]
struct Named {
    replicas: usize,
    clients: usize,
}

impl Named {
    fn replicas(self) -> std::ops::Range<usize> {
        0..(self.replicas + 1).min(REPLICAS)
    }

    fn clients(self) -> std::ops::Range<usize> {
        0..(self.clients + 1).min(CLIENTS)
    }

    fn with(mut self, replica: usize, client: Option<usize>) -> Self {
        self.replicas = self.replicas.max(replica + 1);
        self.clients = self.clients.max(client.map_or(0, |client| client + 1));
        self
    }
}

fn steps(named: Named) -> Vec<(Step, Named)> {
    let mut steps = Vec::new();
    for at in named.replicas() {
        steps.push((Step::Blind { at }, named.with(at, None)));
        steps.push((Step::Forget { at }, named.with(at, None)));
        steps.push((Step::Restart { at }, named.with(at, None)));
        for client in named.clients() {
            steps.push((Step::Read { at, client }, named.with(at, Some(client))));
            steps.push((Step::Write { at, client }, named.with(at, Some(client))));
        }
        let named = named.with(at, None);
        for to in named.replicas().filter(|to| *to != at) {
            steps.push((Step::Sync { from: at, to }, named.with(to, None)));
        }
    }
    steps
}

/// Returns how many sequences were tried.
fn explore(world: &World, named: Named, left: usize) -> u64 {
    if left == 0 {
        return 1;
    }
    let mut tried = 1;
    for (step, named) in steps(named) {
        let mut next = world.clone();
        // A step that changes nothing is covered by the sequence without it.
        if next.take(step) {
            tried += explore(&next, named, left - 1);
        }
    }
    tried
}

#[test]
fn every_short_history_ends_as_its_causal_sets_say() {
    let tried = explore(&World::new(REPLICAS, CLIENTS), Named::default(), STEPS);
    println!("{tried} sequences");
    assert!(
        tried > 1_000_000,
        "only {tried} sequences: most steps were refused"
    );
}
