//! What an administrator says to a node about its cluster, and what it answers: as JSON, whoever
//! carries it.
//!
//! ```text
//!   stage: join, leave, remove, replace, weight, zone, bucket, unstage
//!   look:  status, plan, where
//!   do:    commit    what the last plan showed, if nothing else was committed since
//! ```
//!
//! What is staged, and the plan that was looked at, are known to one node, and until it stops. A
//! node may be named by the first digits of its id, if there is only one that begins so.

mod command;
mod show;

use dynamo_proto::membership::{
    Change, CommitError, Membership, Plan, PlanError, StageError, Standing, Void,
};
use dynamo_proto::node::{Effect, Node};
use dynamo_proto::{BucketError, NodeId, Now};
use serde_json::{Value, json};

pub use self::command::{Command, Properties};

use crate::Site;

/// Why a command was not carried out, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is no command.
    #[error("this is no command for a cluster: {0}")]
    Senseless(String),
    /// Nobody is called that.
    #[error("no node's id begins with {0}: `status` lists them all")]
    NoSuchNode(String),
    /// Several are.
    #[error("several nodes' ids begin with {0}: give more digits")]
    Ambiguous(String),
    /// It has not asked to join.
    #[error(
        "node {0} has not asked to join: start it with --seed and the address of a member, and \
         ask again a second later"
    )]
    NotAsking(NodeId),
    /// Nobody has.
    #[error("nobody asks to join: start a node with --seed and the address of a member")]
    NobodyAsks,
    /// It has no effect.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// There is nothing to look at.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A plan was not looked at.
    #[error("look at the plan of what is staged first: `plan`")]
    NoPlan,
    /// It would make losing data easier than the cluster promises.
    #[error(
        "{hosts} hosts would be left, fewer than the n = {n} replicas of a key: let another node \
         join first, or say `anyway`"
    )]
    TooFewHosts {
        /// How many would be left.
        hosts: usize,
        /// How many replicas a key has.
        n: u8,
    },
    /// It was not committed.
    #[error("{0} (`plan`)")]
    Commit(#[from] CommitError),
    /// There can be no such bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The key is none.
    #[error(transparent)]
    Key(#[from] dynamo_proto::KeyError),
}

/// A node's administration: the plan that was looked at last.
#[derive(Debug, Default)]
pub(crate) struct Admin {
    plan: Option<Plan>,
}

impl Admin {
    /// Carries out what changes something; the rest is [shown](shown).
    pub(crate) fn carry_out(
        &mut self,
        command: &Command,
        node: &mut Node,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<Value, Refused> {
        match command {
            Command::Plan => {
                let plan = node.plan()?;
                let shown = show::plan(&plan, node.buckets());
                self.plan = Some(plan);
                return Ok(shown);
            }
            Command::Unstage => {
                self.plan = None;
                node.unstage();
            }
            Command::Commit { anyway } => {
                let plan = self.plan.clone().ok_or(Refused::NoPlan)?;
                if !anyway && let Some((hosts, n)) = show::too_few_hosts(&plan, node.buckets()) {
                    return Err(Refused::TooFewHosts { hosts, n });
                }
                self.plan = None;
                let epoch = node.commit(plan, now, effects)?;
                return Ok(json!({ "committed": true, "epoch": epoch.to_string() }));
            }
            Command::Note {
                bucket_type,
                bucket,
                notes,
            } => {
                let kept = match bucket {
                    Some(name) => node.buckets().single(bucket_type, name),
                    None => None,
                };
                let kept = kept.unwrap_or(node.buckets().of_type(bucket_type)).clone();
                let change = Change::Keep {
                    bucket_type: bucket_type.as_slice().into(),
                    name: bucket.as_deref().map(Into::into),
                    bucket: Box::new(dynamo_proto::Bucket {
                        notes: notes.clone(),
                        ..kept
                    }),
                };
                let staged = node.membership().staged().to_vec();
                node.unstage();
                let committed = node.stage(change).map_err(Refused::from).and_then(|()| {
                    let plan = node.plan()?;
                    Ok(node.commit(plan, now, effects)?)
                });
                node.unstage();
                for change in staged {
                    let _ = node.stage(change); // it may have become void, and the plan shows that
                }
                self.plan = None;
                return Ok(json!({ "epoch": committed?.to_string() }));
            }
            command => {
                let changes = changes(command, node)?;
                self.plan = None;
                for change in changes {
                    node.stage(change)?;
                }
            }
        }
        let staged = node.membership().staged().iter().map(show::change);
        Ok(json!({ "staged": staged.collect::<Vec<_>>() }))
    }
}

/// Answers what changes nothing; `None` if it does.
pub(crate) fn shown(command: &Command, site: &Site<'_>) -> Option<Result<Value, Refused>> {
    match command {
        Command::Status => Some(Ok(show::status(site))),
        Command::Where {
            bucket_type,
            bucket,
            key,
        } => {
            let key = dynamo_proto::Key::new(
                bucket_type.as_str(),
                bucket.as_str(),
                key.as_str(),
                &site.config.limits,
            );
            Some(key.map(|key| show::place(&key, site)).map_err(Refused::Key))
        }
        _ => None,
    }
}

/// What is to be staged.
fn changes(command: &Command, node: &Node) -> Result<Vec<Change>, Refused> {
    let membership = node.membership();
    let named = |name: &str| named(name, membership);
    let newcomer = |id: NodeId| {
        let mut newcomers = membership.newcomers();
        let record = newcomers.find(|it| it.member.id == id);
        let standing = membership.state().and_then(|state| state.standing(id));
        match (record, standing) {
            (Some(record), _) => Ok(record.member.clone().into()),
            (None, Some(Standing::Removed)) => Err(StageError::Void(Void::WasRemoved(id)).into()),
            (None, Some(Standing::Member(_))) => Err(StageError::Void(Void::IsMember(id)).into()),
            (None, _) => Err(Refused::NotAsking(id)),
        }
    };
    Ok(match command {
        Command::Join { node: Some(name) } => vec![Change::Join(newcomer(named(name)?)?)],
        Command::Join { node: None } => {
            let staged = membership.staged();
            let is_staged = |id| {
                staged
                    .iter()
                    .any(|it| matches!(it, Change::Join(member) if member.id == id))
            };
            let all = membership.newcomers();
            let all = all.filter(|it| !is_staged(it.member.id));
            let all: Vec<_> = all
                .map(|it| Change::Join(it.member.clone().into()))
                .collect();
            if all.is_empty() {
                return Err(Refused::NobodyAsks);
            }
            all
        }
        Command::Leave { node } => vec![Change::Leave(named(node)?)],
        Command::Remove { node } => vec![Change::Remove(named(node)?)],
        Command::Replace { dead, by } => vec![Change::Replace {
            dead: named(dead)?,
            by: newcomer(named(by)?)?,
        }],
        Command::Weight { node, weight } => vec![Change::Weigh {
            node: named(node)?,
            weight: *weight,
        }],
        Command::Zone { node, zone, host } => {
            let id = named(node)?;
            let standing = membership.state().and_then(|state| state.standing(id));
            let Some(Standing::Member(member)) = standing else {
                return Err(StageError::Void(Void::NotMember(id)).into());
            };
            vec![Change::Place {
                node: id,
                zone: zone.as_deref().unwrap_or(&member.zone).into(),
                host: host.as_deref().unwrap_or(&member.host).into(),
            }]
        }
        Command::Bucket {
            bucket_type,
            bucket,
            properties,
        } => {
            let buckets = node.buckets();
            let (kind, name) = (
                bucket_type.as_bytes(),
                bucket.as_ref().map(|it| it.as_bytes()),
            );
            let kept = name.and_then(|name| buckets.single(kind, name));
            let kept = kept.unwrap_or_else(|| buckets.of_type(kind));
            let changed = properties.over(kept).map_err(Refused::Senseless)?;
            changed.check()?;
            vec![Change::Keep {
                bucket_type: kind.into(),
                name: name.map(Into::into),
                bucket: Box::new(changed),
            }]
        }
        Command::Status | Command::Plan | Command::Unstage => Vec::new(),
        Command::Commit { .. } | Command::Note { .. } | Command::Where { .. } => Vec::new(),
    })
}

/// The node whose id begins so.
fn named(name: &str, membership: &Membership) -> Result<NodeId, Refused> {
    let name = name.to_ascii_lowercase();
    let state = membership.state().into_iter();
    let known = state.flat_map(|state| state.present().chain(state.removed()));
    let asking = membership.newcomers().map(|it| it.member.id);
    let mut found = known
        .chain(asking)
        .filter(|id| id.to_string().starts_with(&name));
    match (found.next(), found.next()) {
        _ if name.is_empty() => Err(Refused::NoSuchNode("nothing".into())),
        (Some(node), None) => Ok(node),
        (Some(_), Some(_)) => Err(Refused::Ambiguous(name)),
        // One that nobody has heard of has not asked, and was perhaps named in full.
        (None, _) => match u64::from_str_radix(&name, 16) {
            Ok(number) if name.len() == 16 => Ok(NodeId(number)),
            _ => Err(Refused::NoSuchNode(name)),
        },
    }
}
