//! Before boots are retired: whether what everybody is asked is so here.

use crate::entropy::Entropy;
use crate::membership::Stage;
use crate::moving::Moving;
use crate::replica::Replica;
use crate::version::{Boot, Height};
use crate::{Instant, NodeId};

use super::Env;
use super::members::Members;

use alloc::vec::Vec;

/// What this node does about retirements.
#[derive(Default)]
pub(crate) struct Retiring {
    /// What it was asked last.
    name: Option<(u64, Stage)>,
    /// When it is looked at again.
    next: Instant,
    renewal: Renewal,
    /// When nothing was minted any more under the boot that this node had before.
    quiet_since: Instant,
    earning: Option<(Height, Earning)>,
}

/// Making sure that all was seen that retired boots wrote.
#[derive(Clone, Copy, Debug)]
enum Earning {
    /// Since then all records are looked through: the store may have lost some.
    Reading(Instant),
    /// Since then they are compared with those of all others that are to have the same.
    Comparing(Instant),
}

/// Giving up the boot under which this node has minted, so that it may be retired.
#[derive(Clone, Copy, Debug, Default)]
enum Renewal {
    #[default]
    None,
    /// Another is asked for in place of that one.
    Asked(Boot),
    /// It came then. What was minted before may still be on its way to the store.
    Drawn(Instant),
    /// All that was is stored: the records are looked through.
    Naming,
}

impl Retiring {
    /// Looks whether what it was asked is so by now, now and then.
    pub(crate) fn tick(
        &mut self,
        members: &mut Members,
        moving: &Moving,
        replica: &mut Replica,
        entropy: &mut Entropy,
        env: &mut Env<'_>,
    ) {
        let now = env.mono();
        let has_lost = entropy.take_loss() | core::mem::take(&mut replica.has_lost);
        if has_lost && env.earned > Height(0) {
            // Something is gone from the store: what is not there may have been.
            members.earn(Height(0));
            env.earned = Height(0);
            self.earning = None;
        }
        let question = members.question();
        let is_new = question.is_some() && self.name != question;
        if now < self.next && !is_new {
            return;
        }
        self.next = now + env.config.timing.gossip_every / 4;
        self.earn(members, replica, entropy, env);
        if is_new {
            self.name = question;
            self.renewal = Renewal::None;
        }
        let Some((_, stage)) = question else {
            return;
        };
        let has_seen_all = env.earned == env.retired.height();
        match stage {
            Stage::Listed => {}
            Stage::Raised if has_seen_all => members.answer(Vec::new(), Vec::new()),
            Stage::Named if has_seen_all => {
                if let Some(named) = self.named(replica, entropy, env) {
                    let living = [env.births.boot()];
                    members.answer(named, planted!(RetiredAlive ? Vec::new(); living.into()));
                }
            }
            Stage::Raised | Stage::Named => {}
            Stage::Home => {
                let is_home = replica.inventory.is_complete
                    && replica.inventory.all().copies == 0
                    && !replica.is_changing_hints();
                // Whoever asks again for what was done under an earlier boot has given up by then.
                let longest = env.config.timing.longest_timeout.saturating_mul(2);
                let is_quiet = now >= self.quiet_since.max(env.began) + longest;
                let is_home = is_home && is_quiet && moving.is_done() && !replica.has_strays;
                if planted!(RetiredUnasked ? true; is_home) {
                    members.answer(Vec::new(), Vec::new());
                }
            }
        }
    }

    /// Makes sure that all was seen that retired boots wrote, where that is not known: the list has
    /// become longer, this node was started, or its store has lost something.
    fn earn(
        &mut self,
        members: &mut Members,
        replica: &Replica,
        entropy: &mut Entropy,
        env: &mut Env<'_>,
    ) {
        let (now, height) = (env.mono(), env.retired.height());
        if !env.view.is_serving || env.earned == height {
            self.earning = None;
            return;
        }
        match self.earning {
            Some((of, Earning::Reading(since))) if of == height => {
                if entropy.has_read_all_since(since) {
                    entropy.hurry_all(now);
                    self.earning = Some((height, Earning::Comparing(now)));
                }
            }
            Some((of, Earning::Comparing(since))) if of == height => {
                let is_common = members.membership().common() == height;
                if is_common && entropy.is_level_since(since) {
                    members.earn(height);
                    env.earned = height;
                    self.earning = None;
                    entropy.forget_all(replica, now);
                }
            }
            _ => {
                entropy.read_all(replica, now);
                self.earning = Some((height, Earning::Reading(now)));
            }
        }
    }

    /// The boots that are named here once nothing is minted any more under the one that this node
    /// had until now.
    fn named(
        &mut self,
        replica: &Replica,
        entropy: &mut Entropy,
        env: &mut Env<'_>,
    ) -> Option<Vec<(NodeId, Boot)>> {
        match self.renewal {
            Renewal::None if planted!(RetiredAlive ? true; env.births.count() == 0) => {
                self.renewal = Renewal::Drawn(env.mono())
            }
            Renewal::None => {
                self.renewal = Renewal::Asked(env.births.boot());
                env.change_name();
            }
            Renewal::Asked(before) if env.births.boot() != before => {
                self.renewal = Renewal::Drawn(env.mono());
            }
            Renewal::Asked(_) => {}
            Renewal::Drawn(at) if !replica.is_writing_since(at) => {
                self.quiet_since = env.mono();
                entropy.name_all(replica, env.mono());
                self.renewal = Renewal::Naming;
            }
            Renewal::Drawn(_) => {}
            Renewal::Naming => return entropy.take_named(),
        }
        None
    }
}
