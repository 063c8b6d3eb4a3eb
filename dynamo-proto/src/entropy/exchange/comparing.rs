//! Which parts of the trees of two nodes differ: asked by one, answered by the other.

use alloc::vec::Vec;

use super::Entropy;
use super::job::{Job, State};
use crate::NodeId;
use crate::entropy::answers::{self, bits, is_set};
use crate::entropy::shape::Shape;
use crate::node::{Env, Slot};
use crate::replica::Replica;
use crate::wire::Exchange;

impl Entropy {
    /// Something about an exchange came.
    pub(crate) fn heard(
        &mut self,
        from: NodeId,
        exchange: Exchange,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let shape = replica.trees.shape().filter(|_| self.audit.is_ready());
        let is_alike = |leaves| shape.filter(|shape| shape.leaves() == leaves);
        match exchange {
            Exchange::Roots {
                ticket,
                leaves,
                n,
                parts,
            } => {
                let differs = is_alike(leaves).and_then(|shape| {
                    let sums: Option<Vec<_>> = (parts.iter())
                        .map(|(twigs, _)| replica.trees.sum(n, twigs.clone()))
                        .collect();
                    let pairs = sums?.into_iter().zip(&parts);
                    let differs = pairs.map(|(ours, (twigs, theirs))| {
                        if ours.digests == *theirs {
                            self.topics
                                .agreed_by(from, n, twigs, shape, &mut self.rng, env);
                        }
                        ours.digests != *theirs
                    });
                    Some(bits(differs))
                });
                answers::tell((from, ticket), differs, env);
            }
            Exchange::Leaves {
                ticket,
                leaves,
                n,
                twig,
                digests,
            } => match is_alike(leaves) {
                Some(shape) => {
                    let theirs = (n, twig, digests);
                    self.answers
                        .ask((from, ticket), theirs, shape, replica, env);
                }
                None => answers::tell((from, ticket), None, env),
            },
            Exchange::Unequal {
                ticket,
                is_sure,
                differs,
            } => {
                if let Some(slot) = env.mask.exchange(ticket) {
                    let differs = is_sure.then_some(differs);
                    self.told(slot, from, differs, replica, env);
                }
            }
            Exchange::Doubt { leaves, numbers } => {
                let known = is_alike(leaves).map_or(0, Shape::leaves);
                for leaf in numbers.into_iter().filter(|leaf| *leaf < known) {
                    replica.trees.suspect(leaf);
                }
            }
        }
    }

    /// What differs.
    fn told(
        &mut self,
        slot: Slot,
        from: NodeId,
        differs: Option<Vec<u64>>,
        replica: &mut Replica,
        env: &mut Env<'_>,
    ) {
        let Some(shape) = replica.trees.shape() else {
            return;
        };
        let is_it = |job: &Job| {
            job.peer == from && matches!(job.state, State::Roots(..) | State::Leaves(..))
        };
        let Some(job) = self.jobs.answered(slot, is_it) else {
            return;
        };
        let Some(differs) = differs else {
            return self.give_up(slot, env);
        };
        match core::mem::replace(&mut job.state, State::Idle) {
            State::Roots(_, asked) => {
                let all = asked.into_iter().enumerate();
                job.cut(all.filter_map(|(at, part)| is_set(&differs, at).then_some(part)));
            }
            State::Leaves(_, leaves) => {
                let all = leaves.enumerate();
                let differing = all.filter_map(|(at, leaf)| is_set(&differs, at).then_some(leaf));
                job.differ(differing, shape);
            }
            _ => {}
        }
        self.go_on(slot, replica, env);
    }
}
