//! What data says to whoever reads it.

use alloc::vec::Vec;

use super::cells::{Cell, split_field};
use super::sketch::Sketch;
use super::{Data, DataType};

/// A key's data, or a field of it. What is not there reads as an empty one.
#[derive(Clone, Debug)]
pub struct View<'a> {
    kind: DataType,
    base: i128,
    cells: Vec<Cell<'a>>,
    /// How much of each cell's path led here.
    depth: usize,
}

/// A field of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field<'a> {
    /// What it is.
    pub kind: DataType,
    /// Its name; fields of different types may have the same.
    pub name: &'a [u8],
}

impl<'a> View<'a> {
    /// What nothing was ever written to.
    #[must_use]
    pub fn empty(kind: DataType) -> Self {
        Self {
            kind,
            base: 0,
            cells: Vec::new(),
            depth: 0,
        }
    }

    pub(super) fn of(data: &'a Data) -> Self {
        Self {
            kind: data.kind,
            base: data.base(),
            cells: data.cells().collect(),
            depth: 0,
        }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> DataType {
        self.kind
    }

    /// What a counter says: as much as fits, where updates at several coordinators together went
    /// beyond.
    #[must_use]
    pub fn count(&self) -> i64 {
        let totals = self.cells.iter().map(|cell| i128::from(cell.total()));
        let count = totals.fold(self.base, i128::saturating_add);
        count.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// The elements of a set, sorted.
    pub fn elements(&self) -> impl Iterator<Item = &[u8]> {
        let mut last = None;
        let elements = self.cells.iter().map(|cell| &cell.path[self.depth..]);
        elements.filter(move |element| last.replace(*element) != Some(*element))
    }

    /// Whether a set has that element.
    #[must_use]
    pub fn contains(&self, element: &[u8]) -> bool {
        let at = |cell: &Cell<'_>| cell.path[self.depth..].cmp(element);
        self.cells.binary_search_by(at).is_ok()
    }

    /// What a register says: of several values the one stamped last.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        let last = self
            .cells
            .iter()
            .max_by_key(|cell| (cell.written().0, cell.actor));
        last.map(|cell| cell.written().1)
    }

    /// All that a register says that was written at the same time.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.cells.iter().map(|cell| cell.written().1)
    }

    /// Whether a flag is on.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        !self.cells.is_empty()
    }

    /// About how many different elements a sketch was given.
    #[must_use]
    pub fn estimate(&self) -> u64 {
        let mut sketch = Sketch::new();
        self.cells
            .iter()
            .for_each(|cell| sketch.merge(&cell.payload));
        sketch.estimate()
    }

    /// The fields of a map, sorted by type and name.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let mut last = None;
        let fields = self.cells.iter().filter_map(|cell| {
            let (kind, name, _) = split_field(&cell.path[self.depth..])?;
            Some(Field { kind, name })
        });
        fields.filter(move |field| last.replace(*field) != Some(*field))
    }

    /// A field of a map.
    #[must_use]
    pub fn field(&self, Field { kind, name }: Field<'_>) -> Self {
        let leads = |cell: &&Cell<'a>| {
            let field = split_field(&cell.path[self.depth..]);
            field.is_some_and(|(its_kind, its_name, _)| (its_kind, its_name) == (kind, name))
        };
        Self {
            kind,
            base: 0,
            cells: self.cells.iter().filter(leads).cloned().collect(),
            depth: self.depth + 3 + name.len(),
        }
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.base == 0
    }
}
