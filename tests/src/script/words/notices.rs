//! What a node says about itself.

use dynamo_proto::node::Notice;

use super::{Words, count, safe, time};

impl Words {
    pub(in crate::script) fn notice(&self, notice: &Notice) -> String {
        match notice {
            Notice::Forwarded { to } => format!("forwarded to {}", self.letter(*to)),
            Notice::Divergent { versions } => format!("{versions} different answers"),
            Notice::Retried { to } => format!("asks {} again", self.letter(*to)),
            Notice::Repeated => "came before: no second version".into(),
            Notice::Superseded { values } => {
                format!("supersedes {}", count(*values, "value"))
            }
            Notice::Newborn => "newborn actor".into(),
            Notice::TooLong { to, .. } => format!("too long for {}", self.letter(*to)),
            Notice::BegunAnew => "begins anew what is lost".into(),
            Notice::Renewed => "somebody mints under its name".into(),
            Notice::TooWeak { has, asked } => {
                format!("store gives {}, asked for {}", safe(*has), safe(*asked))
            }
            Notice::Damaged => "damaged record".into(),
            Notice::Shared { reads } => format!("{} at once", count(*reads, "read")),
            Notice::Overloaded => "overloaded".into(),
            Notice::Answered { took } => format!("took {}", time(*took)),
            Notice::Suspected { peer } => format!("suspects {}", self.letter(*peer)),
            Notice::Trusted { peer } => format!("trusts {} again", self.letter(*peer)),
            Notice::WasAway => "was not there for a while".into(),
            Notice::Hedged { to } => format!("hedges with {}", self.letter(*to)),
            Notice::Repaired { to } => format!("repairs {}", self.letter(*to)),
            Notice::HintTaken { owner } => format!("holds it for {}", self.letter(*owner)),
            Notice::HintRefused => "holds no more for others".into(),
            Notice::Pulled { .. }
            | Notice::Shed { .. }
            | Notice::Epoch { .. }
            | Notice::Removed
            | Notice::Overtaken
            | Notice::OtherCluster { .. }
            | Notice::OtherEpoch { .. }
            | Notice::HistoryFull => "learns about its cluster".into(),
            Notice::Levelled { with, got, gave } => {
                format!("level with {}: {got} came, {gave} went", self.letter(*with))
            }
            Notice::TreeMended { leaves } => format!("makes {} anew", count(*leaves, "leaf")),
            Notice::HandedOff { to, copies } => {
                format!(
                    "{} brought home to {}",
                    count(*copies, "copy"),
                    self.letter(*to)
                )
            }
        }
    }
}
