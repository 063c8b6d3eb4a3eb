//! The spaces as redb's tables.

use std::ops::Bound;

use bytes::Bytes;
use dynamo_proto::store::{Change, Space};
use dynamo_storage::{Item, Limit, Page, ScanFailed, Span, address};
use redb::{
    Database, ReadTransaction, ReadableTable as _, Table, TableDefinition, WriteTransaction,
};

use crate::OpenError;
use crate::error::is_damage;

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

const OBJECTS: Definition = Definition::new("objects");
const HINTS: Definition = Definition::new("hints");
const TREES: Definition = Definition::new("trees");
const META: Definition = Definition::new("meta");
/// The number of the last group.
const MARK: TableDefinition<'static, (), u64> = TableDefinition::new("mark");

pub(crate) fn table_of(space: Space) -> Definition {
    match space {
        Space::Objects => OBJECTS,
        Space::Hints => HINTS,
        Space::Trees => TREES,
        Space::Meta => META,
    }
}

/// Makes the tables if need be, and returns the number of the last group.
pub(crate) fn make(database: &Database) -> Result<u64, OpenError> {
    let made = (|| {
        let transaction = database.begin_write()?;
        let mut tables = Tables::open(&transaction)?;
        let last = tables.mark.get(())?.map_or(0, |number| number.value());
        tables.mark(last)?;
        drop(tables);
        transaction.commit()?;
        Ok(last)
    })();
    made.map_err(OpenError::Engine)
}

type Bytewise<'a> = Table<'a, &'static [u8], &'static [u8]>;

/// All of them, in a transaction.
pub(crate) struct Tables<'a> {
    objects: Bytewise<'a>,
    hints: Bytewise<'a>,
    trees: Bytewise<'a>,
    meta: Bytewise<'a>,
    mark: Table<'a, (), u64>,
}

impl<'a> Tables<'a> {
    pub(crate) fn open(transaction: &'a WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            objects: transaction.open_table(OBJECTS)?,
            hints: transaction.open_table(HINTS)?,
            trees: transaction.open_table(TREES)?,
            meta: transaction.open_table(META)?,
            mark: transaction.open_table(MARK)?,
        })
    }

    pub(crate) fn apply(&mut self, change: &Change) -> Result<(), redb::Error> {
        let table = self.of(change.space);
        let key = address::encode(&change.at);
        match &change.bytes {
            Some(bytes) => drop(table.insert(&*key, &**bytes)?),
            None => drop(table.remove(&*key)?),
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, space: Space, span: &Span) -> Result<(), redb::Error> {
        if !span.is_empty() {
            let (first, end) = bounds(span);
            let range = (as_slice(&first), as_slice(&end));
            self.of(space).retain_in::<&[u8], _>(range, |_, _| false)?;
        }
        Ok(())
    }

    pub(crate) fn mark(&mut self, group: u64) -> Result<(), redb::Error> {
        self.mark.insert((), group)?;
        Ok(())
    }

    fn of(&mut self, space: Space) -> &mut Bytewise<'a> {
        match space {
            Space::Objects => &mut self.objects,
            Space::Hints => &mut self.hints,
            Space::Trees => &mut self.trees,
            Space::Meta => &mut self.meta,
        }
    }
}

/// Of what was there when the transaction began.
pub(crate) fn page(
    transaction: &ReadTransaction,
    space: Space,
    span: &Span,
    limit: Limit,
) -> Result<Page, ScanFailed> {
    if span.is_empty() {
        return Page::fill(span, limit, []);
    }
    let table = transaction
        .open_table(table_of(space))
        .map_err(|_| ScanFailed)?;
    let (first, end) = bounds(span);
    let items = table
        .range::<&[u8]>((as_slice(&first), as_slice(&end)))
        .map_err(|_| ScanFailed)?;
    let mut next = span.clone();
    let items = items.map(|item| match item.map_err(redb::Error::from) {
        Ok((key, value)) => {
            let at = address::decode(Bytes::copy_from_slice(key.value())).ok_or(ScanFailed)?;
            let bytes = Bytes::copy_from_slice(value.value());
            next = span.starting_at(at.successor());
            Ok(Item::Found { at, bytes })
        }
        Err(error) if is_damage(&error) => Ok(Item::Corrupt(next.clone())),
        Err(_) => Err(ScanFailed),
    });
    Page::fill(span, limit, items)
}

fn bounds(span: &Span) -> (Bound<Bytes>, Bound<Bytes>) {
    let first = Bound::Included(address::encode(span.first()));
    let end = match span.end() {
        Some(end) => Bound::Excluded(address::encode(end)),
        None => Bound::Unbounded,
    };
    (first, end)
}

fn as_slice(bound: &Bound<Bytes>) -> Bound<&[u8]> {
    bound.as_ref().map(|bytes| &**bytes)
}
