//! The engines that the tests run on.

use std::io;
use std::path::Path;

use dynamo_storage::Backend;

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
    vec![engine("log", |path| {
        Ok(Box::new(Log::open(path, Flaw::None)?))
    })]
}

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
