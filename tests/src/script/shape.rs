//! What a cluster is made of.

use std::sync::Arc;
use std::time::Duration;

use dynamo_proto::node::{Capacity, Config, HintLimits, Timing};
use dynamo_proto::ring::{Member, Ring, RingConfig, Strategy};
use dynamo_proto::version::{DataType, Policy};
use dynamo_proto::{Bucket, ClusterId, Durability, Key, Limits, NodeId};

use super::arguments::Arguments;

/// Everything that the `cluster` command says.
pub(super) struct Shape {
    pub(super) nodes: u64,
    pub(super) hosts: u64,
    pub(super) key: String,
    pub(super) bucket: Bucket,
    pub(super) timing: Timing,
    pub(super) capacity: Capacity,
    pub(super) hints: HintLimits,
    pub(super) limits: Limits,
}

pub(super) const SECRET: [u8; 16] = *b"a scripted seal.";

impl Shape {
    pub(super) fn parse(arguments: &mut Arguments<'_>) -> Result<Self, String> {
        let nodes = arguments.parsed("nodes")?.unwrap_or(3);
        let max_skew = arguments.duration("max-skew")?;
        let policy = match arguments.named("policy") {
            None | Some("siblings") => Policy::Siblings,
            Some("last-write-wins") => Policy::LastWriteWins {
                max_skew: max_skew.unwrap_or(Duration::from_secs(3600)),
            },
            Some(other) => {
                let kind = DataType::ALL.into_iter().find(|kind| kind.name() == other);
                Policy::Data(kind.ok_or_else(|| format!("no such policy: {other}"))?)
            }
        };
        let usual = Bucket::default();
        let durability = arguments.named("durability").map(durability).transpose()?;
        let bucket = Bucket {
            n: arguments.parsed("n")?.unwrap_or(usual.n),
            r: arguments.parsed("r")?.unwrap_or(usual.r),
            w: arguments.parsed("w")?.unwrap_or(usual.w),
            pr: arguments.parsed("pr")?.unwrap_or(usual.pr),
            pw: arguments.parsed("pw")?.unwrap_or(usual.pw),
            policy,
            durability: durability.unwrap_or(usual.durability),
            one_flushed: arguments.flag("one-flushed"),
            ..usual
        };
        let timing = Timing {
            gossip_every: QUIET,
            timeout: arguments.duration("timeout")?.unwrap_or(secs(5)),
            retry_after: arguments
                .duration("retry")?
                .unwrap_or(Duration::from_millis(500)),
            longest_timeout: arguments.duration("longest")?.unwrap_or(secs(60)),
            exchange_every: arguments.duration("exchange")?.unwrap_or(QUIET),
            audit_every: QUIET,
            ..Timing::default()
        };
        let usual = Capacity::default();
        let capacity = Capacity {
            requests: arguments.parsed("requests")?.unwrap_or(usual.requests),
            peers: arguments.parsed("peers")?.unwrap_or(usual.peers),
            reads_per_key: arguments.parsed("reads")?.unwrap_or(usual.reads_per_key),
            ..usual
        };
        let usual = HintLimits::default();
        let hints = HintLimits {
            copies: arguments.parsed("hints")?.unwrap_or(usual.copies),
            ..usual
        };
        let usual = Limits::default();
        let limits = Limits {
            siblings: arguments.parsed("max-siblings")?.unwrap_or(usual.siblings),
            ..usual
        };
        Ok(Self {
            nodes,
            hosts: arguments.parsed("hosts")?.unwrap_or(nodes),
            key: arguments.named("key").unwrap_or("cart").to_owned(),
            bucket,
            timing,
            capacity,
            hints,
            limits,
        })
    }

    pub(super) fn ring(&self) -> Result<Ring, String> {
        if !(1..=26).contains(&self.nodes) || self.hosts == 0 {
            return Err("a cluster has 1 to 26 nodes, and hosts for them".into());
        }
        let config = RingConfig {
            strategy: Strategy::EqualPartitions { partitions: 16 },
            replicas: self.bucket.n,
        };
        let member = |id| Member::new(NodeId(id), "zone", format!("host-{}", id % self.hosts));
        let members = (1..=self.nodes).map(member).collect();
        Ring::birth(config, members).map_err(|error| error.to_string())
    }

    pub(super) fn config(&self, node: NodeId) -> Arc<Config> {
        Arc::new(Config {
            node,
            cluster: ClusterId(1),
            secret: SECRET,
            limits: self.limits,
            capacity: self.capacity,
            timing: self.timing,
            hints: self.hints,
        })
    }

    pub(super) fn key(&self, name: &str) -> Result<Key, String> {
        Key::new("default", "scripts", name, &self.limits).map_err(|error| error.to_string())
    }
}

pub(super) fn durability(word: &str) -> Result<Durability, String> {
    match word {
        "memory" => Ok(Durability::Memory),
        "written" => Ok(Durability::Written),
        "flushed" => Ok(Durability::Flushed),
        _ => Err(format!("no such durability: {word}")),
    }
}

/// Nodes of scripts say nothing about their cluster.
const QUIET: Duration = secs(1 << 30);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
