//! What goes wrong, and what to do about it.

use std::fmt;

use dynamo_proto::store::{Space, WriteError};
use dynamo_storage::directory::Owner;

/// Why a store could not be opened, or a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not one, or names no database.
    #[error("{0}: a store's URL is mysql://user:password@host:port/database")]
    Url(String),
    /// The server is away, or went away before anything was to be committed.
    #[error("the server cannot be reached, and nothing was changed: {0}")]
    Unreachable(#[source] mysql::Error),
    /// The connection was lost during a commit.
    #[error("the connection was lost during a commit, which may or may not have happened: {0}")]
    Unknown(#[source] mysql::Error),
    /// The server refused.
    #[error("the server refused: {0}")]
    Refused(mysql::error::MySqlError),
    /// The server takes no packets as large as records may be.
    #[error(
        "the server takes packets of up to {allowed} bytes, and records of up to {largest_record} \
         need {needed}: set max_allowed_packet={needed} or more in its configuration, or lower \
         the largest record"
    )]
    PacketTooSmall {
        /// The server's `max_allowed_packet`.
        allowed: usize,
        /// What it would have to be.
        needed: usize,
        /// What was asked for.
        largest_record: usize,
    },
    /// A record over the limit.
    #[error(
        "a record of {len} bytes is over the limit of {limit}: open the store with a larger \
         largest_record"
    )]
    RecordTooLarge {
        /// Its length.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// The database holds other things.
    #[error("{0} holds tables and is no store of this program: give an empty database")]
    NotAStore(String),
    /// The database holds a store of another version.
    #[error(
        "the store has format {found}, and this program knows {known}: use the version that wrote it \
         or a later one"
    )]
    Format {
        /// What it has.
        found: u32,
        /// What this program knows.
        known: u32,
    },
    /// The store belongs to another node.
    #[error(
        "the database belongs to node {} of cluster {}, and this is node {} of cluster {}: a store \
         stays with the node that it was made by; give this one a database of its own",
        .found.node, .found.cluster, .expected.node, .expected.cluster
    )]
    Foreign {
        /// To whom it belongs.
        found: Owner,
        /// Who wanted to open it.
        expected: Owner,
    },
    /// The store was last open in another database.
    #[error(
        "the store was last open at {there}, and this is {here}: if that is the same database under \
         another name, or it is gone for good, open this one as adopted; if it is a copy and the \
         original still runs, or may again, remove this copy"
    )]
    Copied {
        /// Where it was last open.
        there: String,
        /// Where it is now.
        here: String,
    },
    /// Another program has it open.
    #[error(
        "the database is in use{0}: a store serves one node at a time; stop the other, or give this \
         one a database of its own. If its machine is gone for good and the server does not know yet, \
         open the store as adopted"
    )]
    InUse(Holder),
    /// What had been made is not there.
    #[error(
        "the table {table} is missing, and the store had been made: restore a backup, or give an \
         empty database and let the node be filled by its peers"
    )]
    Missing {
        /// Which.
        table: &'static str,
    },
    /// Somebody else has opened the store since.
    #[error(
        "another program has opened the store since, as adopted, and only the last one may write: \
         this one ends"
    )]
    OpenedElsewhere,
    /// The server is set up to lose data.
    #[error("the server only pretends to flush, because of {setting}: no store can be kept in it")]
    PretendsToFlush {
        /// The setting, as it is.
        setting: String,
    },
    /// The server does not say what is flushed.
    #[error(
        "the server commits without a flush and does not say when one follows: set \
         innodb_flush_log_at_trx_commit=1"
    )]
    FlushUnknown,
    /// A row is not what this program writes.
    #[error("a row of {space:?} is damaged")]
    Damaged {
        /// In which space.
        space: Space,
    },
}

/// Who has a store open, as far as the server says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder(Option<(u64, String)>);

impl From<Option<(u64, String)>> for Holder {
    fn from(connection: Option<(u64, String)>) -> Self {
        Self(connection)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((id, host)) => write!(f, " by {host}, the server's connection {id}"),
            None => Ok(()),
        }
    }
}

/// What of a transaction may have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// None of it, and the server is there.
    Nothing,
    /// None of it, and the server may be away.
    Connection,
    /// All or none.
    Certainty,
}

/// The server's numbers for what makes a difference here.
mod code {
    pub(super) const DISK_FULL: u16 = 1021;
    pub(super) const ENGINE: u16 = 1030;
    pub(super) const UNKNOWN_COLUMN: u16 = 1054;
    pub(super) const KEY_FILE_CORRUPT: u16 = 1034;
    pub(super) const TABLE_FULL: u16 = 1114;
    pub(super) const TABLE_CRASHED: u16 = 1194;
    pub(super) const LOCK_WAIT: u16 = 1205;
    pub(super) const DEADLOCK: u16 = 1213;
    pub(super) const INDEX_CORRUPT: u16 = 1712;
    pub(super) const TABLE_CORRUPT: u16 = 1877;
    pub(super) const SHUTDOWN: [u16; 2] = [1053, 1927];
}

impl Error {
    pub(crate) fn lost(&self) -> Lost {
        match self {
            Self::Unreachable(_) => Lost::Connection,
            Self::Unknown(_) => Lost::Certainty,
            _ => Lost::Nothing,
        }
    }

    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Refused(error) => [
                code::KEY_FILE_CORRUPT,
                code::TABLE_CRASHED,
                code::INDEX_CORRUPT,
                code::TABLE_CORRUPT,
            ]
            .contains(&error.code),
            _ => false,
        }
    }

    /// Whether the same may succeed at once.
    pub(crate) fn is_undone_for_another(&self) -> bool {
        matches!(self, Self::Refused(error) if [code::DEADLOCK, code::LOCK_WAIT].contains(&error.code))
    }

    pub(crate) fn as_write_error(&self) -> WriteError {
        match self {
            Self::Refused(error) if is_full(error) => WriteError::Full,
            // For good: the store is somebody else's, and the node must end.
            Self::OpenedElsewhere => WriteError::FlushFailed,
            _ => WriteError::Failed,
        }
    }
}

pub(crate) fn is_unknown_column(error: &mysql::error::MySqlError) -> bool {
    error.code == code::UNKNOWN_COLUMN
}

fn is_full(error: &mysql::error::MySqlError) -> bool {
    let is_no_space = |text: &str| text.contains("error 28") || text.contains("errno: 28");
    [code::DISK_FULL, code::TABLE_FULL].contains(&error.code)
        || (error.code == code::ENGINE && is_no_space(&error.message))
}

impl From<mysql::Error> for Error {
    /// Before a commit.
    fn from(error: mysql::Error) -> Self {
        match error {
            mysql::Error::MySqlError(error) if !code::SHUTDOWN.contains(&error.code) => {
                Self::Refused(error)
            }
            error => Self::Unreachable(error),
        }
    }
}

impl From<mysql::UrlError> for Error {
    fn from(error: mysql::UrlError) -> Self {
        Self::Url(error.to_string())
    }
}
