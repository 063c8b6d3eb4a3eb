//! Updates: what a client asks for, and what becomes of it where it is coordinated.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use bytes::{BufMut, Bytes};

use super::cells::{Cell, split_field};
use super::sketch::Sketch;
use super::{Data, DataType, MOST_NESTED};
use crate::WallTime;
use crate::reader::{DecodeError, Reader};
use crate::version::{Clock, Dot, MintError, Retirements};

/// Steps that one write takes together, in this order.
///
/// ```
/// use dynamo_proto::version::{Action, DataType, Path, Step, Update};
///
/// let visits = Path::default().field(DataType::Counter, b"visits")?;
/// let update = Update::from_iter([
///     Step { at: visits, action: Action::Count(1) },
///     Step {
///         at: Path::default().field(DataType::Set, b"pages")?,
///         action: Action::Add("home".into()),
///     },
/// ]);
/// assert!(!update.takes_away());
/// # Ok::<(), dynamo_proto::version::PathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update(Vec<Step>);

/// One thing to do at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where: the key itself, or a field of its map.
    pub at: Path,
    /// What.
    pub action: Action,
}

/// What can be done. Each fits some types only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A counter goes up by that much, or down.
    Count(i64),
    /// A set or a sketch gets an element.
    Add(Bytes),
    /// A set loses an element.
    Remove(Bytes),
    /// A register gets a value.
    Assign(Bytes),
    /// A flag is switched on.
    Enable,
    /// A flag is switched off.
    Disable,
    /// A map loses this field and all that is in it. What others do to it at the same time stays;
    /// of a counter, all that the same coordinators counted before.
    Clear,
}

/// The way to a field through maps; the key itself if empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<u8>);

/// Why there is no such path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Names of more bytes than a path has.
    #[error("the names of fields on the way to one may take 65,535 bytes together")]
    TooLong,
    /// Too many maps within maps.
    #[error("maps are nested {MOST_NESTED} deep at most")]
    TooDeep,
}

impl Path {
    /// The way to a field of the map that this one leads to.
    pub fn field(mut self, kind: DataType, name: &[u8]) -> Result<Self, PathError> {
        let len = u16::try_from(name.len()).map_err(|_| PathError::TooLong)?;
        if self.fields().count() == MOST_NESTED {
            return Err(PathError::TooDeep);
        }
        self.0.put_u8(kind.code());
        self.0.put_u16(len);
        self.0.put_slice(name);
        match u16::try_from(self.0.len()) {
            Ok(_) => Ok(self),
            Err(_) => Err(PathError::TooLong),
        }
    }

    /// The fields on the way.
    pub fn fields(&self) -> impl Iterator<Item = (DataType, &[u8])> {
        let mut rest = &self.0[..];
        core::iter::from_fn(move || {
            let (kind, name, after) = split_field(rest)?;
            rest = after;
            Some((kind, name))
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut path, mut rest) = (Self::default(), bytes);
        while !rest.is_empty() {
            let (kind, name, after) = split_field(rest).ok_or(DecodeError::Invalid("a path"))?;
            path = path
                .field(kind, name)
                .map_err(|_| DecodeError::Invalid("a path"))?;
            rest = after;
        }
        Ok(path)
    }

    /// What is there if the key is of that type.
    fn leads_to(&self, kind: DataType) -> Option<DataType> {
        self.fields().try_fold(kind, |kind, (next, _)| {
            (kind == DataType::Map).then_some(next)
        })
    }
}

impl Update {
    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether it supersedes what is there, so that its coordinator had better know all of it.
    #[must_use]
    pub fn takes_away(&self) -> bool {
        let adds = |step: &Step| {
            matches!(
                step.action,
                Action::Count(_) | Action::Add(_) | Action::Enable
            )
        };
        !self.0.iter().all(adds)
    }

    /// About as many bytes as it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.encoded_len() + self.0.len() * size_of::<Step>()
    }

    pub(crate) fn encoded_len(&self) -> usize {
        let len = |step: &Step| {
            let operand = match &step.action {
                Action::Count(_) => 8,
                Action::Add(bytes) | Action::Remove(bytes) | Action::Assign(bytes) => {
                    4 + bytes.len()
                }
                Action::Enable | Action::Disable | Action::Clear => 0,
            };
            3 + step.at.0.len() + operand
        };
        4 + self.0.iter().map(len).sum::<usize>()
    }

