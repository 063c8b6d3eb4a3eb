//! What of a membership can be told without placing anything: whether there is a ring of it.

use super::{MAX_LABEL_BYTES, Member, RingConfig, RingError, Strategy};

impl RingConfig {
    /// Whether anything can be placed like this at all.
    pub fn check_all(self) -> Result<(), RingError> {
        self.check()?;
        if self.most_weight() == 0 {
            return Err(RingError::ZeroTokens);
        }
        Ok(())
    }

    /// The most that all members may weigh together.
    pub(crate) fn most_weight(self) -> u64 {
        match self.strategy {
            Strategy::EqualPartitions { .. } => u64::MAX,
            Strategy::RandomTokens { tokens_per_node }
            | Strategy::RandomTokensEqualPartitions {
                tokens_per_node, ..
            } => self
                .most_lists()
                .checked_div(tokens_per_node)
                .map_or(0, u64::from),
        }
    }
}

impl Member {
    /// Whether a ring can have it, beside any others.
    pub(crate) fn check(&self) -> Result<(), RingError> {
        if self.weight == 0 {
            return Err(RingError::ZeroWeight(self.id));
        }
        if self.zone.len().max(self.host.len()) > MAX_LABEL_BYTES {
            return Err(RingError::LabelTooLong(self.id));
        }
        Ok(())
    }
}
