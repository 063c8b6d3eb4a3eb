//! Watched directories: what is not flushed of them, and what they were told to do wrong.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::mem;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::dice::Dice;
use crate::image::{Entry, Id, Image, Inode, Kind, Length, ROOT, copy_ranges, inode_of};
use crate::quietly;

/// A directory on which this process's writes count as lost until they are flushed. Watched until
/// it is dropped.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
}

/// What an order is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reading from a file.
    Read,
    /// Writing to a file, or changing its length.
    Write,
    /// Flushing a file or directory.
    Flush,
}

/// What to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fail with this error number. What a failed flush was to save is lost, and no later flush
    /// saves it.
    Fail(i32),
    /// Do it, and turn the bit of this number, counted round and round, of what was read.
    Flip(u64),
}

/// Something to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// At what.
    pub operation: Operation,
    /// How.
    pub fault: Fault,
    /// How many are let pass first.
    pub after: usize,
    /// How many go wrong then.
    pub times: usize,
}

/// What a call comes to.
pub(crate) enum Verdict {
    Do,
    Fault(Fault),
    /// Do a part of it, then kill the process.
    Die(Dice),
}

pub(crate) struct Watched {
    root: PathBuf,
    image: Image,
    files: HashMap<Inode, Unflushed>,
    directories: HashMap<Inode, Id>,
    next_id: Id,
    orders: Vec<Order>,
    obeyed: usize,
    /// After so many changes.
    death: Option<(usize, Dice)>,
    room: Option<Room>,
}

/// Of a disk that may be full.
struct Room {
    /// All that it has.
    bytes: u64,
    /// What was left when it was counted last, less what was written since, as if all that were new.
    left: u64,
}

/// Of one file.
pub(crate) struct Unflushed {
    id: Id,
    /// What was written since the last flush; ends may lie behind the file's.
    ranges: Vec<(u64, u64)>,
    /// As last seen.
    len: u64,
    /// Somebody can write to it unseen.
    is_mapped: bool,
}

static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn is_anything_watched() -> bool {
    COUNT.load(Ordering::Acquire) > 0
}

