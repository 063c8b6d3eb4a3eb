//! Storage in a MariaDB or MySQL server, for large objects.
//!
//! The server does what it is good at: atomic transactions, a log, its own replication and backup.
//! The price is a server to look after and a few round trips for each group of writes.
//!
//! # What it promises
//!
//! All that [`Backend`] asks. In particular:
//!
//! - **Durability** is what the server's settings give, and is looked up in every transaction; see
//!   [`Safety`]. A server that keeps its promises by default answers
//!   [`Flushed`](Durability::Flushed), whatever was asked. What it gives to a store that is opened
//!   is waited for, and a server that can only pretend to flush is refused.
//! - **A lost connection.** Until a transaction's commit was sent, nothing of it can happen any
//!   more, and it is tried once more on a new connection. After that nobody knows, and it is
//!   answered [`Failed`](WriteError::Failed); then no call looks at the store before the server has
//!   made up its mind. A write is never done twice, nor after a later one.
//! - **A server that is away** is answered at once, and used again as soon as it is back.
//! - **One owner.** A database is signed with the cluster and the node that made the store in it, and
//!   with where it was last open: a foreign one is refused, and a copy until it is
//!   [adopted](Opening::Adopt), as a [directory](dynamo_storage::directory) is. Each opening is
//!   counted, and how the store was left is remembered.
//! - **One program at a time.** A store that somebody has open is refused. Adopting it takes it from
//!   them: each of their later writes fails for good.
//! - **Room** is the server's. When it has none, writes are answered [`Full`](WriteError::Full).
//! - **A failed flush** stops the server by its own rule, so it is a lost connection here.
//!
//! What goes wrong is told in words to whoever [opened](Mysql::open) the store.
//!
//! # The tables
//!
//! One for each space, in the database that the URL names:
//!
//! | column | |
//! | --- | --- |
//! | `place` | the first 2,048 bytes of the [encoded address](dynamo_storage::address) |
//! | `digest` | SHA-256 of the name, where there is more; else empty |
//! | `rest` | the more |
//! | `size` | of `bytes` |
//! | `bytes` | what is there |
//!
//! InnoDB keeps rows in the order of the primary key, (`place`, `digest`), so a partition is one
//! stretch of the table. No key may be longer than 3,072 bytes there, and names may: hence the
//! digest. Addresses that begin with the same 2,048 bytes are put in order here.
//!
//! # Settings of the server
//!
//! `max_allowed_packet` must be larger than the largest record, see [`Options::largest_record`];
//! the log (`innodb_log_file_size`, in MySQL `innodb_redo_log_capacity`) should hold ten of them,
//! since some versions refuse more in one transaction. Privileges needed on the database:
//! `CREATE`, `SELECT`, `INSERT`, `UPDATE`, `DELETE`.
//!
//! Tested with MariaDB 10.11. Nothing is meant to be particular to it, and MySQL 8 has not been
//! tried.
//!
//! The connection is not encrypted: keep the server on this machine, or the network trusted.
//!
//! # Example
//!
//! ```no_run
//! use dynamo_proto::{ClusterId, NodeId};
//! use dynamo_storage::directory::{Opening, Owner};
//! use dynamo_storage_mysql::{Error, Mysql, Options};
//!
//! let options = Options::new("mysql://dynamo:secret@127.0.0.1:3306/store");
//! let owner = Owner { cluster: ClusterId(7), node: NodeId(1) };
//! let report = |error: &Error| eprintln!("MySQL: {error}");
//! let store = Mysql::open(options, owner, Opening::InPlace, report)?;
//! store.close()?;
//! # Ok::<(), dynamo_storage_mysql::Error>(())
//! ```

mod connection;
mod error;
mod key;
mod pool;
mod safety;
mod scan;
mod signed;
mod tables;

use std::cell::Cell;
use std::slice;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dynamo_proto::store::{Address, ReadOutcome, Space, WriteError};
use dynamo_proto::{Durability, Generation};
use dynamo_storage::directory::{Found, Opening, Owner};
use dynamo_storage::{Backend, Limit, Page, ScanFailed, Span, Write};

pub use error::{Error, Holder};
pub use safety::Safety;

use connection::Connection;
use error::Lost;
use key::Key;
use pool::Pool;

/// How a store is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `mysql://user:password@host:port/database`. The database must be there.
    pub url: String,
    /// The largest record to be kept, in bytes; checked against the server's limits when it is
    /// opened. A larger one is refused before it is sent.
    pub largest_record: usize,
    /// How many connections there are at most: as many calls run at a time.
    pub connections: usize,
    /// How long a call waits for the server. Longer than the largest record takes to be written.
    pub patience: Duration,
}

/// A store in a server's database; see the crate's head. Several threads may use it at a time.
pub struct Mysql {
    pool: Pool,
    largest_record: usize,
    report: Report,
    generation: Generation,
    found: Found,
}

type Report = Arc<dyn Fn(&Error) + Send + Sync>;

/// How often a transaction is tried that the server undid because of another.
const TRIES: u32 = 10;

/// After the first of them.
const PAUSE: Duration = Duration::from_millis(2);

