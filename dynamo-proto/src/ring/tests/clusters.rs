//! Clusters to place: all ways to spread a few nodes, up to symmetry.

use super::*;

/// Nodes per host, per zone: `[[1, 1], [2]]` has two hosts of one node in the first zone and one
/// host of two in the second.
#[derive(Clone, Debug)]
pub(in crate::ring) struct Cluster(pub(in crate::ring) Vec<Vec<usize>>);

pub(in crate::ring) fn node(id: u64, zone: usize, host: usize) -> Member {
    Member::new(NodeId(id), format!("zone-{zone}"), format!("host-{host}"))
}

impl Cluster {
    /// Every way to spread so many nodes over so many zones, on hosts of one to three nodes.
    pub(in crate::ring) fn all(nodes: usize, zones: usize) -> Vec<Self> {
        sums(nodes, zones, nodes)
            .into_iter()
            .map(|sizes| {
                sizes
                    .into_iter()
                    .map(hosts_of)
                    .fold(alloc::vec![Vec::new()], |clusters, zone| {
                        clusters
                            .iter()
                            .flat_map(|cluster: &Vec<Vec<usize>>| {
                                zone.iter().map(move |hosts| {
                                    cluster.iter().cloned().chain([hosts.clone()]).collect()
                                })
                            })
                            .collect()
                    })
            })
            .flat_map(|clusters: Vec<Vec<Vec<usize>>>| clusters.into_iter().map(Self))
            .collect()
    }

    /// The same, but all hosts alike: of one, two or three nodes, or each bigger than the last.
    pub(in crate::ring) fn regular(nodes: usize, zones: usize) -> Vec<Self> {
        let patterns: [&[usize]; 4] = [&[1], &[2], &[3], &[1, 2, 3]];
        sums(nodes, zones, nodes)
            .into_iter()
            .flat_map(|sizes| {
                patterns.map(|pattern| {
                    Self(
                        sizes
                            .iter()
                            .map(|&size| cut(size, pattern.iter().cycle()))
                            .collect(),
                    )
                })
            })
            .collect()
    }

    /// The nodes, in an order in which zones and hosts take turns. Ids follow another order.
    pub(in crate::ring) fn members(&self) -> Vec<Member> {
        let mut members: Vec<(usize, usize, usize)> = Vec::new();
        for (zone, hosts) in self.0.iter().enumerate() {
            for (host, &nodes) in hosts.iter().enumerate() {
                members.extend((0..nodes).map(|nth| (nth, host, zone)));
            }
        }
        members.sort_unstable();
        (0..)
            .zip(members)
            .map(|(nth, (_, host, zone))| node(nth * 7919 % 10007, zone, host))
            .collect()
    }
}

/// Ways to write `total` as a sum of so many numbers, none above `most`, falling.
fn sums(total: usize, parts: usize, most: usize) -> Vec<Vec<usize>> {
    if parts == 0 {
        return if total == 0 {
            alloc::vec![Vec::new()]
        } else {
            Vec::new()
        };
    }
    (1..=most.min(total))
        .flat_map(|first| {
            sums(total - first, parts - 1, first)
                .into_iter()
                .map(move |mut rest| {
                    rest.insert(0, first);
                    rest
                })
        })
        .collect()
}

fn hosts_of(nodes: usize) -> Vec<Vec<usize>> {
    (1..=nodes)
        .flat_map(|hosts| sums(nodes, hosts, 3))
        .collect()
}

fn cut<'a>(nodes: usize, sizes: impl Iterator<Item = &'a usize>) -> Vec<usize> {
    let mut left = nodes;
    sizes
        .map_while(|&size| {
            let taken = size.min(left);
            left -= taken;
            (taken > 0).then_some(taken)
        })
        .collect()
}
