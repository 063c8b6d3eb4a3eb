//! Before boots are retired: whether what everybody is asked is so here.

use crate::entropy::Entropy;
use crate::membership::Stage;
use crate::moving::Moving;
use crate::replica::Replica;
use crate::version::Boot;
use crate::{Instant, NodeId};

use super::Env;
use super::members::Members;

use alloc::vec::Vec;

/// What this node does about the question that it is asked.
#[derive(Default)]
pub(crate) struct Retiring {
    /// Which one.
    name: Option<(u64, Stage)>,
    /// Since when.
    since: Instant,
    /// When it is looked at again.
    next: Instant,
    renewal: Renewal,
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
    /// Looks whether it is so by now, now and then.
    pub(crate) fn tick(
        &mut self,
        members: &mut Members,
        moving: &Moving,
        replica: &mut Replica,
        entropy: &mut Entropy,
        env: &mut Env<'_>,
    ) {
        let Some(name) = members.question() else {
            return;
        };
        let now = env.mono();
        if self.name == Some(name) && now < self.next {
            return;
        }
        self.next = now + env.config.timing.gossip_every / 4;
        let (_, stage) = name;
        let has_seen_all = env.earned == env.retired.height();
        let is_new = self.name.replace(name) != Some(name);
        if is_new {
            self.since = now;
            self.renewal = Renewal::None;
            match stage {
                Stage::Raised if has_seen_all => {}
                Stage::Raised => entropy.hurry_all(now),
                Stage::Listed | Stage::Named | Stage::Home => {}
            }
        }
        match stage {
            Stage::Listed => {}
            Stage::Raised => {
                let is_level = !has_seen_all && entropy.is_level_since(self.since);
                if is_level {
                    members.earn();
                    entropy.forget_all(replica);
                }
                if has_seen_all || is_level {
                    members.answer(Vec::new(), Vec::new());
                }
            }
            Stage::Named if has_seen_all => {
                if let Some(named) = self.named(replica, entropy, env) {
                    let living = [env.births.boot()];
                    members.answer(named, planted!(RetiredAlive ? Vec::new(); living.into()));
                }
            }
            Stage::Named => {}
            Stage::Home => {
                let is_home = replica.inventory.is_complete
                    && replica.inventory.all().copies == 0
                    && !replica.is_changing_hints();
                let is_home = is_home && moving.is_done() && !replica.has_strays;
                if planted!(RetiredUnasked ? true; is_home) {
                    members.answer(Vec::new(), Vec::new());
                }
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
                entropy.name_all(replica);
                self.renewal = Renewal::Naming;
            }
            Renewal::Drawn(_) => {}
            Renewal::Naming => return entropy.take_named(),
        }
        None
    }
}
