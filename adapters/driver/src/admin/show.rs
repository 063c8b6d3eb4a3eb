//! A cluster, a plan and a key's place, as JSON.

use std::collections::BTreeSet;

use dynamo_proto::membership::{Change, Plan, Standing, Step};
use dynamo_proto::ring::{Member, Ring};
use dynamo_proto::version::Policy;
use dynamo_proto::{Bucket, Buckets, Durability, Key, NodeId};
use serde_json::{Value, json};

use crate::Site;

/// What a node knows of its cluster.
pub(super) fn status(site: &Site<'_>) -> Value {
    let membership = site.membership;
    let state = membership.state();
    let present = state.into_iter().flat_map(|state| state.present());
    let removed = state.into_iter().flat_map(|state| state.removed());
    let nodes = present.map(|id| node(id, site));
    let newcomers = membership.newcomers().map(|it| node(it.member.id, site));
    let steps = [Step::Known, Step::Moved, Step::Switched].map(|step| {
        let (done, of) = membership.confirmed(step);
        json!({ "step": name(step), "nodes": done, "of": of })
    });
    let voided = state.into_iter().flat_map(|state| state.voided());
    let voided = voided.map(|it| {
        json!({
            "commit": it.commit.to_string(),
            "change": it.change,
            "why": it.why.to_string(),
        })
    });
    json!({
        "node": site.config.node.to_string(),
        "cluster": site.config.cluster.to_string(),
        "serving": site.is_ready,
        "drained": site.is_drained,
        "epoch": membership.epoch().to_string(),
        "settled": membership.is_switched(),
        "steps": steps,
        "admits_newcomers": membership.history().map(|it| it.birth().admits_newcomers),
        "partitions": site.ring.partitions().len(),
        "nodes": nodes.chain(newcomers).collect::<Vec<_>>(),
        "removed": removed.map(|id| id.to_string()).collect::<Vec<_>>(),
        "held": { "copies": site.load.held.copies, "bytes": site.load.held.bytes },
        "keys": site.load.keys,
        "level": {
            "stretches": site.load.level.stretches,
            "agreed": site.load.level.agreed,
            "oldest_seconds": site.load.level.oldest.as_secs(),
        },
        "retired": { "boots": membership.retired().height().0, "seen": membership.earned().0 },
        "staged": membership.staged().iter().map(change).collect::<Vec<_>>(),
        "voided": voided.collect::<Vec<_>>(),
        "buckets": buckets(site.buckets),
    })
}

fn node(id: NodeId, site: &Site<'_>) -> Value {
    let membership = site.membership;
    let standing = membership.state().and_then(|state| state.standing(id));
    let record = membership.record(id);
    let (what, member) = match standing {
        Some(Standing::Member(member)) => ("member", Some(&**member)),
        Some(Standing::Leaving(member)) => ("leaving", Some(&**member)),
        Some(Standing::Removed) => ("removed", None),
        None => ("asks to join", record.map(|it| &it.member)),
    };
    let is_me = id == site.config.node;
    let mut peers = site.peers.iter();
    let is_connected = is_me || peers.any(|peer| peer.node == id && peer.connected.is_some());
    let steps = [Step::Known, Step::Moved, Step::Switched];
    let mut taken = steps.into_iter().rev();
    let taken = taken.find(|step| membership.has_confirmed(*step, id));
    let is_in = matches!(standing, Some(Standing::Member(_)));
    json!({
        "node": id.to_string(),
        "is": what,
        "this": is_me,
        "address": membership.address(id),
        "zone": member.map(|it| &*it.zone),
        "host": member.map(|it| &*it.host),
        "weight": member.map(|it| it.weight),
        "copies": if is_in { copies(site.ring, id) } else { 0 },
        "connected": is_connected,
        "suspected": membership.is_suspected(id),
        "step": taken.map(name),
    })
}

/// What would come of what is staged.
pub(super) fn plan(plan: &Plan, buckets: &Buckets) -> Value {
    let nodes = plan.loads().into_iter().map(|(node, load)| {
        json!({
            "node": node.to_string(),
            "before": load.before,
            "after": load.after,
            "gains": load.gains,
            "gives": load.gives,
        })
    });
    let warning = too_few_hosts(plan, buckets)
        .map(|(hosts, n)| format!("{hosts} hosts would be left, fewer than the n = {n} replicas"));
    json!({
        "epoch": plan.basis().to_string(),
        "changes": plan.changes().iter().map(change).collect::<Vec<_>>(),
        "nodes": nodes.collect::<Vec<_>>(),
        "moved": plan.moved(),
        "warning": warning,
    })
}

