//! What of a directory tree is flushed, kept beside it on disk so that it outlives a killed process.
//!
//! ```text
//! image/contents/<id>   what is flushed of a file
//! image/pins/<id>       a second name of the file itself, so that its inode is never another's
//! image/lengths/<id>    the lengths that a file had since it was flushed, in order
//! image/directories/<id> which directory it is: device and inode
//! image/names/<id>      what is flushed of a directory: (kind, id, name) of each entry
//! ```
//!
//! The root's id is 0. A file without contents is flushed as an empty one, a directory without
//! names likewise.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::dice::Dice;

/// Of a file or directory, for as long as the image is used.
pub(crate) type Id = u64;

pub(crate) const ROOT: Id = 0;

/// By device and inode.
pub(crate) type Inode = (u64, u64);

/// Disks lose and keep whole ones of these.
/// As much as is copied at a time.
const CHUNK: usize = 64 << 10;
const SECTOR: usize = 512;

/// File systems make files longer by whole ones of these.
const BLOCK: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) id: Id,
    pub(crate) name: OsString,
}

/// A length of a file, and how it came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Set, at once.
    Set(u64),
    /// By writing, which may be done block by block.
    Written(u64),
}

/// See the module's head.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
}

impl Image {
    /// An image that something watched, or watches.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// An empty one, in place of whatever was there.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
        for part in ["contents", "pins", "lengths", "directories", "names"] {
            fs::create_dir_all(path.join(part))?;
        }
        Ok(Self::at(path))
    }

    pub(crate) fn contents(&self, id: Id) -> PathBuf {
        self.path.join("contents").join(id.to_string())
    }

    pub(crate) fn pin(&self, id: Id) -> PathBuf {
        self.path.join("pins").join(id.to_string())
    }

    /// A file has this length from now on, that is not flushed.
    pub(crate) fn add_length(&self, id: Id, length: Length) -> io::Result<()> {
        let mut options = File::options();
        let mut lengths = options.append(true).create(true).open(self.lengths(id))?;
        lengths.write_all(&length.encode())
    }

    pub(crate) fn forget_lengths(&self, id: Id) -> io::Result<()> {
        match fs::remove_file(self.lengths(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn lengths(&self, id: Id) -> PathBuf {
        self.path.join("lengths").join(id.to_string())
    }

    pub(crate) fn add_directory(&self, id: Id, (device, inode): Inode) -> io::Result<()> {
        fs::write(self.directory(id), format!("{device} {inode}"))
    }

    pub(crate) fn forget_directory(&self, id: Id) -> io::Result<()> {
        fs::remove_file(self.directory(id))
    }

    /// Which directory has which id.
    pub(crate) fn directories(&self) -> io::Result<HashMap<Inode, Id>> {
        let mut directories = HashMap::new();
        for file in fs::read_dir(self.path.join("directories"))? {
            let file = file?;
            let is = fs::read_to_string(file.path())?;
            let numbers: Vec<_> = is.split(' ').filter_map(|it| it.parse().ok()).collect();
            // Its writer may have died before it was done.
            if let ([device, inode], Some(id)) = (&numbers[..], id_of(&file.file_name())) {
                directories.insert((*device, *inode), id);
            }
        }
        Ok(directories)
    }

    fn directory(&self, id: Id) -> PathBuf {
        self.path.join("directories").join(id.to_string())
    }

    /// Which file has which id.
    pub(crate) fn pinned(&self) -> io::Result<HashMap<Inode, Id>> {
        let mut pinned = HashMap::new();
        for pin in fs::read_dir(self.path.join("pins"))? {
            let pin = pin?;
            let id = id_of(&pin.file_name())
                .ok_or_else(|| io::Error::other("a pin that is not a number"))?;
            let file = pin.metadata()?;
            pinned.insert(inode_of(&file), id);
        }
        Ok(pinned)
    }

    /// A number that no id of what it holds reaches.
    pub(crate) fn next_id(&self) -> io::Result<Id> {
        let mut next = ROOT + 1;
        for part in ["contents", "pins", "directories", "names"] {
            for entry in fs::read_dir(self.path.join(part))? {
                if let Some(id) = id_of(&entry?.file_name()) {
                    next = next.max(id + 1);
                    if part == "names" {
                        let named = self.names(id)?;
                        next = named.iter().fold(next, |next, it| next.max(it.id + 1));
                    }
                }
            }
        }
        Ok(next)
    }

    /// Takes the place of the last at once, also if this process is killed meanwhile.
    pub(crate) fn set_names(&self, id: Id, entries: &[Entry]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for Entry { kind, id, name } in entries {
            let kind = match kind {
                Kind::File => 'f',
                Kind::Directory => 'd',
            };
            bytes.extend_from_slice(format!("{kind}{id}/").as_bytes());
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0);
        }
        let names = self.path.join("names").join(id.to_string());
        let new = names.with_extension("new");
        fs::write(&new, bytes)?;
        fs::rename(new, names)
    }

    pub(crate) fn names(&self, id: Id) -> io::Result<Vec<Entry>> {
        let bytes = match fs::read(self.path.join("names").join(id.to_string())) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let lines = bytes.split(|byte| *byte == 0).filter(|it| !it.is_empty());
        lines
            .map(|line| Entry::parse(line).ok_or_else(|| io::Error::other("a damaged image")))
            .collect()
    }

    /// Makes the tree that a power cut leaves: what is flushed and nothing else; or, with luck,
    /// beside it some of what is not, whichever sectors and names the dice say. `live` is the tree
    /// that was watched, and stays as it is. Returns how many bytes of files that are not flushed
    /// were lost or torn.
    pub fn restore(&self, live: &Path, to: &Path, luck: Option<&mut Dice>) -> io::Result<u64> {
        fs::create_dir_all(to)?;
        let mut restoring = Restoring {
            image: self,
            pinned: self.pinned()?,
            luck,
            lost: 0,
        };
        let keeps_names = restoring
            .luck
            .as_mut()
            .is_some_and(|dice| dice.below(2) == 0);
        if keeps_names {
            restoring.by_live_names(live, to)?;
        } else {
            restoring.by_flushed_names(ROOT, to)?;
        }
        Ok(restoring.lost)
    }

    /// Copies a live tree together with what is flushed of it, so that the copy can be watched in
    /// its place: what a process leaves to the next one when it is killed. The copy's image is to
    /// be [resumed](crate::Disk::resume).
    pub fn fork(&self, live: &Path, to: &Path, image: &Path) -> io::Result<()> {
        let forked = Self::create(image)?;
        for part in ["contents", "lengths", "names"] {
            for file in fs::read_dir(self.path.join(part))? {
                let file = file?;
                fs::copy(file.path(), forked.path.join(part).join(file.file_name()))?;
            }
        }
        let (pinned, directories) = (self.pinned()?, self.directories()?);
        copy_tree(live, to, &mut |from, copy| {
            let (from, inode) = (inode_of(&from.metadata()?), inode_of(&copy.metadata()?));
            if let Some(id) = pinned.get(&from) {
                fs::hard_link(copy, forked.pin(*id))?;
            } else if let Some(id) = directories.get(&from) {
                forked.add_directory(*id, inode)?;
            }
            Ok(())
        })
    }
}

impl Length {
    const ENCODED: usize = 9;

    fn get(self) -> usize {
        let (Self::Set(len) | Self::Written(len)) = self;
        len as usize
    }

    fn encode(self) -> [u8; Self::ENCODED] {
        let (kind, len) = match self {
            Self::Set(len) => (0, len),
            Self::Written(len) => (1, len),
        };
        let mut bytes = [kind; Self::ENCODED];
        bytes[1..].copy_from_slice(&len.to_be_bytes());
        bytes
    }

    /// The last one may have been cut off by its writer's death.
    fn decode_all(bytes: &[u8]) -> Vec<Self> {
        let (all, _) = bytes.as_chunks::<{ Self::ENCODED }>();
        let decode = |[kind, len @ ..]: &[u8; Self::ENCODED]| match kind {
            0 => Self::Set(u64::from_be_bytes(*len)),
            _ => Self::Written(u64::from_be_bytes(*len)),
        };
        all.iter().map(decode).collect()
    }
}

impl Entry {
    fn parse(line: &[u8]) -> Option<Self> {
        let slash = line.iter().position(|byte| *byte == b'/')?;
        let (head, name) = (&line[..slash], &line[slash + 1..]);
        let (kind, id) = head.split_first()?;
        Some(Self {
            kind: match kind {
                b'f' => Kind::File,
                b'd' => Kind::Directory,
                _ => return None,
            },
            id: str::from_utf8(id).ok()?.parse().ok()?,
            name: OsString::from_vec(name.to_vec()),
        })
    }
}

/// Copies a tree, and does something with all of it and its copies.
fn copy_tree(
    from: &Path,
    to: &Path,
    with_each: &mut impl FnMut(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_tree(&entry.path(), &to.join(entry.file_name()), with_each)?;
        }
    } else {
        fs::copy(from, to)?;
    }
    with_each(from, to)
}