impl Options {
    /// With records of up to 16 MiB and a little more, 4 connections, and half a minute's patience.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            largest_record: (16 << 20) + (64 << 10),
            connections: 4,
            patience: Duration::from_secs(30),
        }
    }
}

impl Mysql {
    /// Opens the store in this database, or makes one there. What goes wrong later is answered
    /// shortly, as a [`Backend`] does, and reported in full.
    pub fn open(
        options: Options,
        owner: Owner,
        opening: Opening,
        report: impl Fn(&Error) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let largest_record = options.largest_record;
        let (pool, generation, found) = Pool::open(options, owner, opening)?;
        Ok(Self {
            pool,
            largest_record,
            report: Arc::new(report),
            generation,
            found,
        })
    }

    /// Counts the times that it was opened.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// How it was found.
    #[must_use]
    pub fn found(&self) -> Found {
        self.found
    }

    /// Waits until all is flushed and marks the store as closed. Dropped without this, it opens next
    /// time as after a crash.
    pub fn close(self) -> Result<(), Error> {
        self.pool.with(Connection::leave_store)
    }

    /// What the server's settings give now.
    pub fn safety(&self) -> Result<Safety, Error> {
        self.pool.with(|connection| {
            let safety = connection.begin()?;
            connection.roll_back()?;
            Ok(safety)
        })
    }

    fn try_write(&self, group: &[Write]) -> Result<Durability, Error> {
        let mut changes: Vec<_> = group.iter().flat_map(|it| &it.batch.changes).collect();
        for change in &changes {
            let len = change.bytes.as_ref().map_or(0, |bytes| bytes.len());
            if len > self.largest_record {
                let limit = self.largest_record;
                return Err(Error::RecordTooLarge { len, limit });
            }
        }
        // All transactions lock rows in this order, so none waits for another in a circle. Of two
        // changes of one place the later one stays the later.
        changes.sort_by(|a, b| (a.space, &a.at).cmp(&(b.space, &b.at)));
        self.transact(|connection| {
            let mut changes = changes.iter();
            changes.try_for_each(|change| connection.change(change))
        })
    }

    /// Does something in a transaction of its own, and says how safe that is.
    fn transact(
        &self,
        act: impl Fn(&mut Connection) -> Result<(), Error>,
    ) -> Result<Durability, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let done = self.pool.with(|connection| {
                let safety = connection.begin()?;
                if let Err(error) = act(connection) {
                    connection.roll_back()?;
                    return Err(error);
                }
                connection.commit()?;
                Ok(safety.durability)
            });
            match done {
                Err(error) if error.is_undone_for_another() && tries < TRIES => {
                    thread::sleep(PAUSE * tries);
                }
                done => return done,
            }
        }
    }

    fn try_read(&self, space: Space, at: &Address) -> Result<Option<Vec<u8>>, Error> {
        let key = Key::of(at);
        self.pool.with(|connection| connection.read(space, &key))
    }

    fn try_delete(&self, space: Space, span: &Span) -> Result<(), Error> {
        let first = Key::of(span.first()).place;
        let end = span
            .end()
            .map_or_else(key::behind_all, |end| Key::of(end).place);
        // What shares its place with the ends may or may not be in between.
        for place in [&first, &end] {
            self.transact(|connection| {
                for listed in connection.list_one_place(space, place)? {
                    if span.contains(&listed.at) {
                        connection.remove(space, &listed.at)?;
                    }
                }
                Ok(())
            })?;
        }
        let deleted = Cell::new(u64::MAX);
        while deleted.get() > 0 {
            self.transact(|connection| {
                deleted.set(connection.delete_some_between(space, &first, &end)?);
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl Backend for Mysql {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        match self.try_read(space, at) {
            Ok(Some(bytes)) => ReadOutcome::Found(bytes.into()),
            Ok(None) => ReadOutcome::Absent,
            Err(error) => {
                (self.report)(&error);
                if error.is_damage() {
                    ReadOutcome::Corrupt
                } else {
                    ReadOutcome::Failed
                }
            }
        }
    }

    /// All in one transaction. If the server refuses some of it, each batch in one of its own.
    fn write(&self, group: &mut [Write]) {
        match self.try_write(group) {
            Ok(durability) => group.iter_mut().for_each(|it| it.answer = Ok(durability)),
            Err(error) if group.len() > 1 && error.lost() == Lost::Nothing => {
                for write in group {
                    self.write(slice::from_mut(write));
                }
            }
            Err(error) => {
                (self.report)(&error);
                let answer = error.as_write_error();
                group.iter_mut().for_each(|it| it.answer = Err(answer));
            }
        }
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        self.pool
            .with(|connection| scan::page(connection, space, span, limit))
            .map_err(|error| {
                (self.report)(&error);
                ScanFailed
            })
    }

    /// A thousand at a time.
    fn delete(&self, space: Space, span: &Span, _: Durability) -> Result<Durability, WriteError> {
        let deleted = if span.is_empty() {
            Ok(())
        } else {
            self.try_delete(space, span)
        };
        // What that reached, and all before it.
        let flushed = deleted.and_then(|()| self.transact(|_| Ok(())));
        flushed.map_err(|error| {
            (self.report)(&error);
            error.as_write_error()
        })
    }
}
