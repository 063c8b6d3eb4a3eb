//! The conformance suite's subject: any engine, on real files.

use std::io;
use std::path::PathBuf;

use dynamo_storage::conformance::{End, Subject};

use crate::{Disk, Engine, Fault, Operation, Order, Scratch, Store};

/// An engine on a disk of its own.
pub struct Rig {
    engine: Engine,
    disk: Option<Disk>,
    scratch: Scratch,
}

impl Rig {
    /// On an empty disk.
    pub fn new(engine: Engine) -> io::Result<Self> {
        Ok(Self {
            engine,
            disk: None,
            scratch: Scratch::new()?,
        })
    }

    /// The disk, once the engine was opened.
    #[must_use]
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    fn try_open(&mut self) -> io::Result<Store> {
        let root = self.scratch.directory()?;
        let disk = Disk::watch(&root, &self.scratch.part())?;
        self.open_on(disk, root)
    }

    /// In another directory, since the old engine has still to be dropped, and may write meanwhile.
    fn try_reopen(&mut self, end: End) -> io::Result<Store> {
        let Some(old) = self.disk.take() else {
            return Err(io::Error::other("nothing was opened before"));
        };
        let (root, image) = (self.scratch.part(), self.scratch.part());
        let disk = match end {
            End::Machine => {
                old.restore(&root, None)?;
                Disk::watch(&root, &image)?
            }
            End::Process => {
                old.fork(&root, &image)?;
                Disk::resume(&root, &image)?
            }
        };
        self.open_on(disk, root)
    }

    fn open_on(&mut self, disk: Disk, root: PathBuf) -> io::Result<Store> {
        self.disk = Some(disk);
        (self.engine.open)(&root)
    }
}

impl Subject for Rig {
    type Backend = Store;

    fn open(&mut self) -> Self::Backend {
        self.try_open().expect("an empty store can be opened")
    }

    fn reopen(&mut self, backend: Self::Backend, end: End) -> Option<Self::Backend> {
        let opened = self.try_reopen(end);
        drop(backend);
        Some(opened.expect("what a crash leaves can be opened"))
    }

    fn fail_next_flush(&mut self, _: &Self::Backend) -> bool {
        let disk = self.disk.as_ref();
        disk.map(|disk| {
            disk.order(Order {
                operation: Operation::Flush,
                fault: Fault::Fail(libc::EIO),
                after: 0,
                times: 1,
            });
        })
        .is_some()
    }
}
