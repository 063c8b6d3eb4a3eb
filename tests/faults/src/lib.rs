//! Storage engines on real files that forget what was not flushed, fail, and rot.
//!
//! A killed process leaves its page cache behind, so killing proves nothing about flushing. Here a
//! program's file operations pass through a layer that keeps, beside a watched directory, an
//! [`Image`] of what of it is flushed: bytes, lengths, and names. After a kill the directory is
//! [restored](Image::restore) from the image: every byte that was not flushed is gone, or, with
//! luck, any sectors of it are there. On [order](Disk::order) reads, writes and flushes fail, and
//! reads come back with a bit turned; with a [limit](Disk::limit) the disk is full some time.
//!
//! The layer is linked, not preloaded: a program that uses this crate has its own `write`, `fsync`
//! and so on, which come before the C library's for all that is linked with it. That sees what
//! `LD_PRELOAD` would see, needs no path to a library, and takes orders by function call. See
//! `src/hooks.rs` for what it sees and what not.
//!
//! - [`engines`] lists the engines that all tests here run on. One more is one more line.
//! - [`crash`] lets a child process write heavily, kills it, cuts the power, and checks what is
//!   left against what was reported.
//! - [`Rig`] runs the conformance suite on real files, power cuts included.

#![cfg(target_os = "linux")]

pub mod crash;
pub mod log;

mod dice;
mod disk;
mod engines;
mod hooks;
mod image;
mod rig;
mod scratch;

pub use dice::Dice;
pub use disk::{Disk, Fault, Operation, Order};
pub use engines::{Engine, Store, engines, named, planted};
pub use image::Image;
pub use rig::Rig;
pub use scratch::Scratch;

use std::cell::Cell;

thread_local! {
    /// Whether this thread is about the layer's own business.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Does something that the layer does not see.
fn quietly<T>(act: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            IS_QUIET.set(self.0);
        }
    }
    let _before = Before(IS_QUIET.replace(true));
    act()
}

fn is_quiet() -> bool {
    IS_QUIET.get()
}
