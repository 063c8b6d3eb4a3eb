//! How much may wait, and for how long.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How much a driver lets wait. Beyond these, clients are told that the node is overloaded or are
/// not read from, and the node is told that a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Most connections of clients.
    pub clients: usize,
    /// Most connections beside those of clients, for looking after the node.
    pub admins: usize,
    /// Most connections of which nobody knows yet who it is.
    pub strangers: usize,
    /// Most requests of one connection that the node works on at once.
    pub in_flight: usize,
    /// Most bytes of those; one request may always be.
    pub in_flight_bytes: usize,
    /// A client that has left so many bytes of answers unread is not read from.
    pub unread_bytes: usize,
    /// Most bytes that wait to be sent to one other node.
    pub peer_bytes: usize,
    /// Beyond so many bytes on all connections together, both ways, clients are refused.
    pub total_bytes: usize,
}

/// How long a driver waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Waits {
    /// For a connection that was dialed to come about, and for a stranger to say who it is.
    pub handshake: Duration,
    /// Before a node is dialed again; twice as long each time it fails, with jitter.
    pub redial: Duration,
    /// The most of that.
    pub longest_redial: Duration,
    /// A node that has said nothing for so long is pinged.
    pub idle: Duration,
    /// The connection to a node that has said nothing for so long is given up.
    pub silence: Duration,
    /// Whoever has read nothing for so long, though something waits for it, is hung up on.
    pub stalled: Duration,
    /// A client that has not taken all that was said to it for so long may be hung up on, if more
    /// than half of what may wait on all connections does.
    pub behind: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            clients: 16 << 10,
            admins: 256,
            strangers: 256,
            in_flight: 128,
            in_flight_bytes: 8 << 20,
            unread_bytes: 1 << 20,
            peer_bytes: 64 << 20,
            total_bytes: 512 << 20,
        }
    }
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            redial: Duration::from_millis(50),
            longest_redial: Duration::from_secs(2),
            idle: Duration::from_secs(2),
            silence: Duration::from_secs(8),
            stalled: Duration::from_secs(30),
            behind: Duration::from_secs(2),
        }
    }
}
