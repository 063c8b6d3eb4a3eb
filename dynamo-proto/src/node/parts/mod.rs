//! What becomes of one event.

mod messages;
mod requests;

use crate::coordinate::{Forward, Get, List, Look, Put, Requests, Running};
use crate::entropy::Entropy;
use crate::handoff::{Arrivals, Batch, Handoff};
use crate::moving::{Moving, Shows};
use crate::replica::{Looks, Outcome, Reader, Replica, Walker};
use crate::store::{Address, Completion, Space};
use crate::version::Boot;
use crate::wire::Fetched;
use crate::{Instant, NodeId};

use super::{Env, Notice, Op, Slot, members::Members, retiring::Retiring};

/// The node while it handles one event.
pub(super) struct Parts<'a> {
    pub(super) requests: &'a mut Requests,
    pub(super) replica: &'a mut Replica,
    pub(super) handoff: &'a mut Handoff,
    pub(super) arrivals: &'a mut Arrivals,
    pub(super) moving: &'a mut Moving,
    pub(super) shows: &'a mut Shows,
    pub(super) entropy: &'a mut Entropy,
    pub(super) looks: &'a mut Looks,
    pub(super) retiring: &'a mut Retiring,
    pub(super) members: &'a mut Members,
    pub(super) env: Env<'a>,
}

impl Parts<'_> {
    /// What comes first: of all, and after a pause.
    pub(super) fn wake_up(&mut self, last: Option<Instant>, due: Option<Instant>) {
        let (now, patience) = (self.env.mono(), self.env.config.timing.retry_after);
        match (last, due) {
            (None, _) => self.replica.count(&mut self.env),
            // Should have been woken long ago: it was this node that was not there.
            (Some(_), Some(due)) if now.since(due) >= patience => {
                self.env.health.was_away(now);
                self.env.notify(Notice::WasAway);
            }
            _ => {}
        }
    }

    /// Running writes go by other rings from now on.
    pub(super) fn ring_changed(&mut self) {
        let Self {
            requests,
            replica,
            env,
            ..
        } = self;
        for slot in requests.all() {
            Put::ring_changed(slot, requests, replica, env);
        }
    }

    fn fetched(&mut self, slot: Slot, from: NodeId, outcome: Fetched) {
        let Self {
            requests,
            replica,
            env,
            ..
        } = self;
        match requests.get_mut(slot) {
            Some(Running::Get(_)) => Get::vote(slot, from, outcome, requests, replica, env),
            Some(Running::Put(_)) => Put::vote(slot, from, outcome, requests, replica, env),
            Some(Running::Look(_)) => Look::found(slot, outcome, requests, env),
            Some(Running::Forward(_) | Running::List(_)) | None => {}
        }
    }

    pub(super) fn peer_lost(&mut self, peer: NodeId) {
        let Self {
            requests,
            replica,
            env,
            ..
        } = self;
        env.unreachable(peer);
        for slot in requests.all() {
            Forward::lost(slot, peer, requests, replica, env);
        }
    }

    pub(super) fn damaged(&mut self, space: Space, at: Address) {
        let Self {
            requests,
            replica,
            env,
            ..
        } = self;
        Get::mend(space, at, requests, replica, env);
    }

    /// The node has a name again, and makes the versions that waited for it.
    pub(super) fn drawn(&mut self, boot: Boot) {
        let Self {
            requests,
            replica,
            members,
            env,
            ..
        } = self;
        env.births.renew(boot);
        members.mints_under(boot);
        *env.is_nameless = false;
        for slot in requests.all() {
            Put::named(slot, requests, replica, env);
        }
    }

    pub(super) fn stored(&mut self, op: Op, completion: Completion) {
        let Self {
            requests,
            replica,
            handoff,
            arrivals,
            moving,
            shows,
            entropy,
            looks,
            retiring: _,
            members,
            env,
        } = self;
        let slot = env.mask.slot(op.0);
        let outcome = replica.stored(slot, completion, requests, env);
        arrivals.settle(replica, env);
        let mut kept = core::mem::take(&mut replica.kept);
        for slot in kept.drain(..) {
            Put::settle(slot, requests, replica, env);
        }
        replica.kept = kept;
        match outcome {
            Some(Outcome::Saved(is_safe)) => {
                let patience = env.config.timing.retry_after;
                members.saved(is_safe, env.now.mono, patience);
            }
            Some(Outcome::Walked(walker, slot, page)) => match walker {
                Walker::Handoff => handoff.walked(slot, page, replica, arrivals, env),
                Walker::Moving => moving.listed(slot, page, replica, env),
                Walker::Showing => shows.listed(slot, page, replica, env),
                Walker::Audit => entropy.audited(page, replica, env),
                Walker::Exchange => entropy.listed(slot, page, replica, env),
                Walker::Answer => entropy.answer(slot, page, replica, env),
                Walker::Listing => {
                    if let Some((slot, question, listed)) = looks.found(slot, page, env) {
                        let me = env.me();
                        List::answered(slot, me, question, listed, requests, env);
                    }
                }
            },
            Some(Outcome::Read(Reader::Request(slot), fetched)) => {
                let me = env.me();
                self.fetched(slot, me, fetched);
            }
            Some(Outcome::Read(Reader::Spread(slot), fetched)) => {
                Put::tell_again(slot, &fetched, requests, env);
            }
            Some(Outcome::Read(Reader::Keep(slot), fetched)) => {
                let siblings = match fetched {
                    Fetched::Found(siblings) => siblings,
                    Fetched::Absent | Fetched::Damaged | Fetched::Failed => Default::default(),
                };
                Put::keep(slot, &siblings, requests, replica, env);
            }
            Some(Outcome::Read(Reader::Held { .. } | Reader::Peer { .. }, _)) | None => {}
        }
    }

    /// Looks at every request whose time has come.
    pub(super) fn tick(&mut self) {
        let Self {
            requests,
            replica,
            handoff,
            arrivals,
            moving,
            entropy,
            shows,
            looks,
            retiring,
            members,
            env,
        } = self;
        while let Some(slot) = requests.pop_due(env.mono()) {
            match requests.get_mut(slot) {
                Some(Running::Get(_)) => Get::wake(slot, requests, replica, env),
                Some(Running::Put(_)) => Put::wake(slot, requests, replica, env),
                Some(Running::Forward(_)) => Forward::wake(slot, requests, env),
                Some(Running::List(_)) => List::wake(slot, requests, looks, replica, env),
                Some(Running::Look(_)) => Look::wake(slot, requests, env),
                None => {}
            }
        }
        while let Some((batch, taken)) = arrivals.pop_done() {
            match batch {
                Batch::Levelled(slot) => {
                    entropy.kept(slot, taken != 0, replica, env);
                }
                Batch::Moved(slot) => moving.kept(slot, taken != 0, replica, arrivals, env),
                Batch::Home(ticket) => {
                    let fate = (taken, u32::MAX);
                    let slot = env.mask.slot(ticket.0);
                    handoff.handed_off(slot, env.me(), fate, replica, env);
                }
                Batch::Peer { .. } => {}
            }
        }
        let changed = members.is_other().then(|| members.membership());
        if let Some(epoch) = moving.tick(changed, replica, env) {
            members.moved(epoch);
        }
        shows.tick(replica, env);
        handoff.tick(replica, env);
        let epoch = members.membership().epoch();
        retiring.tick(members, moving, replica, entropy, env);
        entropy.tick(epoch, replica, env);
        let (me, mask, now) = (env.me(), env.mask.0, env.mono());
        env.health.probe(me, mask, now, env.rng, env.effects);
    }
}
