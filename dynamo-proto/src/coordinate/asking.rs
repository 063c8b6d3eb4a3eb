//! Asking replicas what they have: as few as are needed, the fastest first.

use core::time::Duration;

use smallvec::SmallVec;

use super::duty::{Seat, is_owner, seats_to_read, stand_in};
use super::{Terms, Votes};
use crate::node::{Env, Notice, Slot};
use crate::replica::{Reader, Replica};
use crate::wire::Message;
use crate::{Instant, Key};

/// The replicas of a key in the order in which a read asks them: those that answer fastest first,
/// those that are away last.
pub(super) fn candidates(key: &Key, terms: &Terms, env: &Env<'_>) -> Votes {
    let mut seats = seats_to_read(key, terms.n, env);
    let now = env.mono();
    seats.sort_by_key(|seat| {
        let is_away = !env.health.is_trusted(seat.node);
        let rank = env.health.rank(seat.node, now);
        let is_far = seat.node != env.me();
        (is_away, seat.held_for.is_some(), is_far, rank)
    });
    let mut votes = Votes::of(seats.iter().copied());
    let away = seats.iter().filter_map(|seat| seat.held_for);
    for owner in away.filter(|owner| env.view.is_present(*owner)) {
        votes.add(Seat {
            node: owner,
            held_for: None,
        });
    }
    votes
}

/// Asks one replica, which may be this node.
pub(super) fn one(slot: Slot, seat: Seat, key: &Key, replica: &mut Replica, env: &mut Env<'_>) {
    let Seat { node, held_for } = seat;
    if node == env.me() {
        let is_hint = held_for.is_some() && !is_owner(key, env);
        return replica.fetch(key, is_hint, Reader::Request(slot), env);
    }
    let message = Message::Fetch {
        ticket: env.mask.ticket(slot),
        epoch: env.view.epoch,
        held_for,
        key: key.clone(),
    };
    env.send(node, message);
}

/// Asks more replicas until enough are asked. Returns when the slowest of them will be late, if
/// that is known.
pub(super) fn as_many_as_needed(
    slot: Slot,
    votes: &mut Votes,
    terms: &Terms,
    key: &Key,
    replica: &mut Replica,
    env: &mut Env<'_>,
) -> Option<Duration> {
    let mut slowest = Some(Duration::ZERO);
    while votes.lacking(terms) > 0 {
        let Some(seat) = votes.ask_next() else {
            break;
        };
        let late = env.health.late_after(seat.node);
        slowest = slowest.zip(late).map(|(one, other)| one.max(other));
        one(slot, seat, key, replica, env);
    }
    slowest.filter(|late| !late.is_zero())
}

/// Asks all there are, those who are silent since they were asked once more, and whoever stands in
/// for them.
pub(super) fn all(
    slot: Slot,
    votes: &mut Votes,
    asked: Instant,
    key: &Key,
    replica: &mut Replica,
    env: &mut Env<'_>,
) {
    let silent: SmallVec<[Seat; 4]> = votes.outstanding().collect();
    for seat in silent {
        if seat.node == env.me() {
            continue; // the store answers in the end
        }
        env.missed(seat.node, asked);
        let owner = seat.owner();
        if !votes.has_stand_in(owner)
            && let Some(node) = stand_in(key, Some(owner), |node| votes.names(node), env)
        {
            votes.add(Seat {
                node,
                held_for: Some(owner),
            });
        }
        env.notify(Notice::Retried { to: seat.node });
        one(slot, seat, key, replica, env);
    }
    while let Some(seat) = votes.ask_next() {
        one(slot, seat, key, replica, env);
    }
}
