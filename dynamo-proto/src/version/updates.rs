//! How updates of data types become versions in a node's record.

use super::policy::data;
use super::siblings::Siblings;
use super::{
    Births, Data, DataType, Dot, MintError, Minted, Past, Policy, Record, RequestId, Rules,
    Sibling, Update, Value,
};
use crate::WallTime;
use crate::version::Content;

/// What came of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Updated {
    /// The new write.
    pub dot: Dot,
    /// What the counter that was counted last says now, or how many steps changed something that
    /// can be seen: in this record, which may lack what other replicas have.
    pub came_to: i64,
}

impl Record {
    /// Makes a client's update a version: all its steps with one dot never used before.
    ///
    /// It supersedes what is here; where it takes something away, only what the client had `seen` of
    /// that, if it says what it had. Whoever takes something away should first have merged in what
    /// others have.
    pub fn update(
        &mut self,
        update: &Update,
        (seen, request): (Option<&Past>, RequestId),
        now: WallTime,
        births: &mut Births,
        rules: &Rules<'_>,
    ) -> Result<Updated, MintError> {
        let Policy::Data(kind) = rules.policy else {
            return Err(MintError::Plain);
        };
        let seen = seen.map(|past| (&past.clock, rules.retired));
        let apply = |data: &Data, dot| update.apply(data, dot, now, seen);
        let (dot, came_to) = self.change(kind, (None, request), now, births, rules, apply)?;
        Ok(Updated { dot, came_to })
    }

    /// Takes away all that the client had seen.
    pub(super) fn clear(
        &mut self,
        kind: DataType,
        (past, request): (Option<&Past>, RequestId),
        now: WallTime,
        births: &mut Births,
        rules: &Rules<'_>,
    ) -> Result<Minted, MintError> {
        let clear = |data: &Data, _| {
            let left = past.map(|past| data.without(&past.clock, rules.retired));
            Ok((left.unwrap_or_else(|| data.clone()), 0))
        };
        let (dot, _) = self.change(kind, (past, request), now, births, rules, clear)?;
        let superseded = 0; // no values: they are within the one that there is
        Ok(Minted { dot, superseded })
    }

    fn change(
        &mut self,
        kind: DataType,
        (past, request): (Option<&Past>, RequestId),
        now: WallTime,
        births: &mut Births,
        rules: &Rules<'_>,
        change: impl FnOnce(&Data, Dot) -> Result<(Data, i64), MintError>,
    ) -> Result<(Dot, i64), MintError> {
        self.check_name(past, births, rules.retired)?;
        let next = self.next_dot(past, births);
        self.check_actors(past, next.is_none(), rules.limits)?;
        let dot = next.unwrap_or_else(|| Dot {
            actor: births.newborn(),
            counter: 1,
        });
        let before = data(kind, &self.siblings.values);
        let (after, came_to) = change(&before, dot)?;
        let (len, limit) = (after.encoded().len(), rules.limits.value_bytes);
        // What merging has taken over the limit can still be made smaller.
        if len > limit.max(before.encoded().len()) {
            return Err(MintError::ValueTooLarge { len, limit });
        }
        let Siblings { clock, values } = &mut self.siblings;
        if let Some(past) = past {
            clock.join(&past.clock);
        }
        clock.advance(dot, now.as_secs());
        let value = Value {
            content: Content::Tombstone, // until it is replaced
            request,
            // What is joined was stamped too, and the last stamp of all is everywhere the same.
            stamp: past.map_or(now, |past| now.max(past.stamp)),
        };
        rules
            .policy
            .replace(values, Some(Sibling { dot, value }), after);
        self.siblings.leave_out_retired(rules.retired);
        self.note.add(dot, request);
        Ok((dot, came_to))
    }
}
