//! What is true of small clusters, found without the methods under test: the spread rule by trying
//! every set of owners, the least number of moves as a flow of least cost.

use super::*;

/// For each zone, host and node: its members, and the least and the most of them that a well spread
/// set of owners can have.
pub(in crate::ring) struct Group {
    pub(in crate::ring) members: Vec<usize>,
    pub(in crate::ring) least: u32,
    pub(in crate::ring) most: u32,
}

/// Zones, hosts and nodes with what the spread rule allows each, by trying all sets.
pub(in crate::ring) fn groups(members: &[Member], replicas: u8) -> [Vec<Group>; 3] {
    let width = usize::from(replicas).min(members.len());
    let zone = |at: usize| (members[at].zone.clone(), String::new(), 0);
    let host = |at: usize| {
        (
            members[at].zone.clone(),
            String::from(&*members[at].host),
            0,
        )
    };
    let distinct = |set: &[usize], label: &dyn Fn(usize) -> _| {
        set.iter()
            .map(|&at| label(at))
            .collect::<BTreeSet<(_, String, usize)>>()
            .len()
    };
    let sets: Vec<Vec<usize>> = (0u32..1 << members.len())
        .filter(|bits| bits.count_ones() as usize == width)
        .map(|bits| {
            (0..members.len())
                .filter(|at| bits >> at & 1 == 1)
                .collect()
        })
        .collect();
    let best = |label: &dyn Fn(usize) -> _| {
        sets.iter()
            .map(|set| distinct(set, label))
            .max()
            .expect("some set")
    };
    let (zones, hosts) = (best(&zone), best(&host));
    let sound: Vec<&Vec<usize>> = sets
        .iter()
        .filter(|set| distinct(set, &zone) == zones && distinct(set, &host) == hosts)
        .collect();
    let group = |label: &dyn Fn(usize) -> (_, String, usize)| {
        let labels: BTreeSet<_> = (0..members.len()).map(label).collect();
        let groups = labels.into_iter().map(|name| {
            let of = |set: &[usize]| set.iter().filter(|&&at| label(at) == name).count() as u32;
            Group {
                members: (0..members.len()).filter(|&at| label(at) == name).collect(),
                least: sound
                    .iter()
                    .map(|set| of(set))
                    .min()
                    .expect("some sound set"),
                most: sound
                    .iter()
                    .map(|set| of(set))
                    .max()
                    .expect("some sound set"),
            }
        });
        groups.collect::<Vec<_>>()
    };
    [
        group(&zone),
        group(&host),
        group(&|at| (members[at].zone.clone(), String::new(), at)),
    ]
}

/// The fewest copies that must move from one ring to any balanced and well spread ring of these
/// members.
pub(in crate::ring) fn least_moves(before: &Ring, after: &Ring) -> u64 {
    let members = after.members();
    let partitions = after.partitions().len();
    let [zones, hosts, _] = groups(members, after.config.replicas);
    let spread = Spread::new(after.config.replicas, &after.homes);
    let shares = Shares::new(members, &after.homes, spread, partitions as u32).rounded();

    let mut flow = Flow::default();
    let (source, sink) = (flow.vertex(), flow.vertex());
    let nodes: Vec<usize> = members.iter().map(|_| flow.vertex()).collect();
    for (&node, share) in nodes.iter().zip(&shares) {
        flow.edge(node, sink, share.floor, share.ceil, 0);
    }
    for partition in after.partitions() {
        let had = owners(before, partition);
        let row = flow.vertex();
        flow.edge(source, row, spread.width as u32, spread.width as u32, 0);
        for zone in &zones {
            let at_zone = flow.vertex();
            flow.edge(row, at_zone, zone.least, zone.most, 0);
            for host in hosts
                .iter()
                .filter(|it| zone.members.contains(&it.members[0]))
            {
                let at_host = flow.vertex();
                flow.edge(at_zone, at_host, host.least, host.most, 0);
                for &member in &host.members {
                    let cost = i64::from(!had.contains(&members[member].id));
                    flow.edge(at_host, nodes[member], 0, 1, cost);
                }
            }
        }
    }
    flow.cheapest(source, sink, partitions * spread.width)
}

/// A network in which every unit of a lower bound earns more than all moves can cost.
#[derive(Default)]
struct Flow {
    edges: Vec<(usize, u32, i64)>,
    from: Vec<Vec<usize>>,
    bound: u64,
}

const BOUND: i64 = 1_000_000;

impl Flow {
    fn vertex(&mut self) -> usize {
        self.from.push(Vec::new());
        self.from.len() - 1
    }

    fn edge(&mut self, from: usize, to: usize, least: u32, most: u32, cost: i64) {
        self.bound += u64::from(least);
        for (room, cost) in [(least, cost - BOUND), (most - least, cost)] {
            if room > 0 {
                self.from[from].push(self.edges.len());
                self.edges.push((to, room, cost));
                self.from[to].push(self.edges.len());
                self.edges.push((from, 0, -cost));
            }
        }
    }

    fn cheapest(mut self, source: usize, sink: usize, units: usize) -> u64 {
        let mut cost = 0;
        for _ in 0..units {
            let mut price = alloc::vec![i64::MAX; self.from.len()];
            let mut last = alloc::vec![usize::MAX; self.from.len()];
            let mut queue = alloc::collections::VecDeque::from([source]);
            let mut queued = alloc::vec![false; self.from.len()];
            price[source] = 0;
            while let Some(vertex) = queue.pop_front() {
                queued[vertex] = false;
                for &edge in &self.from[vertex] {
                    let (to, room, extra) = self.edges[edge];
                    if room > 0 && price[vertex] + extra < price[to] {
                        price[to] = price[vertex] + extra;
                        last[to] = edge;
                        if !core::mem::replace(&mut queued[to], true) {
                            queue.push_back(to);
                        }
                    }
                }
            }
            assert_ne!(
                price[sink],
                i64::MAX,
                "no balanced and well spread ring exists"
            );
            cost += price[sink];
            let mut at = sink;
            while at != source {
                self.edges[last[at]].1 -= 1;
                self.edges[last[at] ^ 1].1 += 1;
                at = self.edges[last[at] ^ 1].0;
            }
        }
        (cost + self.bound as i64 * BOUND) as u64
    }
}
