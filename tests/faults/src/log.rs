//! A small engine to try the tests on: one file to which everything is appended, and an index in
//! memory.
//!
//! ```text
//! log     (length u32, checksum u64, batch)*      batch: (space u8, position u128, name length u32,
//!                                                 name, value length u32 or none, value)*
//! marks   two slots, written in turn: (length of the log that is flushed u64, checksum u64)
//! ```
//!
//! A record that is damaged before the mark has rotted: the store is refused. Behind the mark it is
//! a tail that a crash tore: it is cut off. The log is never made shorter otherwise, so this is not
//! an engine to keep a store in.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::{Buf, BufMut, Bytes};
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, ReadOutcome, Space, WriteError};
use dynamo_storage::{Backend, Item, Limit, Page, SPACES, ScanFailed, Span, Write};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What a log may get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// Says that it flushed, and did not.
    SkipsTheFlush,
    /// Flushes its files, and not the directory that names them.
    ForgetsTheDirectory,
    /// Flushes what it was last told before what it is told now.
    AnswersBeforeTheFlush,
    /// Does not check what it finds behind the mark.
    TrustsItsTail,
    /// Shows what a killed process had written and not flushed, and flushes it later.
    ServesUnflushedAfterOpening,
    /// Says that nothing is where something is damaged.
    CallsDamageAbsent,
    /// Takes all that is damaged for a tail that a crash tore.
    CallsRotATail,
    /// Believes a flush that succeeds after one that failed.
    FlushesAgain,
}

/// See the module's head.
pub struct Log {
    flaw: Flaw,
    file: File,
    index: RwLock<BTreeMap<(Space, Address), Place>>,
    writer: Mutex<Writer>,
}

/// Where in the file a value is.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    len: usize,
    checksum: u64,
}

struct Writer {
    len: u64,
    marks: File,
    flushes: u64,
    has_failed: Option<WriteError>,
}

const HEAD: u64 = 12;
const NONE: u32 = u32::MAX;
const SLOT: u64 = 4096;

impl Log {
    /// Opens the log in this directory, or begins one.
    pub fn open(directory: &Path, flaw: Flaw) -> io::Result<Self> {
        let open = |name| {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            options.open(directory.join(name))
        };
        let (file, marks) = (open("log")?, open("marks")?);
        let marked = match flaw {
            Flaw::CallsRotATail => 0,
            _ => marked_len(&marks)?,
        };
        let mut index = BTreeMap::new();
        let len = replay(&file, marked, flaw, &mut index)?;
        file.set_len(len)?;
        let mut writer = Writer {
            len,
            marks,
            flushes: 0,
            has_failed: None,
        };
        if flaw != Flaw::ServesUnflushedAfterOpening {
            // Into both slots: which was written last is not known.
            for _ in 0..2 {
                writer.flush(&file, flaw)?;
            }
        }
        if flaw != Flaw::ForgetsTheDirectory {
            File::open(directory)?.sync_all()?;
        }
        Ok(Self {
            flaw,
            file,
            index: RwLock::new(index),
            writer: Mutex::new(writer),
        })
    }

    fn look(&self, place: Place) -> ReadOutcome {
        let mut bytes = vec![0; place.len];
        match self.file.read_exact_at(&mut bytes, place.offset) {
            Err(_) => ReadOutcome::Failed,
            Ok(()) if xxh3_64(&bytes) == place.checksum => ReadOutcome::Found(bytes.into()),
            Ok(()) if self.flaw == Flaw::CallsDamageAbsent => ReadOutcome::Absent,
            Ok(()) => ReadOutcome::Corrupt,
        }
    }

    fn index(&self) -> RwLockReadGuard<'_, BTreeMap<(Space, Address), Place>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<(Space, Address), Place>> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, writer: &mut Writer, batch: &Batch) -> Result<(), WriteError> {
        if batch.changes.is_empty() {
            return Ok(());
        }
        let record = encode(batch, writer.len);
        if let Err(error) = self.file.write_all_at(&record, writer.len) {
            // The next one is written in the same place.
            return Err(match error.kind() {
                io::ErrorKind::StorageFull => WriteError::Full,
                _ => WriteError::Failed,
            });
        }
        enter(
            Bytes::from(record).slice(HEAD as usize..),
            writer.len + HEAD,
            &mut self.index_mut(),
        );
        writer.len = writer
            .len
            .max(self.file.metadata().map_or(0, |it| it.len()));
        Ok(())
    }
}

impl Backend for Log {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        let place = self.index().get(&(space, at.clone())).copied();
        place.map_or(ReadOutcome::Absent, |place| self.look(place))
    }

    fn write(&self, group: &mut [Write]) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = Write::most_demanding(group);
        let mut reached = match writer.has_failed {
            Some(error) => Err(error),
            None => Ok(Durability::Written),
        };
        let mut flush = |writer: &mut Writer| {
            if asked == Durability::Flushed && reached.is_ok() {
                let flushed = writer.flush(&self.file, self.flaw);
                reached = flushed.map(|()| asked).map_err(|_| WriteError::FlushFailed);
                writer.has_failed = reached.err().filter(|_| self.flaw != Flaw::FlushesAgain);
            }
        };
        if self.flaw == Flaw::AnswersBeforeTheFlush {
            flush(&mut writer);
        }
        let mut taken = Vec::new();
        for Write { batch, .. } in group.iter() {
            taken.push(match writer.has_failed {
                Some(error) => Err(error),
                None => self.append(&mut writer, batch),
            });
        }
        if self.flaw != Flaw::AnswersBeforeTheFlush {
            flush(&mut writer);
        }
        for (Write { answer, .. }, taken) in group.iter_mut().zip(taken) {
            *answer = taken.and(reached);
        }
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        let index = self.index();
        let from = (space, span.first().clone());
        let places = index.range(from..);
        let within = places.take_while(|((it, at), _)| *it == space && span.contains(at));
        let items = within.filter_map(|((_, at), place)| match self.look(*place) {
            ReadOutcome::Found(bytes) => Some(Ok(Item::Found {
                at: at.clone(),
                bytes,
            })),
            ReadOutcome::Corrupt => Some(Ok(Item::Corrupt(Span::of_one(at.clone())))),
            ReadOutcome::Failed => Some(Err(ScanFailed)),
            ReadOutcome::Absent => None,
        });
        Page::fill(span, limit, items)
    }
}

