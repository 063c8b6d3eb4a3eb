//! What this node has of a key by itself, for a client that coordinates its own read.

use super::duty::is_owner;
use super::{Origin, Requests, Running};
use crate::node::{Env, Failure, Kept, Response, Slot};
use crate::replica::{Reader, Replica};
use crate::wire::Fetched;
use crate::{Instant, Key};

/// Such a look, until the store has answered.
pub(crate) struct Look {
    origin: Origin,
    key: Key,
}

impl Look {
    /// Only those who read by the same ring may count each other's answers: what was acknowledged by
    /// another is with others.
    pub(crate) fn start(
        key: Key,
        ring: u64,
        (origin, deadline): (Origin, Instant),
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        if env.view.fingerprint != ring || !is_owner(&key, env) {
            return env.answer(origin, Response::Failed(Failure::OtherRing));
        }
        let look = Self {
            origin,
            key: key.clone(),
        };
        let slot = requests.insert(Running::Look(look), deadline);
        replica.fetch(&key, false, Reader::Request(slot), env);
    }

    /// The store has answered.
    pub(crate) fn found(slot: Slot, outcome: Fetched, requests: &mut Requests, env: &mut Env<'_>) {
        let Some(Running::Look(look)) = requests.remove(slot) else {
            return;
        };
        let sealed = match &outcome {
            Fetched::Found(siblings) => Some(env.seal.close(&look.key, &siblings.past())),
            Fetched::Absent | Fetched::Damaged | Fetched::Failed => None,
        };
        let kept = Kept { outcome, sealed };
        env.answer(look.origin, Response::Fetched(kept));
    }

    /// It has not, and the client does not wait any longer.
    pub(crate) fn wake(slot: Slot, requests: &mut Requests, env: &mut Env<'_>) {
        if let Some(Running::Look(look)) = requests.remove(slot) {
            let failure = Failure::TooFew { need: 1, got: 0 };
            env.answer(look.origin, Response::Failed(failure));
        }
    }
}
