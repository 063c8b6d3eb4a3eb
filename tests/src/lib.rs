//! What tests of several crates share: models to compare with, and the bodies of the fuzz targets.
#![allow(
    missing_docs,
    reason = "steps and schedules say what they are by their names"
)]

pub mod fuzz;
pub mod history;
pub mod script;
pub mod updates;
pub mod wire;
