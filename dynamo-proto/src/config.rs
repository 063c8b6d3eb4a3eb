//! Limits: everything that a client or a peer can make grow has one.

use serde::{Deserialize, Serialize};

/// How large things may become.
///
/// Those on values, siblings and actors bind clients at the coordinator only. Merge, repair and
/// handoff are exempt: a replica that refused what its peers hold would stay different for ever.
/// What replicas send each other is bounded by `frame_bytes`.
///
/// ```
/// use dynamo_proto::Limits;
/// let limits = Limits { siblings: 10, ..Limits::default() };
/// assert_eq!(limits.value_bytes, 1 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest bucket type and longest bucket name; at most 65,535.
    pub bucket_bytes: usize,
    /// Longest key within a bucket.
    pub key_bytes: usize,
    /// Largest value that a client may write.
    pub value_bytes: usize,
    /// Most metadata that a client may write with one value.
    pub metadata_bytes: usize,
    /// Most live values of one key; a write that would make more is refused.
    pub siblings: usize,
    /// Most clock entries of one key; a write that would make more is refused.
    pub actors: usize,
    /// Most bytes of all that is alive of one key, and its clock; a write that would make more is
    /// refused. What several nodes have let clients write before they heard of each other adds up,
    /// and must still go into a frame.
    pub record_bytes: usize,
    /// Largest frame that a peer may send, header included.
    pub frame_bytes: usize,
    /// How many keys the cluster is cut out for, the same for all nodes. Replicas compare keys in
    /// portions of about 16 of them; with more keys the portions are larger, and nothing else.
    pub keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bucket_bytes: 1024,
            key_bytes: 4096,
            value_bytes: 1 << 20,
            metadata_bytes: 16 << 10,
            siblings: 100,
            actors: 1000,
            record_bytes: 16 << 20,
            frame_bytes: 128 << 20,
            keys: 16 << 20,
        }
    }
}
