//! Boots that no longer need a place in anybody's clock.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Actor, Boot};
use crate::NodeId;

/// How many of the cluster's retirements a clock has taken into account.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Height(pub u32);

/// The boots that the cluster has retired, in the order in which it committed them: the same list
/// everywhere, only longer here than there.
///
/// A boot may be committed when every owner has subsumed all that it minted. From then on a clock
/// need not name it: a clock at height `h` counts every dot of the first `h` retired boots as
/// seen, and keeps an entry of theirs only while a live value hangs on it. The height is part of
/// the clock because knowing of a retirement and having subsumed the boot are two things: a
/// replica that lost a key and minted over nothing has seen nothing, whatever the cluster
/// committed, and starts at height 0.
///
/// ```
/// use dynamo_proto::{NodeId, version::{Boot, Height, Retirements}};
///
/// let mut retired = Retirements::default();
/// assert_eq!(retired.commit(NodeId(1), Boot(7)), Height(1));
/// assert_eq!(retired.commit(NodeId(1), Boot(7)), Height(1)); // once is enough
/// assert_eq!(retired.height(), Height(1));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(NodeId, Boot)>", into = "Vec<(NodeId, Boot)>")]
pub struct Retirements {
    heights: BTreeMap<(NodeId, Boot), Height>,
}

/// Something takes more retirements into account than are known here. Nothing was done: the list
/// must be brought up to that height first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this needs the first {} retirements, which are not all known here", .height.0)]
pub struct Behind {
    /// How far the list must reach.
    pub height: Height,
}

/// A list of retirements names a boot twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{1:?} of node {0} is retired twice")]
pub struct RetiredTwice(pub NodeId, pub Boot);

impl Retirements {
    /// Appends a boot to the list, unless it is there. Returns the height from which a clock
    /// counts it as seen.
    pub fn commit(&mut self, node: NodeId, boot: Boot) -> Height {
        let next = Height(self.height().0 + 1);
        *self.heights.entry((node, boot)).or_insert(next)
    }

    /// Those that were retired since the list was that long.
    #[must_use]
    pub fn since(&self, height: Height) -> Vec<(NodeId, Boot)> {
        let later = self.heights.iter().filter(|(_, at)| **at > height);
        let mut list: Vec<_> = later.map(|(boot, at)| (*at, *boot)).collect();
        list.sort_unstable();
        list.into_iter().map(|(_, boot)| boot).collect()
    }

    /// How many boots are retired.
    #[must_use]
    pub fn height(&self) -> Height {
        Height(self.heights.len() as u32)
    }

    /// Whether that boot is retired: whoever still mints under it must be born anew.
    #[must_use]
    pub fn contains(&self, node: NodeId, boot: Boot) -> bool {
        self.heights.contains_key(&(node, boot))
    }

    /// That height, if this list reaches so far.
    pub(super) fn reach(&self, height: Height) -> Result<(), Behind> {
        if height > self.height() {
            Err(Behind { height })
        } else {
            Ok(())
        }
    }

    /// Whether a clock at that height, which this list reaches, counts everything of that actor as
    /// seen.
    #[must_use]
    pub fn cover(&self, height: Height, actor: &Actor) -> bool {
        height > Height(0)
            && self
                .heights
                .get(&(actor.node, actor.boot))
                .is_some_and(|retired_at| *retired_at <= height)
    }
}

impl TryFrom<Vec<(NodeId, Boot)>> for Retirements {
    type Error = RetiredTwice;

    fn try_from(list: Vec<(NodeId, Boot)>) -> Result<Self, RetiredTwice> {
        let mut retired = Self::default();
        for (node, boot) in list {
            let expected = Height(retired.height().0 + 1);
            if retired.commit(node, boot) != expected {
                return Err(RetiredTwice(node, boot));
            }
        }
        Ok(retired)
    }
}

impl From<Retirements> for Vec<(NodeId, Boot)> {
    fn from(retired: Retirements) -> Self {
        retired.since(Height(0))
    }
}
