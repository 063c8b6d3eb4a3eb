//! What a node tells about itself and its cluster.

use bytes::BytesMut;
use dynamo_proto::Key;
use dynamo_proto::ring::Member;
use serde_json::{Value, json};

use super::answer::{Answer, JSON};
use super::target::Query;
use crate::Site;
use crate::admin::Refused;

/// Partitions on one page, unless another number is asked for; and at most.
const PAGE: usize = 1024;

/// Whether it serves requests.
pub(super) fn ready(site: &Site<'_>) -> Answer {
    match site.is_ready {
        true => Answer::text(200, "ready"),
        false => Answer::text(503, "not ready"),
    }
}

pub(super) fn metrics(site: &Site<'_>) -> Answer {
    let mut text = BytesMut::new();
    site.write_metrics(&mut text);
    Answer::new(200).with_body("text/plain; version=0.0.4", text)
}

pub(super) fn status(site: &Site<'_>) -> Answer {
    let load = &site.load;
    let peers = site.peers.iter().map(|peer| {
        json!({
            "node": peer.node.to_string(),
            "address": peer.address.map(|it| it.to_string()),
            "connected": peer.connected.is_some(),
        })
    });
    json(&json!({
        "node": site.config.node.to_string(),
        "cluster": site.config.cluster.to_string(),
        "version": env!("CARGO_PKG_VERSION"),
        "ready": site.is_ready,
        "requests_running": load.running,
        "stores_running": load.stores,
        "clients": load.clients,
        "waiting_bytes": load.waiting_bytes,
        "nodes": site.ring.members().len(),
        "peers": peers.collect::<Vec<_>>(),
    }))
}

/// What came of a command for the cluster.
pub(super) fn administered(outcome: Result<Value, Refused>) -> Answer {
    match outcome {
        Ok(value) => json(&value),
        Err(refused) => {
            let value = json!({ "error": refused.to_string() });
            Answer::new(409).with_body(JSON, format!("{value}\n"))
        }
    }
}

/// The members, and a page of the partitions with their owners in the order of their duty.
pub(super) fn ring(site: &Site<'_>, query: &Query) -> Answer {
    let ring = site.ring;
    let (from, count) = (query.from.unwrap_or(0), query.count.unwrap_or(PAGE));
    let all = ring.partitions().len();
    let page = ring.partitions().skip(from).take(count.min(PAGE));
    let partitions: Vec<_> = page
        .map(|partition| {
            let owners = ring.preference(partition).primaries(ring.replicas());
            json!({
                "partition": partition.0,
                "first": format!("{:032x}", ring.range(partition).first.0),
                "owners": owners.map(|it| it.id.to_string()).collect::<Vec<_>>(),
            })
        })
        .collect();
    let next = from.saturating_add(partitions.len());
    json(&json!({
        "members": ring.members().iter().map(member).collect::<Vec<_>>(),
        "replicas": ring.replicas(),
        "partition_count": all,
        "partitions": partitions,
        "next": (next < all).then_some(next),
    }))
}

pub(super) fn preference_list(key: &Key, site: &Site<'_>) -> Answer {
    let n = site.buckets.of(key).n;
    let list = site.ring.lookup(key.token());
    let partition = list.partition().0;
    let nodes = list.iter().enumerate().map(|(at, member)| {
        json!({
            "partition": partition,
            "node": member.id.to_string(),
            "primary": at < n.into(),
        })
    });
    json(&json!({ "preflist": nodes.collect::<Vec<_>>() }))
}

fn member(member: &Member) -> Value {
    json!({
        "node": member.id.to_string(),
        "zone": &*member.zone,
        "host": &*member.host,
        "weight": member.weight,
    })
}

fn json(value: &Value) -> Answer {
    Answer::new(200).with_body(JSON, format!("{value}\n"))
}
