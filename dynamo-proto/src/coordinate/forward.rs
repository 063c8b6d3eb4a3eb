//! A write that arrived elsewhere: to a node that can coordinate it, and the answer back.
//!
//! The nodes on duty for its key come first, among them those on this host, which may be in this very
//! process; where none is reached, whoever stands in for them. What was not sent may be tried with another node. What may have arrived is tried again only with the
//! same one, which knows the writes that it has minted; two nodes would mint two versions.

use core::time::Duration;

use smallvec::SmallVec;

use super::duty::{is_owner, stand_in};
use super::{NewPut, Origin, Put, Requests, Running, Terms};
use crate::node::{Env, Failure, Notice, Options, Request, Response, Slot};
use crate::replica::Replica;
use crate::wire::Message;
use crate::{Instant, NodeId};

/// A request that another node coordinates.
pub(crate) struct Forward {
    origin: Origin,
    request: Request,
    terms: Terms,
    /// Nodes that have not been asked, the best last.
    others: Others,
    to: NodeId,
    /// How often `to` was sent it.
    attempts: u32,
    /// When it was last sent.
    sent: Instant,
    /// Whether the connection that it was sent on is gone.
    is_lost: bool,
    /// What the last of those who could not do it said.
    failure: Failure,
    deadline: Instant,
    patience: Duration,
}

type Others = SmallVec<[NodeId; 8]>;

/// So many of those who can stand in are tried.
const STAND_INS: usize = 3;

impl Forward {
    /// Has a write coordinated by a node on duty for its key: by the one that answered its client's
    /// last read first, if that is one of them, else by one on this host, else by the order of duty. By this node if no other
    /// is reached.
    pub(crate) fn start(
        put: NewPut,
        fate: (Origin, Terms, Instant),
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let mut others = candidates(&put, &fate.1, env);
        let is_slow = is_owner(&put.key, env);
        let me = env.me();
        if is_slow {
            // After all others that are reached, before those that are not.
            let away = |node: &NodeId| !env.health.is_trusted(*node);
            let at = others.iter().filter(|node| away(node)).count();
            others.insert(at, me);
        }
        if others.last() == Some(&me) {
            return Put::start(put, fate, requests, replica, env);
        }
        Self::send_off(put, fate, others, Failure::NoCoordinator, requests, env);
    }

    /// Has a write coordinated by the one other node that can do it best, if that is reached; for the
    /// reason given nothing more is tried. Where all have too much to do, no request may become many.
    pub(crate) fn start_once(
        put: NewPut,
        fate: (Origin, Terms, Instant),
        failure: Failure,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let best = candidates(&put, &fate.1, env).pop();
        let is_reached = |node: &NodeId| *node != env.config.node && env.health.is_trusted(*node);
        let others = best.filter(is_reached).into_iter().collect();
        Self::send_off(put, fate, others, failure, requests, env);
    }

    /// Has a write coordinated that this node cannot do, for the reason given.
    pub(crate) fn start_elsewhere(
        put: NewPut,
        fate: (Origin, Terms, Instant),
        failure: Failure,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let mut others = candidates(&put, &fate.1, env);
        others.retain(|node| *node != env.config.node);
        Self::send_off(put, fate, others, failure, requests, env);
    }

    fn send_off(
        put: NewPut,
        (origin, terms, deadline): (Origin, Terms, Instant),
        mut others: Others,
        failure: Failure,
        requests: &mut Requests,
        env: &mut Env<'_>,
    ) {
        let Some(to) = others.pop() else {
            return env.answer(origin, Response::Failed(failure));
        };
        let forward = Self {
            origin,
            request: put.into_request(),
            terms,
            others,
            to,
            attempts: 0,
            sent: env.mono(),
            is_lost: false,
            failure,
            deadline,
            patience: env.config.timing.retry_after,
        };
        let wake = deadline.min(env.mono() + forward.patience);
        let slot = requests.insert(Running::Forward(forward), wake);
        if let Some(Running::Forward(forward)) = requests.get_mut(slot) {
            forward.send(slot, env);
        }
    }

