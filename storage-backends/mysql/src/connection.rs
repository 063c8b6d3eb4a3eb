//! What is said on one connection.

use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::store::{Address, Change, Space};
use dynamo_proto::{Durability, Generation};
use dynamo_storage::SPACES;
use dynamo_storage::directory::{Found, Opening};
use mysql::Conn;
use mysql::prelude::Queryable as _;

use crate::Error;
use crate::error::{Holder, is_unknown_column};
use crate::key::Key;
use crate::safety::{self, Safety};
use crate::signed::{Claim, Signed};
use crate::tables::{self, FORMAT};

/// How long to wait for the lock of a program that has just ended: the server hears of that a little
/// later.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// A connection on which nothing has gone wrong yet.
pub(crate) struct Connection {
    server: Conn,
    /// What this program signed the store with when it opened it.
    holder: [u8; 16],
    /// Why less is to be said than a commit is worth, if so.
    pages: Option<String>,
}

/// A row's name and the size of what it holds.
pub(crate) struct Listed {
    pub(crate) at: Address,
    pub(crate) size: usize,
    /// Its name does not fit together.
    pub(crate) is_damaged: bool,
}

impl Connection {
    pub(crate) fn new(server: Conn, holder: [u8; 16], pages: Option<String>) -> Self {
        Self {
            server,
            holder,
            pages,
        }
    }

    /// Makes the store where there is none, signs it, and waits until what is in it is safe. Returns
    /// how often it was opened, this time included, and how it was found.
    pub(crate) fn take_store(&mut self, claim: &Claim) -> Result<(Generation, Found), Error> {
        let has_lock = self.take_lock(LOCK_PATIENCE)?;
        if !has_lock && claim.opening == Opening::InPlace {
            let holder: Option<(u64, String)> = self.server.query_first(tables::WHO_HAS_LOCK)?;
            return Err(Error::InUse(Holder::from(holder)));
        }
        let taken = match self.look(claim)? {
            None => {
                for table in tables::create() {
                    self.server.query_drop(table)?;
                }
                (Generation(1), Found::Empty)
            }
            Some(signed) => signed.taken_by(claim)?,
        };
        self.server.query_drop("START TRANSACTION")?;
        let Claim { owner, place, .. } = claim;
        let row = (
            FORMAT,
            self.holder,
            owner.cluster.0.to_be_bytes(),
            owner.node.0,
            taken.0.0,
            place.as_bytes(),
        );
        self.server.exec_drop(tables::HOLD_STORE, row)?;
        self.commit()?;
        let safety = self.begin()?;
        self.roll_back()?;
        self.settle(&safety)?;
        Ok(taken)
    }

    /// What the database says of the store in it, if there is one.
    fn look(&mut self, claim: &Claim) -> Result<Option<Signed>, Error> {
        let not_a_store = || Error::NotAStore(claim.place.clone());
        let there: Vec<String> = self.server.query("SHOW TABLES")?;
        let is_there = |name: &str| there.iter().any(|it| it == name);
        if !is_there(tables::STORE) {
            if !there.is_empty() {
                return Err(not_a_store());
            }
            self.server.query_drop(tables::CREATE_STORE)?;
        }
        self.server.query_drop("START TRANSACTION")?;
        let format: Option<u32> = match self.server.query_first(tables::LOCK_STORE) {
            Err(mysql::Error::MySqlError(error)) if is_unknown_column(&error) => {
                return Err(not_a_store());
            }
            format => format?,
        };
        let signed = match format {
            None => None,
            Some(FORMAT) => self.server.query_first(tables::READ_STORE)?.map(Signed::of),
            Some(found) => {
                let known = FORMAT;
                return Err(Error::Format { found, known });
            }
        };
        self.roll_back()?;
        let mut names = SPACES.map(tables::name).into_iter();
        match names.find(|name| !is_there(name)) {
            Some(table) if signed.is_some() => Err(Error::Missing { table }),
            _ => Ok(signed),
        }
    }

    /// Tells others for as long as it lasts that the store is open. `false` if somebody else does.
    pub(crate) fn take_lock(&mut self, patience: Duration) -> Result<bool, Error> {
        let taken: Option<Option<u8>> = self
            .server
            .exec_first(tables::TAKE_LOCK, (patience.as_secs(),))?;
        Ok(taken.flatten() == Some(1))
    }

    /// Notes that all is flushed and closed.
    pub(crate) fn leave_store(&mut self) -> Result<(), Error> {
        let safety = self.begin()?;
        self.server.query_drop(tables::LEAVE_STORE)?;
        self.commit()?;
        self.settle(&safety)
    }

    /// Waits until what was committed is as safe as it will ever be.
    fn settle(&mut self, safety: &Safety) -> Result<(), Error> {
        if safety.durability < Durability::Flushed {
            safety::wait_for_flush(&mut self.server)?;
        }
        Ok(())
    }

