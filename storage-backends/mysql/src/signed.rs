//! What the database says of the store in it: whose it is, where it was last open, how it was left.

use dynamo_proto::{ClusterId, Generation, NodeId};
use dynamo_storage::directory::{Found, Opening, Owner};

use crate::Error;

/// Who wants to open the store.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) owner: Owner,
    pub(crate) opening: Opening,
    /// Where the database is reached: what a copy has not in common with its original.
    pub(crate) place: String,
}

/// What was signed by whoever opened it last.
pub(crate) struct Signed {
    owner: Owner,
    generation: Generation,
    place: String,
    is_open: bool,
}

/// Its columns.
pub(crate) type Row = (Vec<u8>, u64, u64, Vec<u8>, bool);

impl Signed {
    pub(crate) fn of((cluster, node, generation, place, is_open): Row) -> Self {
        let cluster = cluster.first_chunk().copied().unwrap_or_default();
        Self {
            owner: Owner {
                cluster: ClusterId(u128::from_be_bytes(cluster)),
                node: NodeId(node),
            },
            generation: Generation(generation),
            place: String::from_utf8_lossy(&place).into_owned(),
            is_open,
        }
    }

    /// How often it was opened and how it was left, if it may be opened.
    pub(crate) fn taken_by(self, claim: &Claim) -> Result<(Generation, Found), Error> {
        if self.owner != claim.owner {
            return Err(Error::Foreign {
                found: self.owner,
                expected: claim.owner,
            });
        }
        let is_in_place = self.place == claim.place;
        if !is_in_place && claim.opening == Opening::InPlace {
            return Err(Error::Copied {
                there: self.place,
                here: claim.place.clone(),
            });
        }
        let found = match (is_in_place, self.is_open) {
            (false, _) => Found::Copied,
            (true, true) => Found::Abandoned,
            (true, false) => Found::Closed,
        };
        Ok((Generation(self.generation.0 + 1), found))
    }
}