pub(crate) fn watched() -> MutexGuard<'static, Vec<Watched>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// Watches a directory from now on, all of which counts as flushed. What is flushed of it is
    /// kept in `image`, a directory of the same file system that may be overwritten.
    pub fn watch(root: &Path, image: &Path) -> io::Result<Self> {
        quietly(|| {
            let image = Image::create(image)?;
            let mut disk = Watched::new(root, image)?;
            let root = root.canonicalize()?;
            disk.add_directory(inode_of(&root.metadata()?), ROOT)?;
            disk.adopt_tree(&root, ROOT)?;
            Ok(Self::register(disk))
        })
    }

    /// Watches a directory in which another process was watched, or that is a
    /// [fork](Image::fork) of one: what was not flushed then is not flushed now.
    pub fn resume(root: &Path, image: &Path) -> io::Result<Self> {
        quietly(|| {
            let mut disk = Watched::new(root, Image::at(image))?;
            disk.next_id = disk.image.next_id()?;
            let pinned = disk.image.pinned()?.into_iter();
            let files = pinned.map(|(inode, id)| {
                let len = fs::metadata(disk.image.pin(id))?.len();
                Ok((inode, Unflushed::all_of(id, len)))
            });
            disk.files = files.collect::<io::Result<_>>()?;
            disk.directories = disk.image.directories()?;
            Ok(Self::register(disk))
        })
    }

    /// From now on this goes wrong.
    pub fn order(&self, order: Order) {
        self.with(|disk| disk.orders.push(order));
    }

    /// From now on nothing goes wrong.
    pub fn relent(&self) {
        self.with(|disk| disk.orders.clear());
    }

    /// From now on it has room for so many bytes: a write for which there is none left fails.
    pub fn limit(&self, bytes: u64) {
        self.with(|disk| disk.room = Some(Room { bytes, left: 0 }));
    }

    /// How many bytes could still be written. All there is on a disk without a limit.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.with(|disk| match disk.room {
            Some(Room { bytes, .. }) => bytes.saturating_sub(taken_by(&disk.root)),
            None => u64::MAX,
        })
    }

    /// How often something went wrong so far.
    #[must_use]
    pub fn obeyed(&self) -> usize {
        self.with(|disk| disk.obeyed)
    }

    /// Kills this process in the midst of the change or flush that comes after so many.
    pub fn die_after(&self, changes: usize, dice: Dice) {
        self.with(|disk| disk.death = Some((changes, dice)));
    }

    /// See [`Image::restore`]. Nothing is written meanwhile.
    pub fn restore(&self, to: &Path, luck: Option<&mut Dice>) -> io::Result<u64> {
        self.with(|disk| disk.image.restore(&disk.root, to, luck))
    }

    /// See [`Image::fork`]. Nothing is written meanwhile.
    pub fn fork(&self, to: &Path, image: &Path) -> io::Result<()> {
        self.with(|disk| disk.image.fork(&disk.root, to, image))
    }

    fn register(disk: Watched) -> Self {
        let root = disk.root.clone();
        watched().push(disk);
        COUNT.fetch_add(1, Ordering::Release);
        Self { root }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Watched) -> T) -> T {
        quietly(|| {
            let mut watched = watched();
            let mut disks = watched.iter_mut();
            let disk = disks.find(|disk| disk.root == self.root);
            act(disk.expect("a disk is watched until it is dropped"))
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        quietly(|| watched().retain(|disk| disk.root != self.root));
        COUNT.fetch_sub(1, Ordering::Release);
    }
}

impl Watched {
    fn new(root: &Path, image: Image) -> io::Result<Self> {
        Ok(Self {
            root: root.canonicalize()?,
            image,
            files: HashMap::new(),
            directories: HashMap::new(),
            next_id: ROOT + 1,
            orders: Vec::new(),
            obeyed: 0,
            death: None,
            room: None,
        })
    }

    pub(crate) fn holds(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    pub(crate) fn watches(&self, inode: Inode) -> bool {
        self.files.contains_key(&inode)
    }

    /// Somebody can write to this file unseen from now on.
    pub(crate) fn map(&mut self, inode: Inode) {
        if let Some(file) = self.files.get_mut(&inode) {
            file.is_mapped = true;
        }
    }

    /// A file was changed there, and has this length now.
    pub(crate) fn change(
        &mut self,
        inode: Inode,
        (start, end): (u64, u64),
        length: Length,
    ) -> io::Result<()> {
        let Some(file) = self.files.get_mut(&inode) else {
            return Ok(());
        };
        file.add(start, end);
        let (Length::Set(len) | Length::Written(len)) = length;
        if mem::replace(&mut file.len, len) == len {
            return Ok(());
        }
        self.image.add_length(file.id, length)
    }

    /// What becomes of a call. Each order sees all that it is about.
    pub(crate) fn judge(&mut self, operation: Operation) -> Verdict {
        if operation != Operation::Read
            && let Some((left, dice)) = &mut self.death
        {
            if *left == 0 {
                return Verdict::Die(dice.clone());
            }
            *left -= 1;
        }
        let mut verdict = Verdict::Do;
        for order in &mut self.orders {
            if order.operation != operation || order.times == 0 {
                continue;
            }
            if order.after > 0 {
                order.after -= 1;
            } else {
                order.times -= 1;
                self.obeyed += 1;
                verdict = Verdict::Fault(order.fault);
            }
        }
        verdict
    }

    /// Whether so much can still be written; then it counts as written.
    pub(crate) fn has_room(&mut self, len: usize) -> bool {
        let Some(room) = &mut self.room else {
            return true;
        };
        let len = (len as u64).next_multiple_of(BLOCK).max(BLOCK);
        if room.left < len {
            room.left = room.bytes.saturating_sub(taken_by(&self.root));
        }
        let left = room.left.checked_sub(len);
        room.left = left.unwrap_or(room.left);
        left.is_some()
    }

    /// A file that was not seen before: nothing of it is flushed.
    pub(crate) fn adopt_file(&mut self, inode: Inode, path: &Path) -> io::Result<()> {
        if !self.files.contains_key(&inode) {
            let id = self.new_id();
            fs::hard_link(path, self.image.pin(id))?;
            let len = fs::metadata(path)?.len();
            if len > 0 {
                self.image.add_length(id, Length::Written(len))?;
            }
            self.files.insert(inode, Unflushed::all_of(id, len));
        }
        Ok(())
    }

    /// A directory was made, maybe where another had been.
    pub(crate) fn forget_directory(&mut self, inode: Inode) -> io::Result<()> {
        match self.directories.remove(&inode) {
            Some(id) => self.image.forget_directory(id),
            None => Ok(()),
        }
    }

    pub(crate) fn flush_file(&mut self, inode: Inode) -> io::Result<()> {
        self.flush_ranges(inode, |file| {
            if file.is_mapped {
                vec![(0, u64::MAX)]
            } else {
                mem::take(&mut file.ranges)
            }
        })
    }

    /// Flushes some of it, as when power fails meanwhile.
    pub(crate) fn flush_part_of(&mut self, inode: Inode, dice: &mut Dice) -> io::Result<()> {
        self.flush_ranges(inode, |file| {
            let mut ranges = mem::take(&mut file.ranges);
            ranges.truncate(dice.below(ranges.len() + 1));
            ranges
        })
    }

    /// Flushes this range and no other.
    pub(crate) fn flush_range(&mut self, inode: Inode, range: (u64, u64)) -> io::Result<()> {
        self.flush_ranges(inode, |_| vec![range])
    }

    /// What a failed flush leaves: nothing more is known to be unflushed.
    pub(crate) fn fail_flush(&mut self, inode: Inode) {
        if let Some(file) = self.files.get_mut(&inode) {
            file.ranges.clear();
        }
    }

    pub(crate) fn flush_directory(&mut self, inode: Inode, path: &Path) -> io::Result<()> {
        let id = self.directory_id(inode)?;
        let entries = self.list(path)?;
        self.image.set_names(id, &entries)
    }

    pub(crate) fn flush_everything(&mut self) -> io::Result<()> {
        for inode in self.files.keys().copied().collect::<Vec<_>>() {
            self.flush_file(inode)?;
        }
        self.flush_names_of_tree(&self.root.clone())
    }

    fn flush_names_of_tree(&mut self, path: &Path) -> io::Result<()> {
        self.flush_directory(inode_of(&path.metadata()?), path)?;
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.flush_names_of_tree(&entry.path())?;
            }
        }
        Ok(())
    }

    fn flush_ranges(
        &mut self,
        inode: Inode,
        choose: impl FnOnce(&mut Unflushed) -> Vec<(u64, u64)>,
    ) -> io::Result<()> {
        let Some(file) = self.files.get_mut(&inode) else {
            return Ok(());
        };
        let ranges = choose(file);
        let contents = self.image.contents(file.id);
        let contents = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(contents)?;
        let id = file.id;
        copy_ranges(&File::open(self.image.pin(id))?, &contents, ranges)?;
        self.image.forget_lengths(id)
    }

    /// Takes in a whole tree as flushed.
    fn adopt_tree(&mut self, path: &Path, id: Id) -> io::Result<()> {
        let entries = self.list(path)?;
        self.image.set_names(id, &entries)?;
        for Entry { kind, id, name } in entries {
            let path = path.join(name);
            match kind {
                Kind::Directory => self.adopt_tree(&path, id)?,
                Kind::File => self.flush_file(inode_of(&path.metadata()?))?,
            }
        }
        Ok(())
    }

    fn list(&mut self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let inode = inode_of(&metadata);
            let (kind, id) = if metadata.is_dir() {
                (Kind::Directory, self.directory_id(inode)?)
            } else {
                self.adopt_file(inode, &entry.path())?;
                (Kind::File, self.files[&inode].id)
            };
            let name = entry.file_name();
            entries.push(Entry { kind, id, name });
        }
        Ok(entries)
    }

    fn directory_id(&mut self, inode: Inode) -> io::Result<Id> {
        if let Some(id) = self.directories.get(&inode) {
            return Ok(*id);
        }
        let id = self.new_id();
        self.add_directory(inode, id)?;
        Ok(id)
    }

    fn add_directory(&mut self, inode: Inode, id: Id) -> io::Result<()> {
        self.directories.insert(inode, id);
        self.image.add_directory(id, inode)
    }

    fn new_id(&mut self) -> Id {
        self.next_id += 1;
        self.next_id - 1
    }
}

/// What files take of a disk at least.
const BLOCK: u64 = 4096;

/// By all files that are below it at this moment.
fn taken_by(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return path.metadata().map_or(0, |it| it.blocks() * 512);
    };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.map(|path| taken_by(&path)).sum()
}

impl Unflushed {
    fn all_of(id: Id, len: u64) -> Self {
        Self {
            id,
            ranges: vec![(0, u64::MAX)],
            len,
            is_mapped: false,
        }
    }

    fn add(&mut self, start: u64, end: u64) {
        match self.ranges.last_mut() {
            Some(last) if last.0 <= start && start <= last.1 => last.1 = last.1.max(end),
            _ => self.ranges.push((start, end)),
        }
    }
}