fn id_of(name: &OsStr) -> Option<Id> {
    name.to_str()?.parse().ok()
}

struct Restoring<'a> {
    image: &'a Image,
    pinned: HashMap<Inode, Id>,
    luck: Option<&'a mut Dice>,
    lost: u64,
}

impl Restoring<'_> {
    fn by_flushed_names(&mut self, id: Id, to: &Path) -> io::Result<()> {
        for Entry { kind, id, name } in self.image.names(id)? {
            let to = to.join(name);
            match kind {
                Kind::File => self.file(id, &to)?,
                Kind::Directory => {
                    fs::create_dir(&to)?;
                    self.by_flushed_names(id, &to)?;
                }
            }
        }
        Ok(())
    }

    fn by_live_names(&mut self, live: &Path, to: &Path) -> io::Result<()> {
        for entry in fs::read_dir(live)? {
            let entry = entry?;
            let to = to.join(entry.file_name());
            let file = entry.metadata()?;
            if file.is_dir() {
                fs::create_dir(&to)?;
                self.by_live_names(&entry.path(), &to)?;
            } else if let Some(id) = self.pinned.get(&inode_of(&file)) {
                self.file(*id, &to)?;
            } else {
                File::create(&to)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, id: Id, to: &Path) -> io::Result<()> {
        let flushed = read_if_there(&self.image.contents(id))?;
        let live = read_if_there(&self.image.pin(id))?;
        let left = match &mut self.luck {
            None => flushed,
            Some(dice) => {
                let lengths = Length::decode_all(&read_if_there(&self.image.lengths(id))?);
                let len = choose_len(flushed.len(), &lengths, dice);
                mix(&flushed, &live, len, dice)
            }
        };
        if left != live {
            self.lost += live.iter().zip(&left).filter(|(a, b)| a != b).count() as u64
                + live.len().abs_diff(left.len()) as u64;
        }
        write_new(to, &left)
    }
}

/// Leaves holes for zeroes: engines make their journals longer than they are yet.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = File::create(path)?;
    for (index, chunk) in bytes.chunks(CHUNK).enumerate() {
        if chunk.iter().any(|byte| *byte != 0) {
            file.write_all_at(chunk, (index * CHUNK) as u64)?;
        }
    }
    file.set_len(bytes.len() as u64)
}