    /// Begins a transaction and says what its commit will be worth.
    pub(crate) fn begin(&mut self) -> Result<Safety, Error> {
        self.server.query_drop("START TRANSACTION")?;
        let looked = self.server.exec_first(tables::LOOK_AT_STORE, ())?;
        let Some((holder, flush_at_commit, has_log, sync_log)) = looked else {
            self.roll_back()?;
            return Err(Error::OpenedElsewhere);
        };
        let holder: Vec<u8> = holder;
        if holder != self.holder {
            self.roll_back()?;
            return Err(Error::OpenedElsewhere);
        }
        let mut safety = Safety::of(flush_at_commit, has_log, sync_log);
        if let Some(pages) = &self.pages {
            safety.limit(Durability::Written, pages.clone());
        }
        Ok(safety)
    }

    /// From when it is sent until it is answered nobody knows.
    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        self.server.query_drop("COMMIT").map_err(Error::Unknown)
    }

    pub(crate) fn roll_back(&mut self) -> Result<(), Error> {
        Ok(self.server.query_drop("ROLLBACK")?)
    }

    /// Until all transactions that have begun are over.
    pub(crate) fn wait_for_others(&mut self) -> Result<(), Error> {
        self.server.query_drop("START TRANSACTION")?;
        self.server.query_drop(tables::LOCK_STORE)?;
        self.roll_back()
    }

    pub(crate) fn change(&mut self, change: &Change) -> Result<(), Error> {
        let Change { space, at, bytes } = change;
        let Some(bytes) = bytes else {
            return self.remove(*space, at);
        };
        let Key {
            place,
            digest,
            rest,
        } = Key::of(at);
        let row = (place, digest, rest, bytes.len(), &bytes[..]);
        Ok(self.server.exec_drop(tables::put(*space), row)?)
    }

    pub(crate) fn remove(&mut self, space: Space, at: &Address) -> Result<(), Error> {
        let Key { place, digest, .. } = Key::of(at);
        Ok(self
            .server
            .exec_drop(tables::remove(space), (place, digest))?)
    }

    /// Deletes what lies between two places, a part of it at a time. Returns how much that was.
    pub(crate) fn delete_some_between(
        &mut self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<u64, Error> {
        self.server
            .exec_drop(tables::delete_between(space), (from, to))?;
        Ok(self.server.affected_rows())
    }

    pub(crate) fn read(&mut self, space: Space, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        let row = self
            .server
            .exec_first(tables::read(space), (&key.place, &key.digest))?;
        let Some((bytes, rest)) = row else {
            return Ok(None);
        };
        let rest: Vec<u8> = rest;
        if rest == key.rest {
            Ok(Some(bytes))
        } else {
            Err(Error::Damaged { space })
        }
    }

    /// Begins a transaction that sees one moment of the store, and changes nothing.
    pub(crate) fn begin_snapshot(&mut self) -> Result<(), Error> {
        self.server
            .query_drop("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")?;
        Ok(self
            .server
            .query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT")?)
    }

    /// So many rows between two places, both included, in the order of places.
    pub(crate) fn list(
        &mut self,
        space: Space,
        from: &[u8],
        to: &[u8],
        most: usize,
    ) -> Result<Vec<Listed>, Error> {
        let rows = self.server.exec(tables::list(space), (from, to, most))?;
        listed(space, rows)
    }

    /// What is in the rows between two places, both included.
    pub(crate) fn values(
        &mut self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<Vec<(Address, Bytes)>, Error> {
        let rows = self.server.exec(tables::values(space), (from, to))?;
        let rows = rows.into_iter().map(|(place, digest, rest, bytes)| {
            let bytes: Vec<u8> = bytes;
            let key = Key {
                place,
                digest,
                rest,
            };
            let (at, _) = key.address().ok_or(Error::Damaged { space })?;
            Ok((at, bytes.into()))
        });
        rows.collect()
    }

    /// All rows of a place, in no order.
    pub(crate) fn list_one_place(
        &mut self,
        space: Space,
        place: &[u8],
    ) -> Result<Vec<Listed>, Error> {
        let rows = self.server.exec(tables::list_one_place(space), (place,))?;
        listed(space, rows)
    }
}

type ListedRow = (Vec<u8>, Vec<u8>, Vec<u8>, usize);

fn listed(space: Space, rows: Vec<ListedRow>) -> Result<Vec<Listed>, Error> {
    let rows = rows.into_iter().map(|(place, digest, rest, size)| {
        let key = Key {
            place,
            digest,
            rest,
        };
        let (at, is_certain) = key.address().ok_or(Error::Damaged { space })?;
        Ok(Listed {
            at,
            size,
            is_damaged: !is_certain,
        })
    });
    rows.collect()
}
