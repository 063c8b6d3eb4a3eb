//! Engines that are opened by a directory.

use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{End, Report, Subject, check};
use crate::Backend;

/// [Checks](check) an engine that keeps its store in a directory, each requirement in a new and
/// empty one, which is removed afterwards.
///
/// The end of a process is staged by dropping the backend and opening the directory again: an
/// engine that writes something out when it is dropped is better off than it would be. Power cuts,
/// damage and failing flushes are not staged.
///
/// ```
/// use dynamo_storage::{Backend, conformance};
///
/// fn my_engine_passes<B: Backend>(open: impl Fn(&std::path::Path) -> B) {
///     conformance::check_in_directories(open);
/// }
/// ```
///
/// # Panics
///
/// If any requirement is broken, with all that are; or if there is no temporary directory.
pub fn check_in_directories<B: Backend>(open: impl Fn(&Path) -> B) -> Report {
    check(|| InDirectory {
        open: &open,
        path: new_path(),
        backend: PhantomData,
    })
}

struct InDirectory<'a, F, B> {
    open: &'a F,
    path: PathBuf,
    backend: PhantomData<B>,
}

impl<B: Backend, F: Fn(&Path) -> B> Subject for InDirectory<'_, F, B> {
    type Backend = B;

    fn open(&mut self) -> B {
        fs::create_dir_all(&self.path).expect("there is a temporary directory");
        (self.open)(&self.path)
    }

    fn reopen(&mut self, backend: B, end: End) -> Option<B> {
        if end == End::Machine {
            return None;
        }
        drop(backend);
        Some((self.open)(&self.path))
    }
}

impl<F, B> Drop for InDirectory<'_, F, B> {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the temporary directory.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn new_path() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("dynamo-conformance-{}-{number}", std::process::id());
    std::env::temp_dir().join(name)
}
