//! The file under redb, whose blocks are checked each time that they are read.
//!
//! redb verifies its checksums when a file is opened, and then believes what it reads. A bit that
//! turns later, in a page above the records, would make records absent. So a sum of every block is
//! kept in memory from when it was written, or first read, which is when the file is verified: a
//! byte for each kilobyte of the file. A block that reads otherwise later ends the store, as redb
//! does after every read that fails; it would not open again either.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::StorageBackend;
use xxhash_rust::xxh3::xxh3_64;

/// redb's pages are made of whole ones.
const BLOCK: usize = 4096;

/// A sum that is not known.
const UNKNOWN: u32 = 0;

#[derive(Debug)]
pub(crate) struct Checked {
    file: File,
    sums: RwLock<Vec<u32>>,
}

impl Checked {
    pub(crate) fn new(file: File) -> Self {
        Self {
            file,
            sums: RwLock::default(),
        }
    }

    fn sums(&self) -> RwLockReadGuard<'_, Vec<u32>> {
        self.sums.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn sums_mut(&self, blocks: &Range<usize>) -> RwLockWriteGuard<'_, Vec<u32>> {
        let mut sums = self.sums.write().unwrap_or_else(PoisonError::into_inner);
        if sums.len() < blocks.end {
            sums.resize(blocks.end, UNKNOWN);
        }
        sums
    }
}

impl StorageBackend for Checked {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)?;
        let blocks = whole_blocks(offset, out.len());
        let found: Vec<_> = sums_of(&blocks, offset, out).collect();
        let mut are_known = true;
        let sums = self.sums();
        for (block, found) in blocks.clone().zip(&found) {
            match sums.get(block) {
                None | Some(&UNKNOWN) => are_known = false,
                Some(known) if known == found => {}
                Some(_) => {
                    let damaged = format!("block {block} of the file is damaged");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, damaged));
                }
            }
        }
        drop(sums);
        if !are_known {
            let mut sums = self.sums_mut(&blocks);
            for (block, found) in blocks.zip(found) {
                // Whoever wrote it meanwhile knows better.
                if sums[block] == UNKNOWN {
                    sums[block] = found;
                }
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.sums_mut(&(0..0))
            .truncate(whole_blocks(0, len as usize).end);
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let touched = touched_blocks(offset, data.len());
        self.sums_mut(&touched)[touched.clone()].fill(UNKNOWN);
        self.file.write_all_at(data, offset)?;
        let blocks = whole_blocks(offset, data.len());
        let mut sums = self.sums_mut(&blocks);
        for (block, sum) in blocks.clone().zip(sums_of(&blocks, offset, data)) {
            sums[block] = sum;
        }
        Ok(())
    }
}

/// The blocks all of which lie there.
fn whole_blocks(offset: u64, len: usize) -> Range<usize> {
    let start = (offset as usize).div_ceil(BLOCK);
    start..((offset as usize + len) / BLOCK).max(start)
}

/// The blocks any of which lies there.
fn touched_blocks(offset: u64, len: usize) -> Range<usize> {
    offset as usize / BLOCK..(offset as usize + len).div_ceil(BLOCK)
}

/// Of these blocks, given what begins at the offset.
fn sums_of(blocks: &Range<usize>, offset: u64, bytes: &[u8]) -> impl Iterator<Item = u32> {
    let skipped = blocks.start * BLOCK - offset as usize;
    let bytes = bytes.get(skipped..).unwrap_or_default();
    let sums = bytes.chunks_exact(BLOCK).take(blocks.len());
    sums.map(|block| (xxh3_64(block) as u32).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (Checked, File) {
        let file = tempfile::tempfile().unwrap();
        let checked = Checked::new(file.try_clone().unwrap());
        checked.set_len(16 * BLOCK as u64).unwrap();
        (checked, file)
    }

    fn flip(file: &File, at: u64) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    }

    #[test]
    fn what_was_written_or_read_once_is_checked_from_then_on() {
        let (checked, file) = file();
        checked.write(BLOCK as u64, &[7; 2 * BLOCK]).unwrap();
        let mut page = vec![0; 2 * BLOCK];
        checked.read(4 * BLOCK as u64, &mut page).unwrap();
        for block in [1, 2, 4, 5] {
            let at = (block * BLOCK) as u64;
            let mut out = vec![0; BLOCK];
            checked.read(at, &mut out).unwrap();
            flip(&file, at + 100);
            let error = checked.read(at, &mut out).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            // Until it is written anew.
            checked.write(at, &[9; BLOCK]).unwrap();
            checked.read(at, &mut out).unwrap();
        }
    }

    #[test]
    fn a_part_of_a_block_that_is_written_or_cut_off_changes_it() {
        let (checked, _file) = file();
        let mut out = vec![0; BLOCK];
        checked.write(0, &[7; BLOCK]).unwrap();
        checked.write(100, &[8; 9]).unwrap();
        checked.read(0, &mut out).unwrap();
        checked.write(3 * BLOCK as u64, &[7; BLOCK]).unwrap();
        checked.set_len(3 * BLOCK as u64 + 10).unwrap();
        checked.set_len(4 * BLOCK as u64).unwrap();
        checked.read(3 * BLOCK as u64, &mut out).unwrap();
    }
}
