//! On what terms a request is done: what it asks for, within what its bucket allows.

use crate::node::{Demand, Options};
use crate::{Bucket, Durability};

/// What a request needs to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How many replicas are concerned.
    pub n: u8,
    /// How many must answer a read.
    pub r: u8,
    /// How many must have a write.
    pub w: u8,
    /// How many of those that answer a read must be primaries.
    pub pr: u8,
    /// How many of those that have a write must be primaries.
    pub pw: u8,
    /// How safely those must have it.
    pub durability: Durability,
    /// Whether a replica that has never heard of the key has answered a read.
    pub absent_counts: bool,
    /// Whether a majority that has never heard of the key ends a read.
    pub majority_absent: bool,
}

impl Terms {
    /// How many must answer a read, primaries among them or not.
    #[must_use]
    pub fn reads(&self) -> u8 {
        self.r.max(self.pr)
    }

    /// What is asked for, within what the bucket allows.
    pub fn of(options: &Options, bucket: &Bucket) -> Result<Self, Demand> {
        let n = options.n.unwrap_or(bucket.n);
        if n == 0 || n > bucket.n {
            return Err(Demand::Replicas {
                asked: n,
                n: bucket.n,
            });
        }
        // What the bucket asks for shrinks with n; what the client asks for must be possible.
        let quorum = |asked: Option<u8>, usual: u8, least: u8| match asked {
            Some(asked) if asked > n => Err(Demand::Quorum { asked, n }),
            Some(asked) => Ok(asked.max(least)),
            None => Ok(usual.min(n).max(least)),
        };
        let durability = options.durability.unwrap_or(bucket.durability);
        if durability < bucket.durability {
            return Err(Demand::Durability);
        }
        Ok(Self {
            n,
            r: quorum(options.r, bucket.r, 1)?,
            w: quorum(options.w, bucket.w, 1)?,
            pr: quorum(options.pr, bucket.pr, 0)?,
            pw: quorum(options.pw, bucket.pw, 0)?,
            durability,
            absent_counts: options.absent_counts.unwrap_or(bucket.absent_counts),
            majority_absent: options.majority_absent.unwrap_or(bucket.majority_absent),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_the_bucket_has_it() {
        let bucket = Bucket {
            n: 5,
            r: 4,
            w: 3,
            pr: 1,
            pw: 2,
            ..Bucket::default()
        };
        let terms = Terms::of(&Options::default(), &bucket).unwrap();
        assert_eq!(
            (terms.n, terms.r, terms.w, terms.pr, terms.pw),
            (5, 4, 3, 1, 2)
        );
        let fewer = Options {
            n: Some(2),
            ..Options::default()
        };
        let terms = Terms::of(&fewer, &bucket).unwrap();
        assert_eq!(
            (terms.n, terms.r, terms.w, terms.pr, terms.pw),
            (2, 2, 2, 1, 2)
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let bucket = Bucket::default();
        let refused = |options| Terms::of(&options, &bucket).unwrap_err();
        for n in [0, 4] {
            let options = Options {
                n: Some(n),
                ..Options::default()
            };
            assert_eq!(refused(options), Demand::Replicas { asked: n, n: 3 });
        }
        for options in [
            Options {
                r: Some(4),
                ..Options::default()
            },
            Options {
                w: Some(4),
                ..Options::default()
            },
            Options {
                pr: Some(4),
                ..Options::default()
            },
            Options {
                pw: Some(4),
                ..Options::default()
            },
        ] {
            assert_eq!(refused(options), Demand::Quorum { asked: 4, n: 3 });
        }
        let options = Options {
            durability: Some(Durability::Memory),
            ..Options::default()
        };
        assert_eq!(refused(options), Demand::Durability);
    }

    #[test]
    fn a_quorum_of_none_still_needs_one_answer() {
        let options = Options {
            r: Some(0),
            w: Some(0),
            ..Options::default()
        };
        let terms = Terms::of(&options, &Bucket::default()).unwrap();
        assert_eq!((terms.r, terms.w), (1, 1));
    }
}
