//! Who has to be looked at, told by the runtime.
//!
//! One task looks after all sockets and doors of a node. It would be woken by any of them and not know
//! by which, so each has a waker of its own, that notes who it was and then wakes the task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use dynamo_driver::driver::Link;

/// Those who have rung.
#[derive(Default)]
pub(crate) struct Bells {
    rung: Mutex<Rung>,
    /// The store has something.
    has_stored: AtomicBool,
    /// Somebody asks something about the node, or nobody wants it to go on.
    has_asked: AtomicBool,
}

/// Who has something.
#[derive(Clone, Copy)]
pub(crate) enum Ringer {
    Socket(Link),
    /// The door in that place.
    Door(usize),
    /// The node of this process in that place.
    Beside(usize),
}

#[derive(Default)]
struct Rung {
    ringers: Vec<Ringer>,
    task: Option<Waker>,
}

/// The bell of one socket or door.
pub(crate) struct Bell {
    ringer: Ringer,
    is_rung: AtomicBool,
    bells: Arc<Bells>,
}

/// Somebody who is woken by the bells, and no more when this is dropped.
pub(crate) struct Listening(pub(crate) Arc<Bells>);

impl Bells {
    /// From now on it is this task that is woken.
    pub(crate) fn wake_me(&self, context: &Context<'_>) {
        let mut rung = self.lock();
        match &mut rung.task {
            Some(task) => task.clone_from(context.waker()),
            None => rung.task = Some(context.waker().clone()),
        }
    }

    /// Takes all who have rung.
    pub(crate) fn take(&self, into: &mut Vec<Ringer>) {
        std::mem::swap(into, &mut self.lock().ringers);
    }

    /// Whether the store has something since this was last asked.
    pub(crate) fn has_stored(&self) -> bool {
        self.has_stored.swap(false, Ordering::AcqRel)
    }

    /// The store has something.
    pub(crate) fn stored(&self) {
        self.has_stored.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether somebody has asked something since this was last asked.
    pub(crate) fn has_asked(&self) -> bool {
        self.has_asked.swap(false, Ordering::AcqRel)
    }

    /// Somebody asks something.
    pub(crate) fn asked(&self) {
        self.has_asked.store(true, Ordering::Release);
        self.wake();
    }

    fn ring(&self, ringer: Ringer) {
        let mut rung = self.lock();
        rung.ringers.push(ringer);
        // Once is enough: it takes all of them.
        if rung.ringers.len() == 1 {
            rung.wake();
        }
    }

    /// The task is to look around.
    pub(crate) fn wake(&self) {
        self.lock().wake();
    }

    fn lock(&self) -> MutexGuard<'_, Rung> {
        // Nothing panics half-way.
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rung {
    /// Under the lock: who has a waker of its own might let go of it after the task is gone, and not
    /// every runtime's are safe then.
    fn wake(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.lock().task = None;
    }
}

impl Bell {
    pub(crate) fn new(ringer: Ringer, bells: &Arc<Bells>) -> Arc<Self> {
        Arc::new(Self {
            ringer,
            is_rung: AtomicBool::new(false),
            bells: bells.clone(),
        })
    }

    /// It is being looked at: what happens from now on rings it again.
    pub(crate) fn answer(&self) {
        self.is_rung.store(false, Ordering::Release);
    }

    pub(crate) fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            self.bells.ring(self.ringer);
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}
