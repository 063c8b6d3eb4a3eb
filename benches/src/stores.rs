//! Storage engines as a node uses them, and the least that a disk and a map can do.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use dynamo_proto::node::Op;
use dynamo_proto::store::{
    Address, Batch, Change, Command, Completion, ReadOutcome, Space, WriteError,
};
use dynamo_proto::{ClusterId, Durability, NodeId};
use dynamo_storage::directory::{Opening, Owner};
use dynamo_storage::worker::{Worker, WorkerOptions};
use dynamo_storage::{Backend, Scan, Span, Write, address};
use dynamo_storage_fjall::Fjall;
use dynamo_storage_redb::Redb;
use tempfile::TempDir;

use crate::scattered;

const OWNER: Owner = Owner {
    cluster: ClusterId(1),
    node: NodeId(1),
};

/// The engines that keep what they are given.
pub const ON_DISK: [OnDisk; 2] = [
    OnDisk {
        name: "fjall",
        open: |path| {
            Box::new(Fjall::open(path, OWNER, Opening::InPlace, Default::default()).expect("opens"))
        },
    },
    OnDisk {
        name: "redb",
        open: |path| {
            Box::new(Redb::open(path, OWNER, Opening::InPlace, Default::default()).expect("opens"))
        },
    },
];

/// An engine on disk.
#[derive(Clone, Copy, Debug)]
pub struct OnDisk {
    /// Its name.
    pub name: &'static str,
    open: fn(&Path) -> Box<dyn Backend + Sync>,
}

/// A store of one engine with a worker, in a directory that goes with it.
pub struct Store {
    engine: Arc<Box<dyn Backend + Sync>>,
    worker: Worker,
    completed: Vec<(Op, Completion)>,
    _directory: TempDir,
}

impl Store {
    /// With that value at each of so many places.
    #[must_use]
    pub fn holding(engine: OnDisk, directory: TempDir, places: usize, value: &Bytes) -> Self {
        let engine = Arc::new((engine.open)(directory.path()));
        fill(&**engine, places, value);
        let node = thread::current();
        let wake = move || node.unpark();
        let options = WorkerOptions::default();
        let worker = Worker::start(engine.clone(), options, wake).expect("threads start");
        Self {
            engine,
            worker,
            completed: Vec::new(),
            _directory: directory,
        }
    }

    /// Without its worker.
    #[must_use]
    pub fn engine(&self) -> &dyn Backend {
        &**self.engine
    }

    /// Carries out so many commands, of which so many are always under way.
    pub fn carry_out(
        &mut self,
        count: u64,
        under_way: usize,
        mut command: impl FnMut() -> Command,
    ) {
        let (mut submitted, mut left) = (0, count);
        while left > 0 {
            while submitted < count && submitted - (count - left) < under_way as u64 {
                submitted += 1;
                let refused = self.worker.submit(Op(submitted), command());
                refused.expect("there is room");
            }
            self.worker.take(&mut self.completed).expect("it goes on");
            if self.completed.is_empty() {
                thread::park();
            }
            for (_, completion) in self.completed.drain(..) {
                check(&completion);
                left -= 1;
            }
        }
    }
}

fn check(completion: &Completion) {
    let is_done = match completion {
        Completion::Read(outcome) => matches!(outcome, ReadOutcome::Found(_)),
        Completion::Wrote(answer) => *answer == Ok(Durability::Flushed),
        Completion::Scanned(page) => page.is_ok(),
    };
    assert!(is_done, "{completion:?}");
}

/// Writes that value to each of so many places.
pub fn fill(engine: &dyn Backend, places: usize, value: &Bytes) {
    for first in (0..places).step_by(1000) {
        let all = first..places.min(first + 1000);
        let writes = all.map(|nth| write(nth, value, Durability::Memory));
        write_group(engine, &mut writes.collect::<Vec<_>>()).expect("it fits");
    }
    let mut flush = [Write::from(Batch {
        changes: Default::default(),
        durability: Durability::Flushed,
        may_use_reserve: false,
    })];
    write_group(engine, &mut flush).expect("it is flushed");
}

/// Writes a group, and sees to it that all was done.
pub fn write_group(engine: &dyn Backend, group: &mut [Write]) -> Result<(), WriteError> {
    engine.write(group);
    group.iter().try_for_each(|write| write.answer.map(drop))
}

/// The n-th place; they are all over the ring, as keys' are.
#[must_use]
pub fn place(nth: usize) -> Address {
    let nth = nth as u64;
    Address {
        position: u128::from(scattered(nth)) << 64 | u128::from(nth),
        name: Bytes::from_static(b"a key of a usual length"),
    }
}

/// A write of that value to the n-th place.
#[must_use]
pub fn write(nth: usize, value: &Bytes, durability: Durability) -> Write {
    let change = Change {
        space: Space::Objects,
        at: place(nth),
        // As the core hands it over: in a buffer of its own.
        bytes: Some(Bytes::copy_from_slice(value)),
    };
    Write::from(Batch {
        changes: [change].into_iter().collect(),
        durability,
        may_use_reserve: false,
    })
}

/// Reads all of an engine by pages.
pub fn scan(engine: &dyn Backend) -> usize {
    let mut count = 0;
    for item in Scan::new(engine, Space::Objects, Span::all()) {
        black_box(item.expect("it is whole"));
        count += 1;
    }
    count
}

/// The least that can be done for a disk: records appended to a file, and it flushed.
#[derive(Debug)]
pub struct Bare {
    file: File,
    buffer: Vec<u8>,
    _directory: TempDir,
}

impl Bare {
    /// An empty file.
    pub fn new(directory: TempDir) -> io::Result<Self> {
        Ok(Self {
            file: File::create(directory.path().join("bare"))?,
            buffer: Vec::new(),
            _directory: directory,
        })
    }

    /// Appends so many records with that value, and flushes.
    pub fn append(&mut self, records: usize, value: &Bytes) -> io::Result<()> {
        self.buffer.clear();
        for nth in 0..records {
            address::encode_into(&place(nth), &mut self.buffer);
            self.buffer.extend_from_slice(value);
        }
        self.file.write_all(&self.buffer)?;
        self.file.sync_data()
    }
}