fn read_if_there(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// Any length that the file had since it was flushed, or that a write passed through, as file
/// systems keep lengths in their order.
fn choose_len(flushed: usize, lengths: &[Length], dice: &mut Dice) -> usize {
    let chosen = dice.below(lengths.len() + 1);
    let before = match chosen {
        0 => return flushed,
        1 => flushed,
        _ => lengths[chosen - 2].get(),
    };
    let len = lengths[chosen - 1].get();
    match lengths[chosen - 1] {
        Length::Written(_) if len > before && dice.below(2) == 0 => {
            let part = before + dice.below(len - before);
            (part / BLOCK * BLOCK).max(before)
        }
        _ => len,
    }
}

/// Some sectors of the one, some of the other.
fn mix(flushed: &[u8], live: &[u8], len: usize, dice: &mut Dice) -> Vec<u8> {
    let live_in_8 = dice.below(9);
    let mut left = vec![0; len];
    for (index, sector) in left.chunks_mut(SECTOR).enumerate() {
        let source = if dice.below(8) < live_in_8 {
            live
        } else {
            flushed
        };
        let source = source.get(index * SECTOR..).unwrap_or_default();
        let len = sector.len().min(source.len());
        sector[..len].copy_from_slice(&source[..len]);
    }
    left
}

/// Copies these ranges of a file, up to its end, and its length.
pub(crate) fn copy_ranges(
    from: &File,
    to: &File,
    ranges: impl IntoIterator<Item = (u64, u64)>,
) -> io::Result<()> {
    let len = from.metadata()?.len();
    let (mut buffer, mut old) = (vec![0; CHUNK], vec![0; CHUNK]);
    for (mut start, end) in ranges {
        let end = end.min(len);
        while start < end {
            let most = buffer.len().min((end - start) as usize);
            let read = from.read_at(&mut buffer[..most], start)?;
            if read == 0 {
                break; // it became shorter meanwhile
            }
            let new = &buffer[..read];
            // Zeroes are left to the holes that are there for them.
            let is_zero = new.iter().all(|byte| *byte == 0) && {
                let there = to.read_at(&mut old[..read], start)?;
                old[..there].iter().all(|byte| *byte == 0)
            };
            if !is_zero {
                to.write_all_at(new, start)?;
            }
            start += read as u64;
        }
    }
    to.set_len(len)
}

pub(crate) fn inode_of(metadata: &fs::Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}
