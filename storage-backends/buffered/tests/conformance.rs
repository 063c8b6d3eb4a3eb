//! The buffer keeps what every engine promises, over an engine that does.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../../api/tests/planted/mod.rs"]
mod planted;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, ReadOutcome, Space, WriteError};
use dynamo_storage::conformance::{End, Subject, check};
use dynamo_storage::{Backend, Limit, Page, ScanFailed, Span, Write};
use dynamo_storage_buffered::{Bounds, Buffered};
use dynamo_storage_memory::Memory;
use planted::{Disk, Engine, Flaw};

/// Small enough for every way through it to be taken.
const BOUNDS: Bounds = Bounds {
    objects: 20,
    bytes: 64 << 10,
    age: Duration::from_millis(2),
};

/// An engine whose process can be killed: nothing that its threads do later has any effect.
struct Mortal<B> {
    engine: B,
    is_dead: Arc<AtomicBool>,
    /// Held by every write: none is under way when death has come.
    turn: Arc<Mutex<()>>,
}

impl<B: Backend> Mortal<B> {
    fn living(&self, call: impl FnOnce(&B)) {
        let _turn = self.turn.lock().unwrap();
        if !self.is_dead.load(Ordering::Relaxed) {
            call(&self.engine);
        }
    }
}

impl<B: Backend> Backend for Mortal<B> {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        self.engine.read(space, at)
    }

    fn write(&self, group: &mut [Write]) {
        self.living(|engine| engine.write(group));
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        self.engine.scan(space, span, limit)
    }

    fn delete(
        &self,
        space: Space,
        span: &Span,
        durability: Durability,
    ) -> Result<Durability, WriteError> {
        let mut answer = Err(WriteError::Failed);
        self.living(|engine| answer = engine.delete(space, span, durability));
        answer
    }
}

struct OnDisk {
    disk: Disk,
    is_dead: Arc<AtomicBool>,
    turn: Arc<Mutex<()>>,
}

impl OnDisk {
    fn new() -> Self {
        Self {
            disk: Disk::with(Flaw::None),
            is_dead: Arc::default(),
            turn: Arc::default(),
        }
    }

    fn over(&mut self, engine: Engine) -> Buffered<Mortal<Engine>> {
        self.is_dead = Arc::default();
        let mortal = Mortal {
            engine,
            is_dead: Arc::clone(&self.is_dead),
            turn: Arc::clone(&self.turn),
        };
        Buffered::over(mortal, BOUNDS).unwrap()
    }
}

impl Subject for OnDisk {
    type Backend = Buffered<Mortal<Engine>>;

    fn open(&mut self) -> Self::Backend {
        let engine = self.disk.open();
        self.over(engine)
    }

    fn open_bounded(&mut self, bytes: usize) -> Option<Self::Backend> {
        let engine = self.disk.open_bounded(bytes)?;
        Some(self.over(engine))
    }

    fn reopen(&mut self, backend: Self::Backend, end: End) -> Option<Self::Backend> {
        {
            let _turn = self.turn.lock().unwrap();
            self.is_dead.store(true, Ordering::Relaxed);
        }
        drop(backend);
        let old = self.disk.open();
        let engine = self.disk.reopen(old, end)?;
        Some(self.over(engine))
    }

    /// Only what is below can be damaged.
    fn damage(&mut self, backend: &Self::Backend, space: Space, at: &Address) -> bool {
        let mut flush = [Write::from(Batch {
            changes: Default::default(),
            durability: Durability::Flushed,
            may_use_reserve: false,
        })];
        backend.write(&mut flush);
        let engine = self.disk.open();
        flush[0].answer.is_ok() && self.disk.damage(&engine, space, at)
    }

    fn fail_next_flush(&mut self, _: &Self::Backend) -> bool {
        let engine = self.disk.open();
        self.disk.fail_next_flush(&engine)
    }
}

#[test]
fn a_buffer_over_a_disk_keeps_what_an_engine_promises() {
    let report = check(OnDisk::new);
    assert_eq!(report.skipped().count(), 0, "{report}");
}

/// Memory, for several threads.
struct Shared(Mutex<Memory>);

impl Backend for Shared {
    fn read(&self, space: Space, at: &Address) -> ReadOutcome {
        self.0.lock().unwrap().read(space, at)
    }

    fn write(&self, group: &mut [Write]) {
        self.0.lock().unwrap().write(group);
    }

    fn scan(&self, space: Space, span: &Span, limit: Limit) -> Result<Page, ScanFailed> {
        self.0.lock().unwrap().scan(space, span, limit)
    }
}

struct OverMemory;

impl OverMemory {
    fn over(memory: Memory) -> Buffered<Shared> {
        Buffered::over(Shared(Mutex::new(memory)), BOUNDS).unwrap()
    }
}

impl Subject for OverMemory {
    type Backend = Buffered<Shared>;

    fn open(&mut self) -> Self::Backend {
        Self::over(Memory::new())
    }

    fn open_bounded(&mut self, bytes: usize) -> Option<Self::Backend> {
        Some(Self::over(Memory::with_capacity(bytes)))
    }

    fn reopen(&mut self, _: Self::Backend, _: End) -> Option<Self::Backend> {
        Some(self.open())
    }
}

#[test]
fn a_buffer_over_memory_keeps_what_an_engine_promises() {
    let report = check(|| OverMemory);
    let skipped: Vec<_> = report.skipped().collect();
    assert_eq!(
        skipped,
        [
            "what_is_damaged_is_not_absent",
            "what_is_damaged_can_be_replaced",
            "a_failed_flush_is_final"
        ]
    );
}