    fn send(&mut self, slot: Slot, env: &mut Env<'_>) {
        let message = Message::Request {
            ticket: env.mask.ticket(slot),
            epoch: env.view.epoch,
            patience: self.deadline.since(env.mono()),
            request: Request {
                is_retry: self.request.is_retry || self.attempts > 0,
                options: Options {
                    // What the client asks for again may have been done anywhere.
                    only_here: !self.request.is_retry,
                    ..self.request.options
                },
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
        self.sent = env.mono();
        self.is_lost = false;
        env.send(self.to, message);
    }

    /// The coordinator has answered.
    pub(crate) fn answered(
        slot: Slot,
        from: NodeId,
        response: Response,
        requests: &mut Requests,
        replica: &mut Replica,
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
        match response {
            Response::Failed(
                failure @ (Failure::NoCoordinator
                | Failure::Overloaded
                | Failure::Full
                | Failure::HintsFull),
            ) if is_sole => {
                forward.failure = failure;
                Self::pass_on(slot, requests, replica, env);
            }
            Response::Failed(_) if !is_sole => Self::end(slot, Response::Unknown, requests, env),
            response => Self::end(slot, response, requests, env),
        }
    }

    /// An attempt never left.
    pub(crate) fn unsent(
        slot: Slot,
        to: NodeId,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(Running::Forward(forward)) = requests.get_mut(slot) else {
            return;
        };
        if forward.to != to {
            return;
        }
        forward.attempts -= 1;
        if forward.attempts > 0 {
            Self::lost(slot, to, requests, replica, env);
        } else {
            Self::pass_on(slot, requests, replica, env);
        }
    }

    /// Sends the request to the next that can do it, or does it here if that is this node; without
    /// any it has failed.
    fn pass_on(slot: Slot, requests: &mut Requests, replica: &mut Replica, env: &mut Env<'_>) {
        let Some(Running::Forward(forward)) = requests.get_mut(slot) else {
            return;
        };
        match forward.others.pop() {
            Some(next) if next == env.me() => {
                if let Some(Running::Forward(forward)) = requests.remove(slot)
                    && let Some(put) = NewPut::of(forward.request)
                {
                    let fate = (forward.origin, forward.terms, forward.deadline);
                    Put::start(put, fate, requests, replica, env);
                }
            }
            Some(next) => {
                forward.to = next;
                forward.attempts = 0;
                forward.send(slot, env);
            }
            None => {
                let response = Response::Failed(forward.failure);
                Self::end(slot, response, requests, env);
            }
        }
    }

    /// The connection to a node is gone: what it had from us is asked for again in a while.
    pub(crate) fn lost(
        slot: Slot,
        peer: NodeId,
        requests: &mut Requests,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(Running::Forward(forward)) = requests.get_mut(slot) else {
            return;
        };
        if forward.to == peer && !forward.is_lost {
            planted!(RetriedElsewhere => if !forward.others.is_empty() {
                return Self::pass_on(slot, requests, replica, env);
            });
            #[cfg(not(planted))]
            let _ = replica;
            forward.is_lost = true;
            let jitter = env.rng.below(forward.patience.as_nanos() as u64 / 2);
            let wait = forward
                .patience
                .saturating_add(Duration::from_nanos(jitter));
            let wake = forward.deadline.min(env.mono() + wait);
            forward.patience = forward.patience.saturating_mul(2);
            requests.wake(slot, wake);
        }
    }

    /// Time to wonder, to ask again, or to give up. What was sent on a connection that holds is not
    /// sent again: the answer may just be slow.
    pub(crate) fn wake(slot: Slot, requests: &mut Requests, env: &mut Env<'_>) {
        let Some(Running::Forward(forward)) = requests.get_mut(slot) else {
            return;
        };
        if env.mono() >= forward.deadline {
            return Self::end(slot, Response::Unknown, requests, env);
        }
        if forward.is_lost {
            forward.send(slot, env);
        } else {
            env.missed(forward.to, forward.sent);
        }
        forward.patience = forward.patience.saturating_mul(2);
        let wake = forward.deadline.min(env.mono() + forward.patience);
        requests.wake(slot, wake);
    }

    fn end(slot: Slot, response: Response, requests: &mut Requests, env: &mut Env<'_>) {
        if let Some(Running::Forward(forward)) = requests.remove(slot) {
            env.answer(forward.origin, response);
        }
    }
}

/// Who can coordinate a write, the best last: nodes on duty that are reached, then those who can
/// stand in, then the others on duty. This node is among them only as one that stands in.
fn candidates(put: &NewPut, terms: &Terms, env: &Env<'_>) -> Others {
    let me = env.me();
    let list = env.view.ring.lookup(put.key.token());
    let on_duty = || {
        let primaries = list.primaries(terms.n.into()).map(|member| member.id);
        primaries.filter(|node| *node != me)
    };
    let mut best_first: Others = on_duty()
        .filter(|node| env.health.is_trusted(*node))
        .collect();
    let here = env.view.ring.host(me);
    best_first.sort_by_key(|node| {
        let is_near = here.is_some() && env.view.ring.host(*node) == here;
        (Some(*node) != put.fastest, !is_near)
    });
    for _ in 0..STAND_INS {
        let Some(node) = stand_in(&put.key, None, |node| best_first.contains(&node), env) else {
            break;
        };
        best_first.push(node);
    }
    best_first.extend(on_duty().filter(|node| !env.health.is_trusted(*node)));
    best_first.reverse();
    best_first
}
