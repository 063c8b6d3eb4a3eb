//! A table whose places are reused and whose keys are not.

use core::fmt;

use super::places::Places;

/// Names a thing in a [`Slots`] for as long as it is there, and nothing afterwards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot {
    index: u32,
    generation: u32,
}

/// Things that come and go, found by index.
pub(crate) struct Slots<T> {
    things: Places<(u32, T)>,
    generation: u32,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self {
            things: Places::new(),
            generation: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.things.len()
    }

    #[inline]
    pub(crate) fn insert(&mut self, thing: T) -> Slot {
        self.generation = self.generation.wrapping_add(1);
        let index = self.things.insert((self.generation, thing));
        Slot {
            index: index as u32,
            generation: self.generation,
        } // capacities are far below 2^32
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        match self.things.get_mut(slot.index as usize) {
            Some((generation, thing)) if *generation == slot.generation => Some(thing),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn remove(&mut self, slot: Slot) -> Option<T> {
        self.get_mut(slot)?;
        self.things
            .take(slot.index as usize)
            .map(|(_, thing)| thing)
    }

    /// Lets go of a thing, if it is there.
    #[inline]
    pub(crate) fn clear(&mut self, slot: Slot) {
        if self.get_mut(slot).is_some() {
            self.things.clear(slot.index as usize);
        }
    }

    /// All things, in the order of their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.things.iter().map(|(_, (_, thing))| thing)
    }

    /// All slots in use, in the order of their places.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.things.iter().map(|(index, (generation, _))| Slot {
            index: index as u32,
            generation: *generation,
        })
    }
}

impl Slot {
    /// The place alone, which is dense and reused.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }

    pub(crate) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_number(number: u64) -> Self {
        Self {
            index: number as u32,
            generation: (number >> 32) as u32,
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.index, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_place_does_not_answer_to_its_old_key() {
        let mut slots = Slots::new();
        let old = slots.insert("old");
        assert_eq!(slots.remove(old), Some("old"));
        let new = slots.insert("new");
        assert_eq!(old.index(), new.index());
        assert_eq!(slots.get_mut(old), None);
        assert_eq!(slots.remove(old), None);
        assert_eq!(slots.get_mut(new), Some(&mut "new"));
        assert_eq!(Slot::from_number(new.number()), new);
        assert!(slots.slots().eq([new]));
    }
}
