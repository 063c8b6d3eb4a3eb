//! Connections, and what a lost one leaves behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dynamo_proto::Generation;
use dynamo_storage::directory::{Found, Opening, Owner};
use mysql::{Conn, Opts, OptsBuilder};

use crate::connection::Connection;
use crate::error::Lost;
use crate::safety;
use crate::signed::Claim;
use crate::{Error, Options};

/// Beside the record there are its name and the protocol's own bytes in a packet.
const PACKET_MARGIN: usize = 64 << 10;

/// Connections to one store.
pub(crate) struct Pool {
    opts: Opts,
    largest_record: usize,
    /// What this program signed the store with when it opened it.
    holder: [u8; 16],
    slots: Mutex<Slots>,
    freed: Condvar,
    /// A transaction may still be committed by a connection that was lost. Until it is known, the
    /// store is not looked at.
    is_unsettled: AtomicBool,
}

struct Slots {
    idle: Vec<Connection>,
    /// How many more may be used at a time.
    free: usize,
}

impl Pool {
    /// Connects, and opens the store as [`Connection::take_store`] does.
    pub(crate) fn open(
        options: Options,
        owner: Owner,
        opening: Opening,
    ) -> Result<(Self, Generation, Found), Error> {
        let Options {
            url,
            largest_record,
            connections,
            patience,
        } = options;
        let opts = Opts::from_url(&url)?;
        let Some(database) = opts.get_db_name() else {
            return Err(Error::Url("no database is named".into()));
        };
        let (host, port) = (opts.get_ip_or_hostname(), opts.get_tcp_port());
        let claim = Claim {
            owner,
            opening,
            place: format!("{host}:{port}/{database}"),
        };
        let lock_wait = (patience / 2).as_secs().max(1);
        let opts = OptsBuilder::from_opts(opts)
            .prefer_socket(false)
            .tcp_connect_timeout(Some(patience))
            .read_timeout(Some(patience))
            .write_timeout(Some(patience))
            .stmt_cache_size(64_usize)
            .init(vec![
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES'".to_owned(),
                "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".into(),
                "SET SESSION autocommit = 1".into(),
                // The server's patience ends before ours: then it is known what happened.
                format!("SET SESSION innodb_lock_wait_timeout = {lock_wait}"),
            ]);

        let mut holder = [0; 16];
        getrandom::fill(&mut holder).map_err(|error| {
            Error::Unreachable(mysql::Error::IoError(std::io::Error::other(
                error.to_string(),
            )))
        })?;
        let pool = Self {
            opts: opts.into(),
            largest_record,
            holder,
            slots: Mutex::new(Slots {
                idle: Vec::new(),
                free: connections.max(1),
            }),
            freed: Condvar::new(),
            is_unsettled: AtomicBool::new(false),
        };
        let mut connection = pool.connect()?;
        let (generation, found) = connection.take_store(&claim)?;
        pool.slots().idle.push(connection);
        Ok((pool, generation, found))
    }

    /// Does something on a connection. If that is lost before anything was to be committed, once
    /// more on a new one.
    pub(crate) fn with<T>(
        &self,
        mut act: impl FnMut(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let slot = self.wait_for_slot();
        let mut is_fresh = false;
        loop {
            let (mut connection, is_first_use) = match self.idle(is_fresh) {
                Some(connection) => (connection, false),
                None => {
                    let mut connection = self.connect()?;
                    // Whichever had it may be lost. That nobody else writes does not hang on it.
                    connection.take_lock(Duration::ZERO)?;
                    (connection, true)
                }
            };
            let settled = self.settle(&mut connection);
            let done = settled.and_then(|()| act(&mut connection));
            let lost = done.as_ref().map_or_else(Error::lost, |_| Lost::Nothing);
            match lost {
                Lost::Nothing => {
                    slot.give_back(connection);
                    return done;
                }
                Lost::Certainty => {
                    self.is_unsettled.store(true, Ordering::Release);
                    return done;
                }
                // It may just have been too old.
                Lost::Connection if !is_first_use => is_fresh = true,
                Lost::Connection => return done,
            }
        }
    }

    /// Waits until no transaction of a lost connection goes on.
    fn settle(&self, connection: &mut Connection) -> Result<(), Error> {
        if self.is_unsettled.load(Ordering::Acquire) {
            connection.wait_for_others()?;
            self.is_unsettled.store(false, Ordering::Release);
        }
        Ok(())
    }

    fn connect(&self) -> Result<Connection, Error> {
        let mut server = Conn::new(self.opts.clone())?;
        let allowed = safety::variable(&mut server, "max_allowed_packet")?;
        let allowed = allowed.and_then(|it| it.parse().ok()).unwrap_or(0);
        let needed = (self.largest_record + PACKET_MARGIN).next_multiple_of(1 << 20);
        if allowed < needed {
            return Err(Error::PacketTooSmall {
                allowed,
                needed,
                largest_record: self.largest_record,
            });
        }
        let pages = safety::of_pages(&mut server)?;
        Ok(Connection::new(server, self.holder, pages))
    }

    fn idle(&self, is_fresh: bool) -> Option<Connection> {
        let idle = &mut self.slots().idle;
        if is_fresh {
            // The others are as old.
            idle.clear();
        }
        idle.pop()
    }

    fn wait_for_slot(&self) -> Slot<'_> {
        let slots = self.freed.wait_while(self.slots(), |slots| slots.free == 0);
        slots.unwrap_or_else(PoisonError::into_inner).free -= 1;
        Slot(self)
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to use a connection, given back when it is dropped.
struct Slot<'a>(&'a Pool);

impl Slot<'_> {
    fn give_back(&self, connection: Connection) {
        self.0.slots().idle.push(connection);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.slots().free += 1;
        self.0.freed.notify_one();
    }
}
