//! fjall's journals, looked through before fjall opens them.
//!
//! ```text
//! batch    start | item or clear, so many | end
//! start    1  count u32  sequence u64
//! item     2  kind u8  compression 0  keyspace u64  key u16  value u32  value u32 | key | value
//! clear    4  keyspace u64
//! end      3  checksum u64 of the items  "FJL" 3
//! ```
//!
//! fjall cuts a journal at the first entry that it cannot read, and refuses one whose checksum is
//! wrong. Neither tells a torn tail, which is what a power cut leaves, from damage to what had been
//! flushed; and no checksum covers a batch's start. So this reads them first:
//! - a journal that another follows was flushed as a whole, so anything wrong in it is damage;
//! - the last one is cut behind its last whole batch. Whether something was cut that had been
//!   flushed is told by the number of the last group, once the store is open.
//!
//! What it knows of the format is that of fjall 3, whose version fjall itself checks.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::OpenError;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: [u8; 4] = *b"FJL\x03";

/// Cuts a torn tail off the last journal, and refuses damage in the others.
pub(crate) fn mend(data: &Path) -> Result<(), OpenError> {
    let journals = list(data).map_err(fjall::Error::Io)?;
    let mut last_sequence = None;
    for (index, path) in journals.iter().enumerate() {
        let found = look_through(path, &mut last_sequence).map_err(fjall::Error::Io)?;
        if found.is_whole {
            continue;
        }
        if index + 1 < journals.len() {
            return Err(OpenError::Journal {
                path: path.clone(),
                at: found.end,
            });
        }
        let cut = File::options().write(true).open(path).and_then(|file| {
            file.set_len(found.end)?;
            file.sync_all()
        });
        cut.map_err(fjall::Error::Io)?;
    }
    Ok(())
}

/// In the order in which they were written.
fn list(data: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(data) {
        Ok(entries) => entries,
        // The store was made, and its process ended before the engine came to be.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut journals = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse::<u64>().ok());
        journals.extend(number.map(|number| (number, path)));
    }
    journals.sort_unstable();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// How far a journal can be read.
struct Extent {
    /// Behind the last whole batch.
    end: u64,
    /// Whether nothing follows but room.
    is_whole: bool,
}

fn look_through(path: &Path, last_sequence: &mut Option<u64>) -> io::Result<Extent> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut reader = Reader {
        file: BufReader::with_capacity(1 << 16, file),
        at: 0,
        len,
    };
    let mut end = 0;
    loop {
        match reader.batch() {
            Ok(sequence) if last_sequence.is_none_or(|last| last < sequence) => {
                *last_sequence = Some(sequence);
                end = reader.at;
            }
            Ok(_) | Err(Unread::Wrong) => break,
            Err(Unread::Io(error)) => return Err(error),
        }
    }
    let is_whole = is_room(path, end)?;
    Ok(Extent { end, is_whole })
}

/// Whether there are only the zeroes of a file that was made longer than it is yet.
fn is_room(path: &Path, from: u64) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let file = File::open(path)?;
    let (mut at, mut chunk) = (from, vec![0; 1 << 16]);
    loop {
        let count = file.read_at(&mut chunk, at)?;
        if count == 0 {
            return Ok(true);
        }
        if chunk[..count].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += count as u64;
    }
}

enum Unread {
    /// This is no batch, or not all of one.
    Wrong,
    Io(io::Error),
}

struct Reader {
    file: BufReader<File>,
    at: u64,
    len: u64,
}

impl Reader {
    /// Reads over a batch and returns its sequence number.
    fn batch(&mut self) -> Result<u64, Unread> {
        let mut sum = Xxh3::new();
        let [START] = self.take::<1>()? else {
            return Err(Unread::Wrong);
        };
        let count = u32::from_le_bytes(self.take()?);
        let sequence = u64::from_le_bytes(self.take()?);
        for _ in 0..count {
            let kind = self.summed::<1>(&mut sum)?;
            match kind {
                [ITEM] => self.item(&mut sum)?,
                [CLEAR] => drop(self.summed::<8>(&mut sum)?),
                _ => return Err(Unread::Wrong),
            }
        }
        let [END] = self.take::<1>()? else {
            return Err(Unread::Wrong);
        };
        let expected = u64::from_le_bytes(self.take()?);
        let is_right = self.take::<4>()? == TRAILER && sum.digest() == expected;
        is_right.then_some(sequence).ok_or(Unread::Wrong)
    }

    fn item(&mut self, sum: &mut Xxh3) -> Result<(), Unread> {
        // The kind of value, no compression, and the keyspace.
        let [_, compression, ..] = self.summed::<10>(sum)?;
        let key = u64::from(u16::from_le_bytes(self.summed(sum)?));
        let [value, on_disk] = [self.summed::<4>(sum)?, self.summed::<4>(sum)?];
        if compression != 0 || value != on_disk {
            return Err(Unread::Wrong);
        }
        let mut left = key + u64::from(u32::from_le_bytes(value));
        if left > self.len - self.at {
            return Err(Unread::Wrong);
        }
        let mut chunk = [0; 4096];
        while left > 0 {
            let count = left.min(chunk.len() as u64) as usize;
            self.fill(&mut chunk[..count])?;
            sum.update(&chunk[..count]);
            left -= count as u64;
        }
        Ok(())
    }

    fn summed<const N: usize>(&mut self, sum: &mut Xxh3) -> Result<[u8; N], Unread> {
        let bytes = self.take()?;
        sum.update(&bytes);
        Ok(bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unread> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Unread> {
        match self.file.read_exact(bytes) {
            Ok(()) => {
                self.at += bytes.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Unread::Wrong),
            Err(error) => Err(Unread::Io(error)),
        }
    }
}
