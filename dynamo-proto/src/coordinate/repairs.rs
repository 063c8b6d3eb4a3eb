//! Which keys were repaired of late, so that a hot key is not repaired with every read.

use alloc::collections::VecDeque;
use core::hash::BuildHasherDefault;
use core::time::Duration;

use hashbrown::HashMap;

use crate::hash::TokenHasher;
use crate::{Instant, Token};

/// Repairs that have just been sent.
#[derive(Default)]
pub(crate) struct Repairs {
    recent: HashMap<u128, (), BuildHasherDefault<TokenHasher>>,
    /// The same, the oldest first.
    sent: VecDeque<(Instant, Token)>,
}

impl Repairs {
    /// Whether that key may be repaired now: not if it was within that time, nor if `most` others
    /// were.
    pub(crate) fn begin(
        &mut self,
        token: Token,
        now: Instant,
        within: Duration,
        most: usize,
    ) -> bool {
        while let Some((at, token)) = self.sent.front().copied()
            && at + within <= now
        {
            self.sent.pop_front();
            self.recent.remove(&token.0);
        }
        if self.sent.len() >= most || self.recent.contains_key(&token.0) {
            return false;
        }
        self.recent.insert(token.0, ());
        self.sent.push_back((now, token));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_repaired_once_in_a_while_and_only_so_many_are() {
        let mut repairs = Repairs::default();
        let mut begin = |token, ms: u64| {
            let now = Instant::from_nanos(ms * 1_000_000);
            repairs.begin(Token(token), now, Duration::from_millis(500), 2)
        };
        assert!(begin(1, 0));
        assert!(!begin(1, 499), "the same key");
        assert!(begin(2, 100));
        assert!(!begin(3, 200), "too many");
        assert!(begin(1, 500));
        assert!(!begin(3, 599));
        assert!(begin(3, 600));
    }
}
