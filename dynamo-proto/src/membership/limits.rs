//! How much of everything there may be.

/// Commits of a history, beyond which no administrator's is taken any more.
pub const MAX_OWN_COMMITS: usize = 16_384;
/// Commits of a history, beyond which nothing is taken in: so that branches which were within
/// bounds can still be united.
pub const MAX_COMMITS: usize = 65_536;
/// Commits that not everybody is known to have switched to, beyond which no administrator's is taken:
/// what is written goes by the ring of each.
pub const MAX_UNSETTLED: usize = 64;
/// Changes of one commit.
pub const MAX_CHANGES: usize = 1024;
/// Commits that one commit follows.
pub(super) const MAX_PARENTS: usize = 255;
/// Bucket types of a cluster.
pub const MAX_BUCKET_TYPES: usize = 256;
/// Buckets of a cluster that are kept in another way than their type says.
pub const MAX_SINGLE_BUCKETS: usize = 1024;
/// Boots that are retired, beyond which no more are.
pub const MAX_RETIRED: usize = 1 << 20;
/// Longest name of a bucket type and of a bucket of which something is decided, and longest address of a node.
pub const MAX_NAME_BYTES: usize = 255;
/// Newcomers that are known at once.
pub const MAX_NEWCOMERS: usize = 64;

/// Heads that a digest names.
pub(super) const MAX_HEADS: usize = 4;
/// Names of commits in one message.
pub(super) const MAX_LOCATED: usize = 64;
/// Bytes of commits in one message; a commit that is larger goes alone.
pub(super) const COMMITS_BYTES: usize = 64 << 10;
/// Records in one message.
pub(super) const MAX_RECORDS: usize = 1024;
/// Versions of records in one message.
pub(super) const MAX_VERSIONS: usize = 4096;
/// Buckets of a roster in one message.
pub(super) const MAX_BUCKETS: usize = 1024;
