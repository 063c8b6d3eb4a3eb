//! Opening what a node keeps its part with.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dynamo_keeper::{CloseError, Store};
use dynamo_proto::{ClusterId, Generation, NodeId};
use dynamo_storage::directory::{self, Directory, Found, Opening, Owner};
use dynamo_storage::worker::WorkerOptions;
use dynamo_storage::{BackUp, BackUpError, Backend, CopyError, FreeSpace, Reserve, Room as _};
use dynamo_storage_buffered::{Bounds, Buffered};
use dynamo_storage_fjall::Fjall;
use dynamo_storage_memory::Memory;
use dynamo_storage_mysql::Mysql;
use dynamo_storage_redb::Redb;

use crate::backup::BackUpTo;
use crate::error::Error;
use crate::settings::{Place, Storage};

/// Of what is in memory alone.
const MEMORY_BYTES: usize = 4 << 30;

/// An open store, and whose it is.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) node: NodeId,
    /// How often it was opened before.
    pub(crate) generation: Generation,
    /// Whether it is a copy: the original may have written more.
    pub(crate) is_copy: bool,
    /// Where it is copied while it runs, and how.
    pub(crate) back_up: Option<(PathBuf, BackUpTo)>,
}

/// Opens the store. Who it belongs to is drawn when it is made, and stays.
pub(crate) fn open(
    storage: &Storage,
    cluster: ClusterId,
    outstanding: usize,
) -> Result<Opened, Error> {
    let opening = if storage.adopt {
        Opening::Adopt
    } else {
        Opening::InPlace
    };
    let options = WorkerOptions {
        outstanding,
        flush: storage.flush,
        ..WorkerOptions::default()
    };
    let newborn = Owner {
        cluster,
        node: NodeId(getrandom::u64().map_err(std::io::Error::from)?),
    };
    match &storage.place {
        Place::Memory => Ok(Opened {
            store: Store::in_line(Memory::with_capacity(MEMORY_BYTES)),
            node: newborn.node,
            generation: by_the_clock(),
            is_copy: false,
            back_up: None,
        }),
        Place::Fjall(path) => {
            let owner = owner_of(path, newborn)?;
            let options_of_it = dynamo_storage_fjall::Options::with_reserve(storage.reserve);
            let engine = Fjall::open(path, owner, opening, options_of_it);
            let engine = engine.map_err(Error::opening)?;
            let (generation, is_copy) = found(engine.directory());
            warn_of_little_room(path, storage.reserve);
            let engine = Arc::new(engine);
            let back_up = Some((path.clone(), backs_up(&engine)));
            // It knows what it has still to write for what is in memory.
            let engine = Reserve::new(engine.clone(), engine, storage.reserve);
            let close = |engine: Reserve<Arc<Fjall>, Arc<Fjall>>| {
                let engine = Arc::into_inner(engine.into_backend());
                Ok(engine.ok_or("the reserve has not ended")?.close()?)
            };
            let store = threads(engine, options, storage, close)?;
            Ok(Opened {
                store,
                node: owner.node,
                generation,
                is_copy,
                back_up,
            })
        }
        Place::Redb(path) => {
            let owner = owner_of(path, newborn)?;
            let engine = Redb::open(path, owner, opening, Default::default());
            let engine = engine.map_err(Error::opening)?;
            let (generation, is_copy) = found(engine.directory());
            warn_of_little_room(path, storage.reserve);
            let engine = Arc::new(engine);
            let back_up = Some((path.clone(), backs_up(&engine)));
            let engine = Reserve::new(engine, FreeSpace::of(path), storage.reserve);
            let close = |engine: Reserve<Arc<Redb>, _>| {
                let engine = Arc::into_inner(engine.into_backend());
                Ok(engine.ok_or("a backup has not ended")?.close()?)
            };
            let store = threads(engine, options, storage, close)?;
            Ok(Opened {
                store,
                node: owner.node,
                generation,
                is_copy,
                back_up,
            })
        }
        Place::Mysql(url) => {
            let open = |owner| {
                let options_of_it = dynamo_storage_mysql::Options::new(url);
                let report = |error: &_| eprintln!("dynamo: the database: {error}");
                Ok((owner, Mysql::open(options_of_it, owner, opening, report)?))
            };
            let opened = match open(newborn) {
                // Made by an earlier start, as somebody of this cluster.
                Err(dynamo_storage_mysql::Error::Foreign { found, .. })
                    if found.cluster == cluster =>
                {
                    open(found)
                }
                opened => opened,
            };
            let (owner, engine) = opened.map_err(Error::opening)?;
            let generation = engine.generation();
            let close = |engine: Mysql| Ok(engine.close()?);
            let store = threads(engine, options, storage, close)?;
            Ok(Opened {
                store,
                node: owner.node,
                generation,
                is_copy: storage.adopt,
                back_up: None,
            })
        }
    }
}

/// Whose store is in a directory, or will be.
fn owner_of(path: &Path, newborn: Owner) -> Result<Owner, Error> {
    let seen = directory::look(path).map_err(Error::opening)?;
    let node = seen.map_or(newborn.node, |seen| seen.owner.node);
    Ok(Owner { node, ..newborn })
}

/// How often a directory was opened before, and whether it is a copy.
fn found(directory: &Directory) -> (Generation, bool) {
    let is_copy = directory.found() == Found::Copied;
    (directory.generation(), is_copy)
}

/// It does not keep the engine from being closed.
fn backs_up(engine: &Arc<impl BackUp + Send + Sync + 'static>) -> BackUpTo {
    let engine = Arc::downgrade(engine);
    Box::new(move |to, watch| match engine.upgrade() {
        Some(engine) => engine.back_up(to, watch),
        None => Err(BackUpError::Copy(CopyError::Stopped)),
    })
}

fn threads<B: Backend + Sync + 'static>(
    engine: B,
    options: WorkerOptions,
    storage: &Storage,
    close: impl FnOnce(B) -> Result<(), CloseError> + Send + 'static,
) -> Result<Store, Error> {
    let Some(objects) = storage.write_buffer else {
        return Ok(Store::in_threads(engine, options, storage.scrub, close));
    };
    let bounds = Bounds {
        objects,
        ..Bounds::default()
    };
    let engine = Arc::new(engine);
    let buffered = Buffered::over(engine.clone(), bounds)?;
    let close = move |buffered| {
        drop(buffered); // writes out what it has
        let engine = Arc::into_inner(engine).ok_or("the write buffer has not ended")?;
        close(engine)
    };
    Ok(Store::in_threads(buffered, options, storage.scrub, close))
}

/// Says why clients' writes are about to be refused.
fn warn_of_little_room(path: &Path, reserve: u64) {
    if let Ok(free) = FreeSpace::of(path).free()
        && free <= reserve
    {
        eprintln!(
            "dynamo: {} has {free} bytes free, and {reserve} are kept in reserve: until there are more, or --reserve is less, clients' writes are refused",
            path.display()
        );
    }
}

/// For what nothing is kept of: later starts come later.
fn by_the_clock() -> Generation {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since_1970.map_or(0, |wait| wait.as_micros());
    Generation(u64::try_from(micros).unwrap_or(u64::MAX))
}
