//! The engines that the tests run on.

use std::io;
use std::path::Path;
use std::time::Duration;

use dynamo_proto::{ClusterId, NodeId};
use dynamo_storage::Backend;
use dynamo_storage::directory::{Opening, Owner};
use dynamo_storage_buffered::{Bounds, Buffered};
use dynamo_storage_fjall::Fjall;
use dynamo_storage_redb::Redb;

use crate::log::{Flaw, Log};

/// A store that is open.
pub type Store = Box<dyn Backend + Sync>;

/// An engine that keeps its store in a directory.
#[derive(Clone, Copy)]
pub struct Engine {
    /// What it goes by in reports and on command lines.
    pub name: &'static str,
    /// Opens the store in this directory, or makes one where nothing is.
    pub open: fn(&Path) -> io::Result<Store>,
}

/// All that must keep what they promise. A line for each.
#[must_use]
pub fn engines() -> Vec<Engine> {
    vec![
        engine("log", |path| Ok(Box::new(Log::open(path, Flaw::None)?))),
        engine("fjall", |path| Ok(Box::new(fjall(path)?))),
        engine("redb", |path| {
            let options = dynamo_storage_redb::Options::default();
            let redb = Redb::open(path, OWNER, Opening::Adopt, options);
            Ok(Box::new(redb.map_err(io::Error::other)?))
        }),
        engine("buffered", |path| {
            let bounds = Bounds {
                objects: 8,
                age: Duration::from_millis(5),
                ..Bounds::default()
            };
            Ok(Box::new(Buffered::over(fjall(path)?, bounds)?))
        }),
    ]
}

fn fjall(path: &Path) -> io::Result<Fjall> {
    let options = dynamo_storage_fjall::Options {
        cache_bytes: 1 << 20,
        // So small that tables are written and merged all the time.
        memtable_bytes: 16 << 10,
    };
    let fjall = Fjall::open(path, OWNER, Opening::Adopt, options);
    fjall.map_err(io::Error::other)
}

/// Of all stores here. After a power cut each is in another directory, so it is adopted.
const OWNER: Owner = Owner {
    cluster: ClusterId(7),
    node: NodeId(1),
};

/// Engines with a flaw that a test must find.
#[must_use]
pub fn planted() -> Vec<Engine> {
    vec![
        engine("skips-the-flush", |path| {
            Ok(Box::new(Log::open(path, Flaw::SkipsTheFlush)?))
        }),
        engine("forgets-the-directory", |path| {
            Ok(Box::new(Log::open(path, Flaw::ForgetsTheDirectory)?))
        }),
        engine("answers-before-the-flush", |path| {
            Ok(Box::new(Log::open(path, Flaw::AnswersBeforeTheFlush)?))
        }),
        engine("trusts-its-tail", |path| {
            Ok(Box::new(Log::open(path, Flaw::TrustsItsTail)?))
        }),
        engine("serves-unflushed-after-opening", |path| {
            Ok(Box::new(Log::open(
                path,
                Flaw::ServesUnflushedAfterOpening,
            )?))
        }),
        engine("calls-damage-absent", |path| {
            Ok(Box::new(Log::open(path, Flaw::CallsDamageAbsent)?))
        }),
        engine("calls-rot-a-tail", |path| {
            Ok(Box::new(Log::open(path, Flaw::CallsRotATail)?))
        }),
        engine("flushes-again", |path| {
            Ok(Box::new(Log::open(path, Flaw::FlushesAgain)?))
        }),
    ]
}

/// The one of this name, planted ones included.
#[must_use]
pub fn named(name: &str) -> Option<Engine> {
    let mut all = engines().into_iter().chain(planted());
    all.find(|engine| engine.name == name)
}

fn engine(name: &'static str, open: fn(&Path) -> io::Result<Store>) -> Engine {
    Engine { name, open }
}
