use crate::identity::NodeId;

use super::Partition;

/// Why there is no ring of this configuration, these members or this snapshot.
///
/// Nothing was changed; the caller corrects what is named and asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// A ring of nobody.
    #[error("a ring needs at least one member")]
    NoMembers,
    /// More members than a ring can number.
    #[error("{members} members are over the limit of {limit}", limit = super::MAX_MEMBERS)]
    TooManyMembers {
        /// How many there were.
        members: usize,
    },
    /// Two members under one identity.
    #[error("node {0} is listed twice")]
    DuplicateMember(NodeId),
    /// A member that could hold nothing.
    #[error("node {0} has weight 0")]
    ZeroWeight(NodeId),
    /// A host or zone label that is too long to carry around.
    #[error("a label of node {0} is over {limit} bytes", limit = super::MAX_LABEL_BYTES)]
    LabelTooLong(NodeId),
    /// A configuration that keeps no copy of anything.
    #[error("the number of replicas must not be 0")]
    ZeroReplicas,
    /// A ring cut into no partitions.
    #[error("the number of partitions must not be 0")]
    ZeroPartitions,
    /// Nodes without tokens.
    #[error("the number of tokens per node must not be 0")]
    ZeroTokens,
    /// More owners of each partition than a ring can spread.
    #[error("{replicas} replicas are over the limit of {limit}", limit = super::MAX_REPLICAS)]
    TooManyReplicas {
        /// The replicas asked for.
        replicas: u8,
    },
    /// The lists of all partitions are more than a ring may hold: see
    /// [`MAX_SLOTS`](super::MAX_SLOTS).
    #[error("{partitions} partitions are over the limit of {limit} with this many replicas")]
    TooManyPartitions {
        /// The partitions asked for.
        partitions: u32,
        /// The most that this many replicas allow.
        limit: u32,
    },
    /// The lists of all random tokens are more than a ring may hold: see
    /// [`MAX_SLOTS`](super::MAX_SLOTS).
    #[error(
        "the members' weights ask for more than {limit} tokens, the limit with this many replicas"
    )]
    TooManyTokens {
        /// The most that this many replicas allow.
        limit: u32,
    },
    /// The snapshot's assignment has another size than its configuration and members say.
    #[error("the snapshot assigns {found} places instead of {expected}")]
    WrongSize {
        /// Places that configuration and members call for.
        expected: usize,
        /// Places in the snapshot.
        found: usize,
    },
    /// The snapshot's members are not in the order of their ids, to which its assignment refers.
    #[error("the snapshot's members are not in the order of their ids")]
    MembersOutOfOrder,
    /// The snapshot assigns a partition to a member that is not listed.
    #[error("{0} is assigned to a member that is not listed")]
    UnknownMember(Partition),
    /// The snapshot lists a partition's owners twice, or not spread over zones and hosts as they
    /// could be.
    #[error("the owners of {0} are not spread over distinct zones, hosts and nodes")]
    NotSpread(Partition),
    /// The snapshot gives a node more or less than its share.
    #[error("node {0} does not hold its share")]
    Unbalanced(NodeId),
    /// The snapshot makes a node first for more or less than its part of what it holds.
    #[error("node {0} is not first for its part of what it holds")]
    UnevenLead(NodeId),
}
