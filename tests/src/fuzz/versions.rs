//! Versions: any history ends as its causal sets say, and merging is a join.

use arbitrary::{Result, Unstructured};
use dynamo_proto::version::{Policy, Retirements, Siblings};

use super::histories;

/// Long enough for every write that a [`World`](crate::history::World) can tell apart.
const STEPS: usize = 200;

/// A history of one key, each step compared with explicit causal histories, and the laws of
/// merging on the states that it leaves.
///
/// # Panics
///
/// If any of that does not hold.
pub fn versions(bytes: &[u8]) {
    let _ = explore(&mut Unstructured::new(bytes)); // bytes that end early make a short history
}

fn explore(bytes: &mut Unstructured<'_>) -> Result<()> {
    let (mut world, replicas) = histories::world(bytes, STEPS)?;
    let states: Vec<_> = (0..replicas).map(|at| world.siblings(at).clone()).collect();
    check_laws(&states, Policy::Siblings, world.retired());
    for state in &states {
        check_encoding(state);
    }
    world.settle();
    Ok(())
}

/// # Panics
///
/// If merging these states is not idempotent, commutative and associative.
pub fn check_laws(states: &[Siblings], policy: Policy, retired: &Retirements) {
    let merged = |one: &Siblings, other: &Siblings| {
        let mut one = one.clone();
        let merged = one.merge(other.clone(), policy, retired);
        merged.expect("the list reaches all that was retired");
        one
    };
    for a in states {
        assert_eq!(merged(a, a), *a, "merging is idempotent");
        for b in states {
            let ab = merged(a, b);
            assert_eq!(ab, merged(b, a), "merging is commutative");
            assert_eq!(merged(&ab, b), ab, "what is known is no news");
            for c in states {
                let bc = merged(b, c);
                assert_eq!(merged(&ab, c), merged(a, &bc), "merging is associative");
            }
        }
    }
}

/// # Panics
///
/// If the state is not what its bytes decode to.
pub(super) fn check_encoding(state: &Siblings) {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    assert_eq!(bytes.len(), state.encoded_len());
    assert_eq!(Siblings::decode(bytes.into()).as_ref(), Ok(state));
}
