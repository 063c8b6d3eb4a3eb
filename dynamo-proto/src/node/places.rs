//! A table whose places are reused, the one freed last first.

use alloc::vec::Vec;

/// Things that come and go, found by index. What is large is written once, where it stays, and ends
/// where it lies.
pub(crate) struct Places<T> {
    places: Vec<Place<T>>,
    /// The first free one, or the next that there would be.
    free: usize,
    len: usize,
}

enum Place<T> {
    Taken(T),
    /// And the free one after it.
    Free(usize),
}

impl<T> Places<T> {
    pub(crate) const fn new() -> Self {
        Self {
            places: Vec::new(),
            free: 0,
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn insert(&mut self, thing: T) -> usize {
        let at = self.free;
        self.len += 1;
        match self.places.get_mut(at) {
            Some(place) => {
                self.free = match place {
                    Place::Free(next) => *next,
                    Place::Taken(_) => unreachable!("it is free"),
                };
                *place = Place::Taken(thing);
            }
            None => {
                self.free = at + 1;
                self.places.push(Place::Taken(thing));
            }
        }
        at
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        match self.places.get_mut(at)? {
            Place::Taken(thing) => Some(thing),
            Place::Free(_) => None,
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, at: usize) -> Option<T> {
        self.get_mut(at)?;
        match core::mem::replace(&mut self.places[at], Place::Free(self.free)) {
            Place::Taken(thing) => {
                (self.free, self.len) = (at, self.len - 1);
                Some(thing)
            }
            Place::Free(_) => None,
        }
    }

    /// Lets go of the thing there, if there is one.
    #[inline]
    pub(crate) fn clear(&mut self, at: usize) {
        if self.get_mut(at).is_some() {
            self.places[at] = Place::Free(self.free);
            (self.free, self.len) = (at, self.len - 1);
        }
    }

    /// All things with their places, in that order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(at, place)| match place {
            Place::Taken(thing) => Some((at, thing)),
            Place::Free(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn the_place_freed_last_is_taken_first_and_none_is_free_twice() {
        let mut places = Places::new();
        let at: Vec<_> = (0..4).map(|n: i32| places.insert(n.to_string())).collect();
        assert_eq!(at, [0, 1, 2, 3]);
        places.clear(1);
        places.clear(1);
        assert_eq!(places.take(3).as_deref(), Some("3"));
        assert_eq!(places.take(3), None);
        assert_eq!(places.get_mut(1), None);
        assert_eq!(places.len(), 2);
        let again: Vec<_> = ["a", "b", "c"].map(String::from).into_iter().collect();
        let at: Vec<_> = again.into_iter().map(|it| places.insert(it)).collect();
        assert_eq!(at, [3, 1, 4]);
        let all: Vec<_> = places.iter().map(|(at, it)| (at, it.as_str())).collect();
        assert_eq!(all, vec![(0, "0"), (1, "b"), (2, "2"), (3, "a"), (4, "c")]);
        places.clear(9);
        assert_eq!(places.len(), 5);
    }
}
