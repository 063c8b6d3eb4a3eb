//! How a cluster begins: what is chosen once.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dynamo_proto::membership::Birth;
use dynamo_proto::ring::{Member, RingConfig, Strategy};
use dynamo_proto::version::{DataType, Policy};
use dynamo_proto::{Bucket, Buckets, ClusterId, Durability, WallTime};
use serde::Deserialize;

use super::{Options, SettingsError, Storage, try_from_string};

/// How far a stamp may run ahead before a write is refused, where the last write wins.
const MAX_SKEW: Duration = Duration::from_secs(60);

/// The type and name of the bucket on which plain commands of Redis act.
const PLAIN: &[u8] = b"default";

/// How a cluster begins.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    pub(crate) ring: RingConfig,
    pub(crate) buckets: Buckets,
    pub(crate) admits_newcomers: bool,
}

/// What becomes of concurrent writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Conflicts(Policy);

impl Beginning {
    /// With these as its first members, now.
    pub(crate) fn birth(self, cluster: ClusterId, first: Vec<Member>) -> Birth {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let micros = since_1970.map_or(0, |wait| wait.as_micros());
        Birth {
            cluster,
            ring: self.ring,
            members: first.into_iter().map(Arc::new).collect(),
            buckets: self.buckets,
            admits_newcomers: self.admits_newcomers,
            at: WallTime::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)),
        }
    }

    /// So many replicas, a majority of which answers, in buckets of this kind.
    pub(crate) fn of(bucket: Bucket, partitions: Option<u32>) -> Result<Self, SettingsError> {
        bucket.check()?;
        let ring = RingConfig {
            strategy: match partitions {
                Some(partitions) => Strategy::EqualPartitions { partitions },
                None => RingConfig::default().strategy,
            },
            replicas: bucket.n,
        };
        ring.check_all()?;
        Ok(Self {
            ring,
            buckets: with_a_plain_one(Buckets::with_data_types(bucket)),
            admits_newcomers: false,
        })
    }
}

/// So many replicas, of which a majority answers.
pub(crate) fn majority(n: u8) -> Bucket {
    Bucket {
        n,
        r: n / 2 + 1,
        w: n / 2 + 1,
        ..Bucket::default()
    }
}

/// In one bucket the last write wins, as clients of Redis take for granted.
fn with_a_plain_one(mut buckets: Buckets) -> Buckets {
    let policy = Policy::LastWriteWins { max_skew: MAX_SKEW };
    let plain = Bucket {
        policy,
        ..buckets.default.clone()
    };
    let single = buckets.single.entry(PLAIN.to_vec()).or_default();
    single.insert(PLAIN.to_vec(), plain);
    buckets
}

impl Options {
    /// How the cluster begins, if it is to.
    pub(super) fn beginning(&self, storage: &Storage) -> Result<Option<Beginning>, SettingsError> {
        if !self.bootstrap.unwrap_or(false) {
            let fixed = [
                ("--auto-admit", self.auto_admit.is_some()),
                ("--partitions", self.partitions.is_some()),
                ("--n", self.n.is_some()),
                ("--r", self.r.is_some()),
                ("--w", self.w.is_some()),
                ("--conflicts", self.conflicts.is_some()),
            ];
            let said = fixed.into_iter().find(|(_, is_said)| *is_said);
            return said.map_or(Ok(None), |(what, _)| Err(SettingsError::FixedAtBirth(what)));
        }
        let has_buffer = storage.write_buffer.is_some();
        let majority = majority(self.n.unwrap_or(3));
        let bucket = Bucket {
            r: self.r.unwrap_or(majority.r),
            w: self.w.unwrap_or(majority.w),
            policy: self
                .conflicts
                .map_or(Policy::Siblings, |conflicts| conflicts.0),
            durability: storage.durability(),
            one_flushed: has_buffer && storage.flush.best_answer() == Durability::Flushed,
            ..majority
        };
        let mut beginning = Beginning::of(bucket, self.partitions)?;
        if self.conflicts.is_some() {
            beginning.buckets.single.clear(); // it was chosen for all of them
        }
        beginning.admits_newcomers = self.auto_admit.unwrap_or(false);
        Ok(Some(beginning))
    }
}

impl FromStr for Conflicts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "siblings" => Policy::Siblings,
            "last-write-wins" => Policy::LastWriteWins { max_skew: MAX_SKEW },
            name => {
                let kind = DataType::ALL.into_iter().find(|kind| kind.name() == name);
                let names = DataType::ALL.map(DataType::name).join(", ");
                let unknown = || format!("siblings, last-write-wins, or a data type: {names}");
                Policy::Data(kind.ok_or_else(unknown)?)
            }
        }))
    }
}

try_from_string!(Conflicts);