impl Writer {
    fn flush(&mut self, file: &File, flaw: Flaw) -> io::Result<()> {
        if flaw == Flaw::SkipsTheFlush {
            return Ok(());
        }
        file.sync_data()?;
        let mut slot = [0; 16];
        slot[..8].copy_from_slice(&self.len.to_be_bytes());
        slot[8..].copy_from_slice(&xxh3_64(&self.len.to_be_bytes()).to_be_bytes());
        self.marks.write_all_at(&slot, self.flushes % 2 * SLOT)?;
        self.marks.sync_data()?;
        self.flushes += 1;
        Ok(())
    }
}

/// How much of the log is known to have been flushed. One slot may be torn.
fn marked_len(marks: &File) -> io::Result<u64> {
    let mut marked = 0;
    for slot in [0, SLOT] {
        let mut bytes = [0; 16];
        if marks.read_exact_at(&mut bytes, slot).is_ok() {
            let (len, checksum) = (&bytes[..8], (&bytes[8..]).get_u64());
            if checksum == xxh3_64(len) {
                marked = marked.max((&*len).get_u64());
            }
        }
    }
    Ok(marked)
}

/// Enters all that is whole, and returns where that ends.
fn replay(
    file: &File,
    marked: u64,
    flaw: Flaw,
    index: &mut BTreeMap<(Space, Address), Place>,
) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let mut all = vec![0; len as usize];
    file.read_exact_at(&mut all, 0)?;
    let all = Bytes::from(all);
    let mut offset = 0;
    while offset < len {
        let mut head = all.slice(offset as usize..);
        let batch = (head.len() as u64 >= HEAD)
            .then(|| (head.get_u32() as usize, head.get_u64()))
            .filter(|(len, _)| *len <= head.len())
            .map(|(len, checksum)| (head.slice(..len), checksum));
        let is_trusted = flaw == Flaw::TrustsItsTail && offset >= marked;
        let whole = batch.filter(|(batch, checksum)| {
            is_trusted || xxh3_64_with_seed(batch, offset) == *checksum
        });
        match whole {
            Some((batch, _)) if enter(batch.clone(), offset + HEAD, index).is_some() => {
                offset += HEAD + batch.len() as u64;
            }
            _ if offset < marked => {
                let what = format!("the log is damaged at byte {offset}: restore it from a peer");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            _ => break,
        }
    }
    if offset < marked {
        let what =
            format!("the log ends at byte {offset}, before {marked}: restore it from a peer");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(offset)
}

fn encode(batch: &Batch, offset: u64) -> Vec<u8> {
    let mut record = vec![0; HEAD as usize];
    for change in &batch.changes {
        record.put_u8(change.space as u8);
        record.put_u128(change.at.position);
        record.put_u32(change.at.name.len() as u32);
        record.put_slice(&change.at.name);
        match &change.bytes {
            Some(bytes) => {
                record.put_u32(bytes.len() as u32);
                record.put_slice(bytes);
            }
            None => record.put_u32(NONE),
        }
    }
    let len = (record.len() - HEAD as usize) as u32;
    let checksum = xxh3_64_with_seed(&record[HEAD as usize..], offset);
    record[..4].copy_from_slice(&len.to_be_bytes());
    record[4..HEAD as usize].copy_from_slice(&checksum.to_be_bytes());
    record
}

/// Enters the changes of a batch that begins at this offset. `None` if it makes no sense.
fn enter(
    mut batch: Bytes,
    start: u64,
    index: &mut BTreeMap<(Space, Address), Place>,
) -> Option<()> {
    let len = batch.len();
    while batch.has_remaining() {
        let space = *SPACES.get(usize::from(batch.try_get_u8().ok()?))?;
        let position = batch.try_get_u128().ok()?;
        let name_len = batch.try_get_u32().ok()? as usize;
        if name_len > batch.len() {
            return None;
        }
        // Not a part of the whole log.
        let name = Bytes::copy_from_slice(&batch.split_to(name_len));
        let at = Address { position, name };
        match batch.try_get_u32().ok()? {
            NONE => drop(index.remove(&(space, at))),
            value_len => {
                if value_len as usize > batch.len() {
                    return None;
                }
                let offset = start + (len - batch.len()) as u64;
                let value = batch.split_to(value_len as usize);
                let place = Place {
                    offset,
                    len: value.len(),
                    checksum: xxh3_64(&value),
                };
                index.insert((space, at), place);
            }
        }
    }
    Some(())
}
