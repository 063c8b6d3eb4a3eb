//! Commands for a cluster, as JSON and as words.

use std::time::Duration;

use dynamo_proto::version::{DataType, Policy};
use dynamo_proto::{Bucket, Durability};
use serde::{Deserialize, Serialize};

/// How far a stamp may run ahead before a write is refused, where the last write wins.
const MAX_SKEW: Duration = Duration::from_secs(60);

/// Something that an administrator wants to know, or wants done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do", deny_unknown_fields)]
pub enum Command {
    /// What this node knows of its cluster.
    Status,
    /// What would come of what is staged.
    Plan,
    /// Forgets what is staged.
    Unstage,
    /// Does what the last plan showed.
    Commit {
        /// Even if fewer hosts are left than a key has replicas.
        #[serde(default)]
        anyway: bool,
    },
    /// A newcomer becomes a member, or all of them do.
    Join {
        /// Which one, if not all.
        #[serde(default)]
        node: Option<String>,
    },
    /// A member gives away what it holds.
    Leave {
        /// Which one.
        node: String,
    },
    /// A node is no part of the cluster any more, whatever it holds.
    Remove {
        /// Which one.
        node: String,
    },
    /// A newcomer takes a dead node's place.
    Replace {
        /// Which one is gone for good.
        dead: String,
        /// Who comes instead.
        by: String,
    },
    /// A member is to hold another share.
    Weight {
        /// Which one.
        node: String,
        /// Compared to the others.
        weight: u32,
    },
    /// A member stands elsewhere.
    Zone {
        /// Which one.
        node: String,
        /// What fails together at large.
        #[serde(default)]
        zone: Option<String>,
        /// The machine.
        #[serde(default)]
        host: Option<String>,
    },
    /// How the buckets of a type are kept, or one of them.
    Bucket {
        /// The type.
        bucket_type: String,
        /// Which of its buckets, if not all.
        #[serde(default)]
        bucket: Option<String>,
        /// What is to be another way.
        #[serde(default)]
        properties: Properties,
    },
    /// What fronts note of a bucket for themselves, or of all of a type; done at once, whatever is
    /// staged.
    Note {
        /// The type.
        bucket_type: Vec<u8>,
        /// Which of its buckets, if not all.
        #[serde(default)]
        bucket: Option<Vec<u8>>,
        /// All that is noted from now on.
        notes: Vec<u8>,
    },
    /// Where a key lives, and why.
    Where {
        /// Its bucket's type.
        bucket_type: String,
        /// Its bucket.
        bucket: String,
        /// The key.
        key: String,
    },
}

/// What a bucket may be kept like; what is not said stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Properties {
    /// How many replicas a key has. Chosen once.
    pub n: Option<u8>,
    /// How many must answer a read.
    pub r: Option<u8>,
    /// How many must have a write.
    pub w: Option<u8>,
    /// How many of those that answer a read must be primaries.
    pub pr: Option<u8>,
    /// How many of those that have a write must be primaries.
    pub pw: Option<u8>,
    /// What becomes of concurrent writes: siblings, last-write-wins or a data type. Chosen once.
    pub conflicts: Option<String>,
    /// How safe a replica must have a write: memory, written or flushed.
    pub durability: Option<String>,
}

impl Command {
    /// The command that these words are: `JOIN 3fa9`, `WEIGHT 3fa9 2`. Buckets are changed by JSON.
    pub(crate) fn of_words(words: &[&str]) -> Option<Self> {
        let node = |word: &&str| (*word).to_owned();
        let (verb, rest) = words.split_first()?;
        Some(match (verb.to_ascii_lowercase().as_str(), rest) {
            ("status", []) => Self::Status,
            ("plan", []) => Self::Plan,
            ("unstage", []) => Self::Unstage,
            ("commit", []) => Self::Commit { anyway: false },
            ("commit", [word]) if word.eq_ignore_ascii_case("anyway") => {
                Self::Commit { anyway: true }
            }
            ("join", []) => Self::Join { node: None },
            ("join", [name]) => Self::Join {
                node: Some(node(name)),
            },
            ("leave", [name]) => Self::Leave { node: node(name) },
            ("remove", [name]) => Self::Remove { node: node(name) },
            ("replace", [dead, by]) => Self::Replace {
                dead: node(dead),
                by: node(by),
            },
            ("weight", [name, weight]) => Self::Weight {
                node: node(name),
                weight: weight.parse().ok()?,
            },
            ("zone", [name, zone]) => Self::Zone {
                node: node(name),
                zone: Some(node(zone)),
                host: None,
            },
            (json, []) if json.starts_with('{') => serde_json::from_str(verb).ok()?,
            _ => return None,
        })
    }
}