/// How many hosts would be left, and how many replicas there are to be, where a plan takes away a
/// host that is needed.
pub(super) fn too_few_hosts(plan: &Plan, buckets: &Buckets) -> Option<(usize, u8)> {
    let hosts = |ring: &Ring| {
        let hosts = ring.members().iter().map(|it| (&it.zone, &it.host));
        hosts.collect::<BTreeSet<_>>().len()
    };
    let (before, after) = (hosts(plan.before()), hosts(plan.after()));
    let n = buckets.all().map(|bucket| bucket.n).max()?;
    (after < before && after < n.into()).then_some((after, n))
}

/// Where a key lives, and why.
pub(super) fn place(key: &Key, site: &Site<'_>) -> Value {
    let bucket = site.buckets.of(key);
    let list = site.ring.lookup(key.token());
    let nodes = list.iter().enumerate().map(|(at, member)| {
        let mut shown = node(member.id, site);
        let duty = if at < bucket.n.into() {
            "primary"
        } else {
            "fallback"
        };
        shown["duty"] = duty.into();
        shown
    });
    json!({
        "token": format!("{:032x}", key.token().0),
        "partition": list.partition().0,
        "partitions": site.ring.partitions().len(),
        "epoch": site.membership.epoch().to_string(),
        "settled": site.membership.is_switched(),
        "bucket": properties(bucket),
        "nodes": nodes.collect::<Vec<_>>(),
    })
}

/// A change, for people.
pub(super) fn change(change: &Change) -> String {
    let place = |it: &Member| format!("zone {}, host {}, weight {}", it.zone, it.host, it.weight);
    match change {
        Change::Join(member) => format!("{} joins ({})", member.id, place(member)),
        Change::Leave(node) => format!("{node} leaves"),
        Change::Remove(node) => format!("{node} is removed"),
        Change::Replace { dead, by } => {
            format!("{dead} is replaced by {} ({})", by.id, place(by))
        }
        Change::Weigh { node, weight } => format!("{node} gets the weight {weight}"),
        Change::Place { node, zone, host } => format!("{node} stands in zone {zone}, host {host}"),
        Change::Keep {
            bucket_type,
            name,
            bucket,
        } => {
            let (kind, kept) = (bucket_type.escape_ascii(), properties(bucket));
            match name {
                Some(name) => format!("bucket {kind}/{} becomes {kept}", name.escape_ascii()),
                None => format!("bucket type {kind} becomes {kept}"),
            }
        }
    }
}

fn copies(ring: &Ring, id: NodeId) -> usize {
    let owns = |it: &_| ring.preference(*it).is_primary(id, ring.replicas());
    ring.partitions().filter(owns).count()
}

fn buckets(buckets: &Buckets) -> Value {
    let types = buckets.types.iter().map(|(name, bucket)| {
        let mut shown = properties(bucket);
        shown["type"] = name.escape_ascii().to_string().into();
        shown
    });
    let single = buckets.single.iter().flat_map(|(kind, single)| {
        single.iter().map(move |(name, bucket)| {
            let mut shown = properties(bucket);
            shown["type"] = kind.escape_ascii().to_string().into();
            shown["bucket"] = name.escape_ascii().to_string().into();
            shown
        })
    });
    json!({
        "default": properties(&buckets.default),
        "types": types.collect::<Vec<_>>(),
        "single": single.collect::<Vec<_>>(),
    })
}

fn properties(bucket: &Bucket) -> Value {
    json!({
        "n": bucket.n,
        "r": bucket.r,
        "w": bucket.w,
        "pr": bucket.pr,
        "pw": bucket.pw,
        "conflicts": match bucket.policy {
            Policy::Siblings => "siblings",
            Policy::LastWriteWins { .. } => "last-write-wins",
            Policy::Data(kind) => kind.name(),
        },
        "durability": match bucket.durability {
            Durability::Memory => "memory",
            Durability::Written => "written",
            Durability::Flushed => "flushed",
        },
    })
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Known => "known",
        Step::Moved => "moved",
        Step::Switched => "switched",
    }
}
