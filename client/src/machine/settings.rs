//! What a client is told at its start.

use std::time::Duration;

use dynamo_proto::{ClusterId, Limits};

/// Which cluster, by way of whom, and how much at once.
///
/// ```
/// use dynamo_client::{Settings, Way};
/// let settings = Settings {
///     way: Way::ThroughAny, // behind a load balancer
///     ..Settings::of("demo", ["10.0.0.1:7401"])
/// };
/// assert_eq!(settings.nodes, ["10.0.0.1:7401"]);
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster.
    pub cluster: ClusterId,
    /// Where some of its nodes are, or a load balancer before them: names or numbers, and a port.
    pub nodes: Vec<String>,
    /// How nodes are found.
    pub way: Way,
    /// Most connections to one node.
    pub connections: usize,
    /// Most requests under way on one connection.
    pub in_flight: usize,
    /// Most requests under way in all; others fail at once.
    pub most: usize,
    /// How long a request may take, if it does not say so itself.
    pub timeout: Duration,
    /// How long a connection may take to come about.
    pub connect: Duration,
    /// How often the directory is asked for, if nobody says that it has changed.
    pub refresh: Duration,
    /// A connection that nothing is asked on for so long is closed, but one.
    pub idle: Duration,
    /// So many requests of a hundred may be tried again, or with a second node as well.
    pub retries: u32,
    /// What frames from nodes are held to: as the nodes' own.
    pub limits: Limits,
}

/// How nodes are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// The nodes on duty for a key are spoken to directly, where the cluster says they are.
    #[default]
    Direct,
    /// Only the addresses given are spoken to; whichever node answers there passes requests on.
    ThroughAny,
}

impl Settings {
    /// As usual, for the cluster of that name.
    #[must_use]
    pub fn of<A: Into<String>>(cluster: &str, nodes: impl IntoIterator<Item = A>) -> Self {
        Self {
            cluster: ClusterId::named(cluster),
            nodes: nodes.into_iter().map(Into::into).collect(),
            way: Way::default(),
            connections: 2,
            in_flight: 100,
            most: 4096,
            timeout: Duration::from_secs(5),
            connect: Duration::from_secs(1),
            refresh: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            retries: 10,
            limits: Limits::default(),
        }
    }
}
