//! Sets of elements that come and go, kept by several replicas: ours, and `crdts`' with the same
//! elements, added and taken away by the same actors.

use crdts::{CmRDT, Orswot};
use dynamo_proto::version::{
    Action, Births, Boot, Content, DataType, Policy, Record, RequestId, Retirements, Rules,
    Siblings, Update,
};
use dynamo_proto::{Limits, NodeId, WallTime};

use crate::scattered;

/// What the bucket holds.
pub const POLICY: Policy = Policy::Data(DataType::Set);

/// How many elements two replicas have in common, and each alone.
pub const SHAPES: [(&str, u64, u64); 3] = [
    ("100 in common", 100, 0),
    ("80 in common, 20 each alone", 80, 20),
    ("100 each alone", 0, 100),
];

/// As many as a key has replicas.
const ACTORS: u64 = 3;

/// The peer's set.
pub type Peer = Orswot<Vec<u8>, u64>;

/// The same set as both keep it.
#[derive(Clone, Debug, Default)]
pub struct Pair {
    /// Ours.
    pub ours: Record,
    /// The peer's.
    pub peers: Peer,
}

/// Two replicas that share so many elements and each have so many alone; one element was taken away
/// by each.
#[must_use]
pub fn replicas(in_common: u64, alone: u64) -> [Pair; 2] {
    let mut both = Pair::default();
    for actor in 0..ACTORS {
        let elements = (0..in_common).filter(|element| element % ACTORS == actor);
        both.change(actor, elements, &[]);
    }
    [ACTORS, ACTORS + 1].map(|actor| {
        let mut pair = both.clone();
        let first = 1000 * actor;
        pair.change(actor, first..=first + alone, &[first]);
        pair
    })
}

impl Pair {
    /// What replicas are sent.
    #[must_use]
    pub fn siblings(&self) -> &Siblings {
        self.ours.siblings()
    }

    /// An actor that has not been there before adds some elements and takes some away.
    fn change(&mut self, actor: u64, added: impl IntoIterator<Item = u64>, removed: &[u64]) {
        let (limits, retired) = (Limits::default(), Retirements::default());
        let rules = Rules {
            policy: POLICY,
            truncate_to: None,
            limits: &limits,
            retired: &retired,
        };
        let mut births = Births::new(NodeId(actor), Boot(scattered(actor)));
        self.ours = Record::received(self.siblings().clone());
        let mut update = |action| {
            let (request, now) = (RequestId(1), WallTime::from_secs(1_000_000));
            let update = Update::from(action);
            let updated = self
                .ours
                .update(&update, (None, request), now, &mut births, &rules);
            updated.expect("a small set is under every limit");
        };
        let name = |element: u64| scattered(element).to_be_bytes().to_vec();
        for element in added {
            update(Action::Add(name(element).into()));
            let context = self.peers.read_ctx().derive_add_ctx(actor);
            self.peers.apply(self.peers.add(name(element), context));
        }
        for element in removed {
            update(Action::Remove(name(*element).into()));
            let context = self.peers.contains(&name(*element)).derive_rm_ctx();
            self.peers.apply(self.peers.rm(name(*element), context));
        }
    }
}

/// The elements of ours, sorted.
#[must_use]
pub fn elements(siblings: &Siblings) -> Vec<Vec<u8>> {
    let contents = siblings
        .values()
        .iter()
        .map(|sibling| &sibling.value.content);
    let data = contents.filter_map(|content| match content {
        Content::Data(data) => Some(data.view()),
        _ => None,
    });
    data.flat_map(|view| view.elements().map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect()
}
