//! What a node tells about itself and its cluster.

use std::fmt::Write as _;

use dynamo_proto::ring::Member;
use dynamo_proto::version::Policy;
use dynamo_proto::{Bucket, Durability, Key};

use super::reply::{Reply, Version};
use crate::Site;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `HELLO` answers.
pub(super) fn hello(version: Version, id: i64) -> Reply {
    let proto = match version {
        Version::Resp2 => 2,
        Version::Resp3 => 3,
    };
    Reply::Map(vec![
        ("server", Reply::text("dynamo")),
        ("version", Reply::text(VERSION)),
        ("proto", Reply::Integer(proto)),
        ("id", Reply::Integer(id)),
        ("mode", Reply::text("standalone")),
        ("role", Reply::text("master")),
        ("modules", Reply::Array(Vec::new())),
    ])
}

/// What `INFO` answers: lines of names and values under headings.
pub(super) fn info(site: &Site<'_>) -> Reply {
    let Site { config, load, .. } = site;
    let connected = site.peers.iter().filter(|peer| peer.connected.is_some());
    let sections: [(&str, &[(&str, u64)]); 3] = [
        (
            "Clients",
            &[
                ("connected_clients", load.clients as u64),
                ("waiting_bytes", load.waiting_bytes as u64),
            ],
        ),
        (
            "Requests",
            &[
                ("requests_running", load.running as u64),
                ("stores_running", load.stores as u64),
            ],
        ),
        (
            "Cluster",
            &[
                ("cluster_nodes", site.ring.members().len() as u64),
                ("connected_nodes", connected.count() as u64),
            ],
        ),
    ];
    let mut text = format!(
        "# Server\r\ndynamo_version:{VERSION}\r\nnode:{}\r\ncluster:{}\r\nloading:{}\r\n",
        config.node,
        config.cluster,
        u8::from(!site.is_ready)
    );
    for (heading, lines) in sections {
        let _ = write!(text, "\r\n# {heading}\r\n"); // a String takes all
        for (name, number) in lines {
            let _ = write!(text, "{name}:{number}\r\n");
        }
    }
    Reply::text(text)
}

/// What `DYNAMO.BUCKET` answers.
pub(super) fn bucket(bucket: &Bucket) -> Reply {
    let number = |number: u8| Reply::Integer(number.into());
    let policy = match bucket.policy {
        Policy::Siblings => "siblings",
        Policy::LastWriteWins { .. } => "last-write-wins",
        Policy::Data(kind) => kind.name(),
    };
    let durability = match bucket.durability {
        Durability::Memory => "memory",
        Durability::Written => "written",
        Durability::Flushed => "flushed",
    };
    Reply::Map(vec![
        ("n", number(bucket.n)),
        ("r", number(bucket.r)),
        ("w", number(bucket.w)),
        ("pr", number(bucket.pr)),
        ("pw", number(bucket.pw)),
        ("policy", Reply::text(policy)),
        ("durability", Reply::text(durability)),
    ])
}

/// What `DYNAMO.PREFLIST` answers.
pub(super) fn preference_list(key: &Key, site: &Site<'_>) -> Reply {
    let n = site.buckets.of(key).n;
    let list = site.ring.lookup(key.token());
    let members = list.iter().enumerate().map(|(at, member)| {
        let duty = if at < n.into() { "primary" } else { "fallback" };
        let mut parts = node(member, site);
        parts.push(("duty", Reply::text(duty)));
        Reply::Map(parts)
    });
    Reply::Array(members.collect())
}

/// What `DYNAMO.CLUSTER` answers.
pub(super) fn cluster(site: &Site<'_>) -> Reply {
    let members = site.ring.members().iter().map(|member| {
        let peer = site.peers.iter().find(|peer| peer.node == member.id);
        let state = match peer {
            _ if member.id == site.config.node => "this node",
            Some(peer) if peer.connected.is_some() => "connected",
            _ => "not connected",
        };
        let mut parts = node(member, site);
        parts.push(("weight", Reply::Integer(member.weight.into())));
        parts.push(("state", Reply::text(state)));
        Reply::Map(parts)
    });
    Reply::Array(members.collect())
}

fn node(member: &Member, site: &Site<'_>) -> Vec<(&'static str, Reply)> {
    let mut peers = site.peers.iter();
    let address = peers
        .find(|peer| peer.node == member.id)
        .and_then(|peer| peer.address)
        .map_or(Reply::Nil, |address| Reply::text(address.to_string()));
    vec![
        ("node", Reply::text(member.id.to_string())),
        ("address", address),
        ("zone", Reply::text(&*member.zone)),
        ("host", Reply::text(&*member.host)),
    ]
}