impl Properties {
    /// What a bucket that is kept like this becomes.
    pub(super) fn over(&self, kept: &Bucket) -> Result<Bucket, String> {
        let policy = match self.conflicts.as_deref() {
            None => kept.policy,
            Some("siblings") => Policy::Siblings,
            Some("last-write-wins") => match kept.policy {
                policy @ Policy::LastWriteWins { .. } => policy,
                _ => Policy::LastWriteWins { max_skew: MAX_SKEW },
            },
            Some(name) => {
                let kind = DataType::ALL.into_iter().find(|kind| kind.name() == name);
                Policy::Data(kind.ok_or_else(|| format!("no bucket is kept as {name}"))?)
            }
        };
        let durability = match self.durability.as_deref() {
            None => kept.durability,
            Some("memory") => Durability::Memory,
            Some("written") => Durability::Written,
            Some("flushed") => Durability::Flushed,
            Some(name) => return Err(format!("{name}: memory, written or flushed")),
        };
        Ok(Bucket {
            n: self.n.unwrap_or(kept.n),
            r: self.r.unwrap_or(kept.r),
            w: self.w.unwrap_or(kept.w),
            pr: self.pr.unwrap_or(kept.pr),
            pw: self.pw.unwrap_or(kept.pw),
            policy,
            durability,
            ..kept.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_json_say_the_same() {
        for (words, json) in [
            (&["STATUS"][..], r#"{"do":"status"}"#),
            (&["commit", "ANYWAY"], r#"{"do":"commit","anyway":true}"#),
            (&["join"], r#"{"do":"join"}"#),
            (&["Join", "3f"], r#"{"do":"join","node":"3f"}"#),
            (
                &["replace", "1", "2"],
                r#"{"do":"replace","dead":"1","by":"2"}"#,
            ),
            (
                &["weight", "1", "2"],
                r#"{"do":"weight","node":"1","weight":2}"#,
            ),
            (
                &["zone", "1", "b"],
                r#"{"do":"zone","node":"1","zone":"b"}"#,
            ),
        ] {
            let of_json: Command = serde_json::from_str(json).expect(json);
            assert_eq!(Command::of_words(words), Some(of_json.clone()));
            assert_eq!(Command::of_words(&[json]), Some(of_json));
        }
        for words in [
            &[][..],
            &["leave"],
            &["weight", "1", "x"],
            &["{"],
            &["sing"],
        ] {
            assert_eq!(Command::of_words(words), None, "{words:?}");
        }
    }

    #[test]
    fn what_is_not_said_of_a_bucket_stays_as_it_is() {
        let json = r#"{"do":"bucket","bucket_type":"t","properties":{"r":1,"conflicts":"last-write-wins"}}"#;
        let Ok(Command::Bucket { properties, .. }) = serde_json::from_str(json) else {
            panic!("{json}");
        };
        let kept = Bucket {
            w: 3,
            ..Bucket::default()
        };
        let changed = properties.over(&kept).expect("there is such a policy");
        assert_eq!((changed.r, changed.w), (1, 3));
        assert!(matches!(changed.policy, Policy::LastWriteWins { .. }));
        let unknown = Properties {
            conflicts: Some("fights".into()),
            ..Properties::default()
        };
        assert!(unknown.over(&kept).is_err());
    }
}