    /// `u32 steps | each: u16 path length | path | u8 action | i64 or u32 length and bytes`
    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        out.put_u32(self.0.len() as u32); // memory ends first, here and below
        for Step { at, action } in &self.0 {
            out.put_u16(at.0.len() as u16);
            out.put_slice(&at.0);
            let mut put = |code, bytes: &Bytes| {
                out.put_u8(code);
                out.put_u32(bytes.len() as u32);
                out.put_slice(bytes);
            };
            match action {
                Action::Count(by) => {
                    out.put_u8(0);
                    out.put_i64(*by);
                }
                Action::Add(element) => put(1, element),
                Action::Remove(element) => put(2, element),
                Action::Assign(value) => put(3, value),
                Action::Enable => out.put_u8(4),
                Action::Disable => out.put_u8(5),
                Action::Clear => out.put_u8(6),
            }
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "an update";
        let count = reader.count(3, what)?;
        let mut steps = Vec::with_capacity(count);
        for _ in 0..count {
            let len = u16::from_be_bytes(reader.array(what)?);
            let at = Path::decode(reader.slice(len.into(), what)?)?;
            let code = reader.u8(what)?;
            let mut run = || {
                let len = reader.count(1, what)?;
                reader.bytes(len, what)
            };
            let action = match code {
                0 => Action::Count(i64::from_be_bytes(reader.array(what)?)),
                1 => Action::Add(run()?),
                2 => Action::Remove(run()?),
                3 => Action::Assign(run()?),
                4 => Action::Enable,
                5 => Action::Disable,
                6 => Action::Clear,
                _ => return Err(DecodeError::Invalid(what)),
            };
            steps.push(Step { at, action });
        }
        Ok(Self(steps))
    }

    /// What becomes of data by this update, minted with that dot. Returns it with what the update
    /// came to: what the counter that was counted last says now, or how many steps changed
    /// something that can be seen. Where it is said what was `seen`, nothing else is taken away.
    pub(in crate::version) fn apply(
        &self,
        data: &Data,
        dot: Dot,
        now: WallTime,
        seen: Option<(&Clock, &Retirements)>,
    ) -> Result<(Data, i64), MintError> {
        let mut actors: Vec<_> = data.actors().collect();
        let me = match actors.binary_search(&dot.actor) {
            Ok(at) => at as u32,
            Err(at) => {
                actors.insert(at, dot.actor);
                at as u32
            }
        };
        let place = |actor| actors.partition_point(|other| *other < actor) as u32;
        let places: Vec<_> = data.actors().map(place).collect();
        let seen = seen.map(|(clock, retired)| {
            let of = |actor| match retired.cover(clock.height(), actor) {
                true => u32::MAX,
                false => clock.counter(actor),
            };
            actors.iter().map(of).collect()
        });
        let mut work = Work {
            base: data.base(),
            cells: data.cells().map(|cell| cell.of(&places)).collect(),
            me,
            counter: dot.counter,
            now,
            seen,
        };
        let mut came_to = 0;
        for step in &self.0 {
            let unfit = MintError::Unfit { kind: data.kind };
            let kind = step.at.leads_to(data.kind).ok_or(unfit)?;
            came_to = match work.take(step, kind)?.ok_or(unfit)? {
                CameTo::Count(count) => count,
                CameTo::Change(is_change) => came_to + i64::from(is_change),
            };
        }
        let base = work.base;
        Ok((Data::build(data.kind, base, &actors, &work.cells), came_to))
    }
}

impl FromIterator<Step> for Update {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl From<Action> for Update {
    /// That alone, done to the key itself.
    fn from(action: Action) -> Self {
        let at = Path::default();
        Self([Step { at, action }].into())
    }
}

/// Data while it is updated.
struct Work<'a> {
    base: i128,
    cells: Vec<Cell<'a>>,
    me: u32,
    counter: u32,
    now: WallTime,
    /// Up to where each actor's cells may be taken away, if not all may.
    seen: Option<Vec<u32>>,
}

/// What came of one step.
enum CameTo {
    Count(i64),
    Change(bool),
}

