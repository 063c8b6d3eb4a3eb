//! Cells as bytes.
//!
//! ```text
//! data    u8 type | i128 base, if a counter | u32 actors | each: u64 node | u64 boot | u64 serial |
//!         u32 cells | cells
//! cell    u16 path length | u32 actor | u32 counter | u32 payload length | path | payload
//! path    for each map on the way: u8 type | u16 name length | name; then, of a set, the element
//! ```

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use bytes::BufMut;

use super::{DataType, MOST_NESTED, Run, sketch};
use crate::NodeId;
use crate::reader::{DecodeError, Reader};
use crate::version::{Actor, Boot};

pub(super) const ACTOR: usize = 24;
const HEAD: usize = 14;

/// What one write left at one path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell<'a> {
    pub(super) path: Run<'a>,
    /// Its actor's place in a list.
    pub(super) actor: u32,
    pub(super) counter: u32,
    pub(super) payload: Run<'a>,
}

/// The cells in some bytes.
#[derive(Clone, Debug)]
pub(super) struct Cells<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Cell<'a> {
    /// What it is sorted by.
    pub(super) fn name(&self) -> (&[u8], u32, u32) {
        (&self.path, self.actor, self.counter)
    }

    /// The same, its actor's place found in another list.
    pub(super) fn of(self, places: &[u32]) -> Self {
        let actor = places[self.actor as usize];
        Self { actor, ..self }
    }

    /// What it holds, if it is a counter's.
    pub(super) fn total(&self) -> i64 {
        let total = self.payload[..].first_chunk();
        total.map_or(0, |total| i64::from_be_bytes(*total))
    }

    /// What it holds, if it is a register's: when it was written, and what.
    pub(super) fn written(&self) -> (u64, &[u8]) {
        let split = self.payload.split_first_chunk();
        split.map_or((0, &[]), |(stamp, value)| {
            (u64::from_be_bytes(*stamp), value)
        })
    }

    pub(super) fn encoded_len(&self) -> usize {
        HEAD + self.path.len() + self.payload.len()
    }

    pub(super) fn encode(&self, actor: u32, out: &mut Vec<u8>) {
        let mut head = [0; HEAD];
        head[..2].copy_from_slice(&(self.path.len() as u16).to_be_bytes()); // checked where it is made
        head[2..6].copy_from_slice(&actor.to_be_bytes());
        head[6..10].copy_from_slice(&self.counter.to_be_bytes());
        head[10..].copy_from_slice(&(self.payload.len() as u32).to_be_bytes());
        out.put_slice(&head);
        out.put_slice(&self.path);
        out.put_slice(&self.payload);
    }

    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (path_len, rest) = bytes.split_first_chunk()?;
        let (actor, rest) = rest.split_first_chunk()?;
        let (counter, rest) = rest.split_first_chunk()?;
        let (payload_len, rest) = rest.split_first_chunk()?;
        let (path, rest) = rest.split_at_checked(u16::from_be_bytes(*path_len).into())?;
        let payload_len = usize::try_from(u32::from_be_bytes(*payload_len)).ok()?;
        let (payload, rest) = rest.split_at_checked(payload_len)?;
        let cell = Self {
            path: Cow::Borrowed(path),
            actor: u32::from_be_bytes(*actor),
            counter: u32::from_be_bytes(*counter),
            payload: Cow::Borrowed(payload),
        };
        Some((cell, rest))
    }
}

impl<'a> Cells<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let (left, rest) = bytes.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let left = u32::from_be_bytes(*left) as usize;
        Self { rest, left }
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        let (cell, rest) = Cell::split(self.rest)?;
        self.rest = rest;
        self.left = self.left.saturating_sub(1);
        Some(cell)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Cells<'_> {}

pub(super) fn actor(bytes: &[u8; ACTOR]) -> Actor {
    let (words, _) = bytes.as_chunks();
    let [node, boot, serial] =
        core::array::from_fn(|at| words.get(at).map_or(0, |word| u64::from_be_bytes(*word)));
    Actor {
        node: NodeId(node),
        boot: Boot(boot),
        serial,
    }
}

/// Checks that all that follows is cells of that type, in the one form that they have.
pub(super) fn check(
    kind: DataType,
    actors: &[Actor],
    reader: &mut Reader<'_>,
) -> Result<(), DecodeError> {
    let invalid = Err(DecodeError::Invalid("data"));
    let count = reader.count(HEAD, "cells")?;
    let mut rest = reader.slice(reader.remaining(), "cells")?;
    let mut is_used = vec![false; actors.len()];
    let mut last: Option<Cell<'_>> = None;
    for _ in 0..count {
        let (cell, after) = Cell::split(rest).ok_or(DecodeError::Truncated("a cell"))?;
        let leaf = leaf(kind, &cell.path);
        let is_fit = leaf.is_some_and(|leaf| fits(leaf, &cell.payload));
        let is_next = last.is_none_or(|last| last.name() < cell.name());
        let Some(is_used) = is_used.get_mut(cell.actor as usize) else {
            return invalid;
        };
        if !is_fit || !is_next || cell.counter == 0 {
            return invalid;
        }
        *is_used = true;
        (last, rest) = (Some(cell), after);
    }
    if !rest.is_empty() {
        return Err(DecodeError::Trailing(rest.len()));
    }
    match is_used.into_iter().all(|is_used| is_used) && actors.is_sorted_by(|one, next| one < next)
    {
        true => Ok(()),
        false => invalid,
    }
}

/// One step down a map: the field's type and name, and what follows.
pub(super) fn split_field(path: &[u8]) -> Option<(DataType, &[u8], &[u8])> {
    let (kind, rest) = path.split_first()?;
    let (len, rest) = rest.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
    Some((DataType::of_code(*kind)?, name, rest))
}

/// The type of what a cell's path leads to; `None` if it leads nowhere.
fn leaf(mut kind: DataType, mut path: &[u8]) -> Option<DataType> {
    let mut depth = 0;
    while kind == DataType::Map {
        depth += 1;
        if depth > MOST_NESTED {
            return None;
        }
        (kind, _, path) = split_field(path)?;
    }
    (path.is_empty() || kind.is_set()).then_some(kind)
}

fn fits(leaf: DataType, payload: &[u8]) -> bool {
    match leaf {
        DataType::GrowCounter | DataType::Counter => payload.len() == size_of::<i64>(),
        DataType::Register | DataType::MultiRegister => payload.len() >= size_of::<u64>(),
        DataType::GrowSet | DataType::Set | DataType::Flag => payload.is_empty(),
        DataType::Sketch => sketch::is_sound(payload),
        DataType::Map => false,
    }
}
