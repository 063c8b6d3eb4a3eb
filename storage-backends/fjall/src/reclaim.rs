//! Giving back the room of what was deleted, when somebody was refused for want of it.
//!
//! fjall gives room back when it merges tables, and merges them when there are many or large ones.
//! A store that was full and was emptied has neither, only some deletions in memory, and would stay
//! full. So they are made tables, and all tables of a space are merged into as many as what is left
//! needs. A merge writes before it removes, so that is done only with a space of which so little is
//! left that it fits well into what the disk has free: the reserve.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

use dynamo_storage::SPACES;
use fjall::{Database, Keyspace, PersistMode, Readable as _};

/// Beside its bytes, what an item may take in a table.
const ITEM_BYTES: u64 = 64;

/// So many times as long as it took, it is not done again.
const REST: u32 = 3;

/// How often fjall is asked to let go.
const TIMES: usize = 3;

/// Shorter than any address and smaller than all, as the [mark](crate::spaces::MARK) is.
const WRITTEN_TO_LET_GO: &[u8] = b"\0\0";

/// Looks for room in a thread of its own. Dropping it waits for that.
pub(crate) struct Reclaimer {
    /// Something was written since it last began.
    has_changed: AtomicBool,
    is_over: Arc<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// It ends with when it may begin again.
    thread: Option<JoinHandle<Instant>>,
    not_before: Option<Instant>,
}

impl Reclaimer {
    pub(crate) fn new() -> Self {
        Self {
            has_changed: AtomicBool::new(true),
            is_over: Arc::default(),
            state: Mutex::default(),
        }
    }

    pub(crate) fn changed(&self) {
        self.has_changed.store(true, Ordering::Relaxed);
    }

    /// Begins, unless it is under way, has just been done, or nothing has changed since.
    pub(crate) fn begin(&self, database: &Database, spaces: [Keyspace; SPACES.len()], free: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if let Some(ended) = state.thread.take_if(|thread| thread.is_finished()) {
            state.not_before = ended.join().ok();
        }
        let is_too_early = state.not_before.is_some_and(|it| Instant::now() < it);
        if state.thread.is_some()
            || is_too_early
            || !self.has_changed.swap(false, Ordering::Relaxed)
        {
            return;
        }
        let attempt = Attempt {
            database: database.clone(),
            spaces,
            most: free / 2,
            is_over: self.is_over.clone(),
        };
        let run = move || {
            let start = Instant::now();
            // If it cannot be done the store is as full as before, and fjall says so to whoever
            // writes next if it cannot go on.
            let _ = attempt.run();
            Instant::now() + start.elapsed() * REST
        };
        // Without a thread it is tried again at the next refusal.
        state.thread = Builder::new()
            .name("store-reclaimer".into())
            .spawn(run)
            .ok();
    }
}

impl Drop for Reclaimer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let state = self.state.get_mut();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = state.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

struct Attempt {
    database: Database,
    spaces: [Keyspace; SPACES.len()],
    /// Most bytes that may be written for it at a time.
    most: u64,
    is_over: Arc<AtomicBool>,
}

impl Attempt {
    fn run(&self) -> Result<(), fjall::Error> {
        for space in &self.spaces {
            space.rotate_memtable()?;
        }
        while self.spaces.iter().any(|it| it.sealed_memtable_count() > 0) {
            // Fails if fjall's threads have failed, which would have made tables of them.
            self.database.persist(PersistMode::Buffer)?;
            if self.is_over() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        let mut has_merged = false;
        for space in &self.spaces {
            if self.fits(space)? {
                space.major_compact()?;
                has_merged = true;
            }
        }
        if has_merged { self.let_go() } else { Ok(()) }
    }

    /// fjall keeps the tables that were merged for as long as a snapshot may see them, and looks
    /// whether any does when there were writes since and a table is made of them.
    fn let_go(&self) -> Result<(), fjall::Error> {
        let [space, ..] = &self.spaces;
        for _ in 0..TIMES {
            // As many as it takes for the merge to lie behind what was written last.
            for _ in 0..2 {
                space.insert(WRITTEN_TO_LET_GO, [])?;
            }
            space.rotate_memtable()?;
            // For whoever reads at this moment.
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Whether all that is left of a space may be written once more.
    fn fits(&self, space: &Keyspace) -> Result<bool, fjall::Error> {
        let mut left = self.most;
        for item in self.database.snapshot().iter(space) {
            let (key, value) = item.into_inner()?;
            let taken = (key.len() + value.len()) as u64 + ITEM_BYTES;
            match left.checked_sub(taken) {
                Some(rest) if !self.is_over() => left = rest,
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}
