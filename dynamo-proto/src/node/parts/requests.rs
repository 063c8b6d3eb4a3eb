//! A request arrives: whether it is taken, and who does it.

use core::time::Duration;

use super::Parts;
use crate::coordinate::{Forward, Get, List, Look, NewPut, Origin, Put, Terms, is_owner};
use crate::node::{Env, Failure, Notice, Operation, Request, Response};
use crate::{Instant, KeyError};

impl Parts<'_> {
    /// A request arrives, from a client or forwarded. `patience` is how long who forwarded it
    /// waits.
    pub(in crate::node) fn request(
        &mut self,
        origin: Origin,
        request: Request,
        arrived: Instant,
        patience: Option<Duration>,
    ) {
        let Self {
            requests,
            replica,
            looks,
            env,
            ..
        } = self;
        let config = env.config;
        let refuse = |failure, env: &mut Env<'_>| env.answer(origin, Response::Failed(failure));
        if !env.view.is_serving {
            return refuse(Failure::NotServing, env);
        }
        let timeout = request.options.timeout.unwrap_or(config.timing.timeout);
        let timeout = timeout
            .min(patience.unwrap_or(timeout))
            .min(config.timing.longest_timeout);
        let most = planted!(CapacityIgnored ? usize::MAX; config.capacity.requests);
        let is_behind = replica.is_behind(timeout, env);
        // What others can do needs nothing of a store that has too much to do.
        let is_for_others = matches!(origin, Origin::Client { .. })
            && !request.options.only_here
            && matches!(request.operation, Operation::Put { .. })
            && !is_owner(&request.key, env);
        if requests.len() >= most || (is_behind && !is_for_others) {
            env.notify(Notice::Overloaded);
            return refuse(Failure::Overloaded, env);
        }
        if let Err(KeyError::TooLong { part, len, limit }) = request.key.check(&config.limits) {
            return refuse(Failure::KeyTooLong { part, len, limit }, env);
        }
        let terms = match Terms::of(&request.options, env.view.buckets.of(&request.key)) {
            Ok(terms) => terms,
            Err(demand) => return refuse(Failure::Invalid(demand), env),
        };
        let deadline = arrived + timeout;
        if deadline <= env.mono() {
            return refuse(Failure::Expired, env);
        }
        let fate = (origin, terms, deadline);
        match request.operation {
            Operation::Get { head, ref seen } => {
                let past = match seen.is_empty() {
                    true => Ok(None),
                    false => env.seal.open_seen(&request.key, seen).map(Some),
                };
                match past {
                    Ok(seen) => Get::start(request.key, (head, seen), fate, requests, replica, env),
                    Err(error) => refuse(error.into(), env),
                }
                return;
            }
            Operation::Fetch { ring } => {
                let fate = (origin, deadline);
                return Look::start(request.key, ring, fate, requests, replica, env);
            }
            Operation::List(listing) => {
                return List::start(request.key, listing, fate, requests, looks, replica, env);
            }
            Operation::Put { .. } | Operation::Update { .. } => {}
        }
        let Some(put) = NewPut::of(request) else {
            return;
        };
        let is_on_duty = (env.view).is_on_duty(config.node, put.key.token(), terms.n.into());
        match origin {
            Origin::Client { .. } if put.options.only_here => {
                if !is_on_duty {
                    return refuse(Failure::NoCoordinator, env);
                }
                Put::start(put, fate, requests, replica, env);
            }
            // Where the disk is slow others had better do it, if there are any.
            Origin::Client { .. } if is_on_duty && !env.health.is_store_slow(env.now.mono) => {
                Put::start(put, fate, requests, replica, env);
            }
            Origin::Client { .. } if is_behind => {
                Forward::start_once(put, fate, Failure::Overloaded, requests, env);
            }
            Origin::Client { .. } => Forward::start(put, fate, requests, replica, env),
            // Passing it on once is enough. Whoever chose this node knows of nobody better.
            Origin::Peer { .. } if is_on_duty || !is_owner(&put.key, env) => {
                Put::start(put, fate, requests, replica, env);
            }
            Origin::Peer { .. } | Origin::Nobody => refuse(Failure::NoCoordinator, env),
        }
    }
}
