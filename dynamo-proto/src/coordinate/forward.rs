//! A write that arrived elsewhere: to a node on duty for its key, and the answer back.
//!
//! What was not sent may be tried with another node. What may have arrived is tried again only with
//! the same one, which knows the writes that it has minted; two nodes would mint two versions.

use core::time::Duration;

use smallvec::SmallVec;

use super::{NewPut, Origin, Requests, Running, Terms};
use crate::node::{Env, Failure, Notice, Request, Response, Slot};
use crate::wire::Message;
use crate::{Instant, NodeId};

/// A request that another node coordinates.
pub(crate) struct Forward {
    origin: Origin,
    request: Request,
    /// Nodes on duty that have not been asked, the best last.
    others: SmallVec<[NodeId; 4]>,
    to: NodeId,
    /// How often `to` was sent it.
    attempts: u32,
    /// Whether the last of these attempts was lost, and waits to be made again.
    is_lost: bool,
    deadline: Instant,
    patience: Duration,
}

impl Forward {
    /// Sends a write to a node on duty for its key: to the one that answered its client's last read
    /// first, if that is one of them, else by the order of duty. Never to this node.
    pub(crate) fn start(
        put: NewPut,
        (origin, terms, deadline): (Origin, Terms, Instant),
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let list = env.ring.lookup(put.key.token());
        let on_duty = list.primaries(terms.n.into()).map(|member| member.id);
        let mut others: SmallVec<[NodeId; 4]> =
            on_duty.filter(|node| *node != env.config.node).collect();
        others.reverse();
        others.sort_by_key(|node| Some(*node) == put.fastest);
        let Some(to) = others.pop() else {
            return env.answer(origin, Response::Failed(Failure::NoCoordinator));
        };
        let patience = env.config.timing.retry_after;
        let request = put.into_request();
        let forward = Self {
            origin,
            request,
            others,
            to,
            attempts: 0,
            is_lost: false,
            deadline,
            patience,
        };
        let slot = requests.insert(Running::Forward(forward), deadline);
        if let Some(Running::Forward(forward)) = requests.get_mut(slot) {
            forward.send(slot, env);
        }
    }

    fn send(&mut self, slot: Slot, env: &mut Env<'_>) {
        let message = Message::Request {
            ticket: env.mask.ticket(slot),
            patience: self.deadline.since(env.mono()),
            request: Request {
                is_retry: self.request.is_retry || self.attempts > 0,
                ..self.request.clone()
            },
        };
        let notice = if self.attempts > 0 {
            Notice::Retried { to: self.to }
        } else {
            Notice::Forwarded { to: self.to }
        };
        env.notify(notice);
        self.attempts += 1;
        self.is_lost = false;
        env.send(self.to, message);
    }

    /// The coordinator has answered.
    pub(crate) fn answered(
        slot: Slot,
        from: NodeId,
        response: Response,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let Some(Running::Forward(forward)) = requests.get_mut(slot) else {
            return;
        };
        if forward.to != from {
            return;
        }
        // Of several attempts only one has answered; what became of the others it cannot say.
        let is_sole = forward.attempts == 1;
        let response = match response {
            Response::Failed(Failure::NoCoordinator | Failure::Overloaded | Failure::Full)
                if is_sole && forward.pass_on(slot, env) =>
            {
                return;
            }
            Response::Failed(_) if !is_sole => Response::Unknown,
            response => response,
        };
        Self::end(slot, response, requests, env);
    }

    /// An attempt never left.
    pub(crate) fn unsent(slot: Slot, to: NodeId, requests: &mut Requests, env: &mut Env<'_>) {
        let Some(Running::Forward(forward)) = requests.get_mut(slot) else {
            return;
        };
        if forward.to != to {
            return;
        }
        forward.attempts -= 1;
        if forward.attempts > 0 {
            Self::lost(slot, to, requests, env);
        } else if !forward.pass_on(slot, env) {
            let response = Response::Failed(Failure::NoCoordinator);
            Self::end(slot, response, requests, env);
        }
    }

    /// Sends the request to the next on duty, if there is one.
    fn pass_on(&mut self, slot: Slot, env: &mut Env<'_>) -> bool {
        let Some(next) = self.others.pop() else {
            return false;
        };
        self.to = next;
        self.attempts = 0;
        self.send(slot, env);
        true
    }

    /// The connection to a node is gone: what it had from us is asked for again in a while.
    pub(crate) fn lost(slot: Slot, peer: NodeId, requests: &mut Requests, env: &mut Env<'_>) {
        let Some(Running::Forward(forward)) = requests.get_mut(slot) else {
            return;
        };
        if forward.to == peer && !forward.is_lost {
            planted!(RetriedElsewhere => if forward.pass_on(slot, env) {
                return;
            });
            let jitter = env.rng.below(forward.patience.as_nanos() as u64 / 2);
            let wait = forward
                .patience
                .saturating_add(Duration::from_nanos(jitter));
            let wake = forward.deadline.min(env.mono() + wait);
            forward.patience = forward.patience.saturating_mul(2);
            forward.is_lost = true;
            requests.wake(slot, wake);
        }
    }

    /// Time to ask again, or to give up.
    pub(crate) fn wake(slot: Slot, requests: &mut Requests, env: &mut Env<'_>) {
        let Some(Running::Forward(forward)) = requests.get_mut(slot) else {
            return;
        };
        if env.mono() < forward.deadline {
            forward.send(slot, env);
            let deadline = forward.deadline;
            return requests.wake(slot, deadline);
        }
        Self::end(slot, Response::Unknown, requests, env);
    }

    fn end(slot: Slot, response: Response, requests: &mut Requests, env: &mut Env<'_>) {
        if let Some(Running::Forward(forward)) = requests.remove(slot) {
            env.answer(forward.origin, response);
        }
    }
}
