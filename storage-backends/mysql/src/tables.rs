//! The tables and what is said to them.

use dynamo_proto::store::Space;
use dynamo_storage::SPACES;

/// Of the tables. A store of another is refused.
pub(crate) const FORMAT: u32 = 2;

/// How many rows a statement deletes at most.
const ROWS_AT_A_TIME: usize = 1000;

macro_rules! of_each_space {
    ($space:expr, $before:literal, $after:expr) => {
        match $space {
            Space::Objects => concat!($before, "`objects`", $after),
            Space::Hints => concat!($before, "`hints`", $after),
            Space::Trees => concat!($before, "`trees`", $after),
            Space::Meta => concat!($before, "`meta`", $after),
        }
    };
}

/// The table that says whose the store is. Without a row, nothing is in the others yet.
pub(crate) const STORE: &str = "store";

/// The names of the others.
pub(crate) fn name(space: Space) -> &'static str {
    of_each_space!(space, "", "").trim_matches('`')
}

/// Makes the first table.
pub(crate) const CREATE_STORE: &str = "CREATE TABLE IF NOT EXISTS `store` (
        one TINYINT NOT NULL PRIMARY KEY,
        format INT UNSIGNED NOT NULL,
        holder BINARY(16) NOT NULL,
        cluster BINARY(16) NOT NULL,
        node BIGINT UNSIGNED NOT NULL,
        generation BIGINT UNSIGNED NOT NULL,
        place VARBINARY(1024) NOT NULL,
        is_open TINYINT NOT NULL
    ) ENGINE=InnoDB";

/// Makes the others.
pub(crate) fn create() -> [String; SPACES.len()] {
    SPACES.map(|space| {
        let create = of_each_space!(space, "CREATE TABLE IF NOT EXISTS ", "");
        format!(
            "{create} (
                place VARBINARY(2048) NOT NULL,
                digest VARBINARY(32) NOT NULL,
                rest MEDIUMBLOB NOT NULL,
                size INT UNSIGNED NOT NULL,
                bytes LONGBLOB NOT NULL,
                PRIMARY KEY (place, digest)
            ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC"
        )
    })
}

/// Waits until no other transaction goes on.
pub(crate) const LOCK_STORE: &str = "SELECT format FROM `store` WHERE one = 1 FOR UPDATE";

/// In the format of this program.
pub(crate) const READ_STORE: &str =
    "SELECT cluster, node, generation, place, is_open FROM `store` WHERE one = 1";

/// Its first row, or the one that takes its place.
pub(crate) const HOLD_STORE: &str = "REPLACE INTO `store` VALUES (1, ?, ?, ?, ?, ?, ?, 1)";

pub(crate) const LEAVE_STORE: &str = "UPDATE `store` SET is_open = 0 WHERE one = 1";

/// Held by a connection for as long as the store is open. The server lets go of it when it notices
/// that the connection is lost.
pub(crate) const TAKE_LOCK: &str = "SELECT GET_LOCK(CONCAT('dynamo ', SHA1(DATABASE())), ?)";

/// The connection that has it, and where that comes from.
pub(crate) const WHO_HAS_LOCK: &str = "SELECT id, host FROM information_schema.processlist \
     WHERE id = IS_USED_LOCK(CONCAT('dynamo ', SHA1(DATABASE())))";

/// What every transaction begins with: whose the store is, and what a commit will be worth. Also
/// keeps [`LOCK_STORE`] waiting until it ends.
pub(crate) const LOOK_AT_STORE: &str = "SELECT holder, @@GLOBAL.innodb_flush_log_at_trx_commit, \
     @@GLOBAL.log_bin, @@GLOBAL.sync_binlog FROM `store` WHERE one = 1 LOCK IN SHARE MODE";

pub(crate) fn read(space: Space) -> &'static str {
    of_each_space!(
        space,
        "SELECT bytes, rest FROM ",
        " WHERE place = ? AND digest = ?"
    )
}

pub(crate) fn put(space: Space) -> &'static str {
    of_each_space!(space, "REPLACE INTO ", " VALUES (?, ?, ?, ?, ?)")
}

pub(crate) fn remove(space: Space) -> &'static str {
    of_each_space!(space, "DELETE FROM ", " WHERE place = ? AND digest = ?")
}

pub(crate) fn delete_between(space: Space) -> String {
    let delete = of_each_space!(space, "DELETE FROM ", " WHERE place > ? AND place < ?");
    format!("{delete} ORDER BY place LIMIT {ROWS_AT_A_TIME}")
}

/// Names and sizes.
pub(crate) fn list(space: Space) -> &'static str {
    of_each_space!(
        space,
        "SELECT place, digest, rest, size FROM ",
        " WHERE place >= ? AND place <= ? ORDER BY place LIMIT ?"
    )
}

pub(crate) fn values(space: Space) -> &'static str {
    of_each_space!(
        space,
        "SELECT place, digest, rest, bytes FROM ",
        " WHERE place >= ? AND place <= ?"
    )
}

/// Names and sizes of what differs only behind the place.
pub(crate) fn list_one_place(space: Space) -> &'static str {
    of_each_space!(
        space,
        "SELECT place, digest, rest, size FROM ",
        " WHERE place = ?"
    )
}
