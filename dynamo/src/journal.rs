//! What somebody who looks after a node should hear of, a line for each, on standard error.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use dynamo_driver::{SeedStatus, Site};
use dynamo_keeper::Server;
use dynamo_proto::NodeId;
use dynamo_proto::membership::Standing;
use tokio::time::sleep;

/// How often it is looked whether there is anything to say.
const EVERY: Duration = Duration::from_secs(1);

/// Of what goes on and on a line is written once in so many looks.
const PATIENCE: u32 = 10;

/// What is counted, and what a growing count says.
const COUNTED: &[(&str, &str)] = &[
    (
        "dynamo_overloaded_total",
        "requests of clients were refused: more is asked of this node than it can do",
    ),
    (
        "dynamo_connections_turned_away_total",
        "connections were turned away: there is no room for more, or they are strangers",
    ),
    (
        "dynamo_hints_refused_total",
        "copies for nodes that are away were refused: there is no room to hold more of them",
    ),
    (
        "dynamo_too_long_total",
        "messages to other nodes are longer than any frame: keys with too many or too large siblings",
    ),
    (
        "dynamo_damaged_records_total",
        "records could not be read, and other nodes are asked for them: the disk should be looked at",
    ),
    (
        "dynamo_unreadable_spans_total",
        "parts of the store cannot be read: the disk should be looked at",
    ),
    (
        "dynamo_lost_records_total",
        "records that could not be read, and that no other node has, were written anew",
    ),
    (
        "dynamo_too_weak_stores_total",
        "writes are kept less safely than their bucket promises",
    ),
    (
        "dynamo_renewals_total",
        "times this node had to be born anew: is its store a copy of another node's?",
    ),
];

/// Writes what there is to say of these nodes until it is dropped.
pub(crate) async fn keep(servers: &[Server]) -> Infallible {
    let mut journals: Vec<_> = servers.iter().map(|_| Journal::default()).collect();
    loop {
        for (core, (server, journal)) in servers.iter().zip(&mut journals).enumerate() {
            let who = match servers.len() {
                1 => String::new(),
                _ => format!("core {core}: "),
            };
            // A node that has too much to do, or has ended, is asked again.
            if let Ok(seen) = server.ask(Seen::of).await {
                for line in journal.look(seen) {
                    eprintln!("dynamo: {who}{line}");
                }
            }
        }
        sleep(EVERY).await;
    }
}

/// A node at one moment.
#[derive(Default)]
struct Seen {
    counts: Vec<u64>,
    /// The other nodes, and whether there is a connection.
    peers: BTreeMap<NodeId, (Option<SocketAddr>, bool)>,
    /// What it is to its cluster, if that is not as it should be.
    plight: Option<String>,
}

impl Seen {
    fn of(site: &Site<'_>) -> Self {
        let count = |(name, _): &(&str, _)| site.metrics.counted(name).unwrap_or_default();
        let peers = site.peers.iter();
        Self {
            counts: COUNTED.iter().map(count).collect(),
            peers: peers
                .map(|peer| (peer.node, (peer.address, peer.connected.is_some())))
                .collect(),
            plight: plight(site),
        }
    }
}

/// What has been said.
#[derive(Default)]
struct Journal {
    told: Seen,
    /// What it was to its cluster at the last look.
    plight: Option<String>,
    /// Looks until a count may be told of again.
    quiet: [u32; COUNTED.len()],
}

impl Journal {
    /// What there is to say, seeing that.
    fn look(&mut self, seen: Seen) -> Vec<String> {
        let mut lines = Vec::new();
        for (node, (address, is_connected)) in &seen.peers {
            let was_connected = self.told.peers.get(node).is_some_and(|(_, was)| *was);
            if *is_connected != was_connected {
                let how = if *is_connected { "connected" } else { "lost" };
                let place = address.map_or(String::new(), |address| format!(" at {address}"));
                lines.push(format!("node {node}{place} is {how}"));
            }
        }
        self.told.peers = seen.peers;
        // What is not so for long is not worth a line.
        let lasts = seen.plight == self.plight;
        if lasts && seen.plight != self.told.plight {
            lines.extend(seen.plight.clone());
            self.told.plight.clone_from(&seen.plight);
        }
        self.plight = seen.plight;
        self.told.counts.resize(COUNTED.len(), 0);
        let told = self.told.counts.iter_mut().zip(&mut self.quiet);
        for ((count, (_, meaning)), (told, quiet)) in seen.counts.iter().zip(COUNTED).zip(told) {
            *quiet = quiet.saturating_sub(1);
            if *count > *told && *quiet == 0 {
                lines.push(format!("{} {meaning}", count - *told));
                (*told, *quiet) = (*count, PATIENCE);
            }
        }
        lines
    }
}

/// Why a node serves nothing, and what to do about it.
fn plight(site: &Site<'_>) -> Option<String> {
    let (node, membership) = (site.config.node, site.membership);
    if membership.is_serving() {
        return None;
    }
    if membership.is_overtaken() {
        return Some(format!(
            "another process lives under the name of this node, {node}: its store is a copy. If the other is gone for good, start this one with --adopt; otherwise give it an empty store"
        ));
    }
    let standing = membership.state().and_then(|state| state.standing(node));
    if let Some(Standing::Removed) = standing {
        return Some(format!(
            "this node, {node}, was removed from its cluster, which is final: to take part again it needs an empty store, and with it a new name"
        ));
    }
    let answers = |seed: &&SeedStatus| seed.node.is_some();
    if let Some(seed) = site.seeds.iter().find(answers) {
        return Some(format!(
            "this node waits to be let into its cluster: ask an administrator for `dynamo cluster join {node} --node {}`, and to commit that",
            seed.address
        ));
    }
    let seeds: Vec<_> = site.seeds.iter().map(|it| it.address.to_string()).collect();
    let seeds = seeds.join(", ");
    Some(match site.seeds.iter().find(|it| it.is_other_cluster) {
        Some(seed) => format!(
            "the node at {} belongs to another cluster: --cluster names this one's, --seed says where to find it",
            seed.address
        ),
        None => format!("nobody answers at {seeds}: this node looks for its cluster there"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(overloaded: u64, is_connected: bool) -> Seen {
        let mut counts = vec![0; COUNTED.len()];
        counts[0] = overloaded;
        let peer = (Some(SocketAddr::from(([127, 0, 0, 1], 7402))), is_connected);
        Seen {
            counts,
            peers: [(NodeId(2), peer)].into(),
            plight: None,
        }
    }

    #[test]
    fn a_change_is_told_once_and_what_goes_on_now_and_then() {
        let mut journal = Journal::default();
        assert!(journal.look(seen(0, false)).is_empty(), "nothing was yet");
        assert_eq!(
            journal.look(seen(0, true)),
            ["node 0000000000000002 at 127.0.0.1:7402 is connected"]
        );
        assert!(journal.look(seen(0, true)).is_empty());
        assert_eq!(
            journal.look(seen(0, false)),
            ["node 0000000000000002 at 127.0.0.1:7402 is lost"]
        );
        let lines: Vec<_> = (1..=25)
            .flat_map(|second| journal.look(seen(100 * second, false)))
            .collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("100 requests of clients were refused"));
        assert!(lines[1].starts_with("1000 requests"), "{lines:?}");
    }
}
