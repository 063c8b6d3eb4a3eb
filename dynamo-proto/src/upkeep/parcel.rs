//! Copies that travel together.

use alloc::vec::Vec;

use crate::wire::{HANDOFF_MOST, HeldCopy};

/// Copies for one message: at least one, however long, and no more than its receiver is ready for.
pub(crate) struct Parcel {
    copies: Vec<HeldCopy>,
    bytes: usize,
    most: usize,
}

impl Parcel {
    /// For so many bytes.
    pub(crate) fn of(most: usize) -> Self {
        Self {
            copies: Vec::new(),
            bytes: 0,
            most,
        }
    }

    /// Puts one more in, if there is room.
    pub(crate) fn pack(&mut self, copy: HeldCopy) -> bool {
        self.bytes += copy.encoded_len();
        let is_full = self.copies.len() == HANDOFF_MOST || self.bytes > self.most;
        let fits = !is_full || self.copies.is_empty();
        if fits {
            self.copies.push(copy);
        }
        fits
    }

    pub(crate) fn into_copies(self) -> Vec<HeldCopy> {
        self.copies
    }
}