impl<'a> Work<'a> {
    /// Takes a step; nothing if it does not fit what is there.
    fn take(&mut self, step: &'a Step, kind: DataType) -> Result<Option<CameTo>, MintError> {
        let path = &step.at.0[..];
        let is_change = match (&step.action, kind) {
            (Action::Count(by), DataType::Counter) => return self.count(path, *by).map(Some),
            (Action::Count(by @ 0..), DataType::GrowCounter) => {
                return self.count(path, *by).map(Some);
            }
            (Action::Add(element), DataType::GrowSet | DataType::Set) => {
                let path = element_path(path, element)?;
                self.replace(path, Vec::new())
            }
            (Action::Remove(element), DataType::Set) => {
                let at = self.at(&element_path(path, element)?);
                self.take_away(at)
            }
            (Action::Add(element), DataType::Sketch) => {
                let mut sketch = Sketch::new();
                let at = self.at(path);
                self.cells[at]
                    .iter()
                    .for_each(|cell| sketch.merge(&cell.payload));
                let is_news = sketch.add(element);
                self.replace(Cow::Borrowed(path), sketch.encode());
                is_news
            }
            (Action::Assign(value), DataType::Register | DataType::MultiRegister) => {
                let at = self.at(path);
                let seen = self.cells[at].iter().map(|cell| cell.written().0).max();
                let stamp = seen.map_or(0, |seen| seen.saturating_add(1));
                let stamp = self.now.as_micros().max(stamp);
                let mut payload = stamp.to_be_bytes().to_vec();
                payload.extend_from_slice(value);
                self.replace(Cow::Borrowed(path), payload)
            }
            (Action::Enable, DataType::Flag) => self.replace(Cow::Borrowed(path), Vec::new()),
            (Action::Disable, DataType::Flag) => {
                let at = self.at(path);
                self.take_away(at)
            }
            (Action::Clear, _) if !path.is_empty() => {
                let from = self.cells.partition_point(|cell| *cell.path < *path);
                let below = self.cells[from..].partition_point(|cell| cell.path.starts_with(path));
                self.take_away(from..from + below)
            }
            _ => return Ok(None),
        };
        Ok(Some(CameTo::Change(is_change)))
    }

    fn count(&mut self, path: &'a [u8], by: i64) -> Result<CameTo, MintError> {
        let at = self.at(path);
        let base = if path.is_empty() { self.base } else { 0 };
        let totals = self.cells[at.clone()].iter();
        let all = totals.fold(base, |all, cell| all.saturating_add(cell.total().into()));
        let all = i64::try_from(all.saturating_add(by.into())).map_err(|_| MintError::Overflow)?;
        // What this actor counted before, it counts on from: the others' totals stay theirs.
        let own = self.cells[at.clone()].binary_search_by_key(&self.me, |cell| cell.actor);
        let total = own.map_or(0, |own| self.cells[at.start + own].total());
        let total = total.checked_add(by).ok_or(MintError::Overflow)?;
        let cell = self.cell(Cow::Borrowed(path), total.to_be_bytes().to_vec());
        match own {
            Ok(own) => self.cells[at.start + own] = cell,
            Err(own) => self.cells.insert(at.start + own, cell),
        }
        planted!(CountsAlone => self.cells.retain(|cell| cell.actor == self.me););
        Ok(CameTo::Count(all))
    }

    /// Leaves none of those cells that may be taken away. Returns whether there were any.
    fn take_away(&mut self, at: Range<usize>) -> bool {
        let before = self.cells.len();
        match &self.seen {
            None => drop(self.cells.drain(at)),
            Some(seen) => {
                let is_seen = |cell: &mut Cell<'_>| cell.counter <= seen[cell.actor as usize];
                self.cells.extract_if(at, is_seen).for_each(drop);
            }
        }
        self.cells.len() < before
    }

    /// Leaves this write's cell there, and no other. Returns whether there was none.
    fn replace(&mut self, path: Cow<'a, [u8]>, payload: Vec<u8>) -> bool {
        let at = self.at(&path);
        let is_new = at.is_empty();
        let cell = self.cell(path, payload);
        self.cells.splice(at, [cell]);
        is_new
    }

    fn cell(&self, path: Cow<'a, [u8]>, payload: Vec<u8>) -> Cell<'a> {
        Cell {
            path,
            actor: self.me,
            counter: self.counter,
            payload: Cow::Owned(payload),
        }
    }

    /// Where the cells of a path are.
    fn at(&self, path: &[u8]) -> Range<usize> {
        let from = self.cells.partition_point(|cell| *cell.path < *path);
        let len = self.cells[from..].partition_point(|cell| *cell.path == *path);
        from..from + len
    }
}

fn element_path<'a>(path: &'a [u8], element: &'a [u8]) -> Result<Cow<'a, [u8]>, MintError> {
    let len = path.len() + element.len();
    if len > usize::from(u16::MAX) {
        return Err(MintError::ElementTooLong { len });
    }
    Ok(match path.is_empty() {
        true => Cow::Borrowed(element),
        false => Cow::Owned([path, element].concat()),
    })
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self
            .fields()
            .map(|(kind, name)| (kind, name.escape_ascii()));
        f.debug_list()
            .entries(fields.map(|(kind, name)| alloc::format!("{kind} {name}")))
            .finish()
    }
}
