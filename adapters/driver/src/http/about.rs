//! What a node tells about itself and its cluster.

use bytes::BytesMut;
use dynamo_proto::Key;
use dynamo_proto::ring::Member;
use serde_json::{Value, json};

use super::answer::{Answer, JSON};
use super::query::Query;
use crate::Site;
use crate::admin::Refused;
use crate::riak::{VERSION, place};

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

/// What there is of Riak's, under its own names: its clients look up what they may use.
const RESOURCES: [(&str, &str); 11] = [
    ("riak_kv_wm_bucket_type", "/types"),
    ("riak_kv_wm_buckets", "/buckets"),
    ("riak_kv_wm_counter", "/buckets"),
    ("riak_kv_wm_crdt", "/types"),
    ("riak_kv_wm_keylist", "/buckets"),
    ("riak_kv_wm_object", "/buckets"),
    ("riak_kv_wm_ping", "/ping"),
    ("riak_kv_wm_preflist", "/buckets"),
    ("riak_kv_wm_props", "/buckets"),
    ("riak_kv_wm_raw", "/riak"),
    ("riak_kv_wm_stats", "/stats"),
];

pub(super) fn resources() -> Answer {
    let links = RESOURCES.map(|(name, path)| format!("<{path}>; rel=\"{name}\""));
    let paths: serde_json::Map<_, _> = RESOURCES
        .map(|(name, path)| (name.to_owned(), path.into()))
        .into_iter()
        .collect();
    json(&Value::Object(paths)).with("Link", links.join(", "))
}

/// As much of Riak's statistics as there is something to say of.
pub(super) fn stats(site: &Site<'_>) -> Answer {
    let counted = |name| site.metrics.counted(name).unwrap_or_default();
    let name = |node| String::from_utf8_lossy(&place::node_name(node)).into_owned();
    let members = site.ring.members().iter().map(|member| name(member.id));
    let connected = site.peers.iter().filter(|peer| peer.connected.is_some());
    json(&json!({
        "riak_kv_version": VERSION,
        "riak_core_version": VERSION,
        "nodename": name(site.config.node),
        "ring_num_partitions": site.ring.partitions().len(),
        "ring_members": members.collect::<Vec<_>>(),
        "connected_nodes": connected.map(|peer| name(peer.node)).collect::<Vec<_>>(),
        "node_gets_total": counted("dynamo_gets_total"),
        "node_puts_total": counted("dynamo_puts_total"),
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

/// A page that asks for all of this again and again, and shows it. It loads nothing from elsewhere.
pub(super) fn watch() -> Answer {
    const OWN: &str = "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
    Answer::new(200)
        .with_body("text/html; charset=utf-8", include_str!("watch.html"))
        .with("Content-Security-Policy", OWN)
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
