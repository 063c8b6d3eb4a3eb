//! Where things are: keys as clients name them, and how their buckets are kept.

use bytes::Bytes;
use dynamo_proto::version::{DataType, Policy};
use dynamo_proto::{Key, Limits, NodeId};

use super::data;
use super::messages::{OnDuty, Preflist};
use super::refusal::{Kind, Refusal};
use super::ways::Ways;
use crate::Dice;
use crate::front::Desk;

pub(crate) const DEFAULT_TYPE: &[u8] = b"default";

/// Stands for the key where a bucket is meant.
const ANY: &[u8] = b"any";

/// Letters of a key that is made up here: more than there will ever be keys.
const MADE_UP: usize = 27;

/// A bucket, as a key in it.
pub(crate) fn bucket(
    bucket_type: Option<&[u8]>,
    bucket: &[u8],
    limits: &Limits,
) -> Result<Key, Refusal> {
    key(bucket_type, bucket, ANY, limits)
}

/// A bucket type, as a key in it.
pub(crate) fn bucket_type(bucket_type: Option<&[u8]>, limits: &Limits) -> Result<Key, Refusal> {
    key(bucket_type, ANY, ANY, limits)
}

/// How a key's bucket is kept; none if there is no such type.
pub(crate) fn ways(key: &Key, desk: &Desk<'_>) -> Option<Ways> {
    let buckets = &desk.site.buckets;
    let is_default = key.bucket_type() == DEFAULT_TYPE;
    let is_known = is_default || buckets.types.contains_key(key.bucket_type());
    is_known.then(|| Ways::of(buckets.of(key), is_default))
}

/// How the buckets of a type are kept.
pub(crate) fn of_type<'a>(
    bucket_type: &[u8],
    desk: &Desk<'a>,
) -> Result<(&'a dynamo_proto::Bucket, Ways), Refusal> {
    let is_default = bucket_type == DEFAULT_TYPE;
    let buckets = desk.site.buckets;
    if !is_default && !buckets.types.contains_key(bucket_type) {
        let text = format!(
            "Invalid bucket type: <<\"{}\">>",
            bucket_type.escape_ascii()
        );
        return Err(Refusal::no_type(bucket_type, text));
    }
    let kept = buckets.of_type(bucket_type);
    Ok((kept, Ways::of(kept, is_default)))
}

pub(crate) fn key(
    bucket_type: Option<&[u8]>,
    bucket: &[u8],
    key: &[u8],
    limits: &Limits,
) -> Result<Key, Refusal> {
    let bucket_type = bucket_type.unwrap_or(DEFAULT_TYPE);
    Ok(Key::new(bucket_type, bucket, key, limits)?)
}

/// What the keys of a bucket are; those of the type `default` may be the counters of Riak 1.4.
pub(crate) fn data_type(
    bucket_type: &[u8],
    bucket: &[u8],
    desk: &Desk<'_>,
) -> Result<DataType, Refusal> {
    let any = self::bucket(Some(bucket_type), bucket, &desk.site.config.limits)?;
    let Some(ways) = ways(&any, desk) else {
        let name = bucket_type.escape_ascii();
        let text = format!("Error no bucket type `<<\"{name}\">>`");
        return Err(Refusal::no_type(bucket_type, text));
    };
    match ways.data {
        Some(kind) if data::name(kind).is_some() => Ok(kind),
        Some(kind) => Err(Refusal::new(format!("`{kind}` is not a supported type"))),
        None if bucket_type != DEFAULT_TYPE => {
            Err(Refusal::new("`undefined` is not a supported type"))
        }
        None if ways.allow_mult => Ok(DataType::Counter),
        None => Err(Refusal::of_kind(
            Kind::NoCounters,
            "Counters require bucket property 'allow_mult=true'",
        )),
    }
}

/// Where data is kept: the counters of Riak 1.4, which it kept among the values of the type
/// `default`, are in the bucket type of counters here.
pub(crate) fn data_key(
    bucket_type: &[u8],
    bucket: &[u8],
    name: &[u8],
    limits: &Limits,
) -> Result<Key, Refusal> {
    let bucket_type = match bucket_type {
        DEFAULT_TYPE => DataType::Counter.name().as_bytes(),
        other => other,
    };
    key(Some(bucket_type), bucket, name, limits)
}

/// Where the counter of Riak 1.4 is kept that is named by a key, if its bucket may have such.
pub(crate) fn counter_of(any: &Key, ways: &Ways, desk: &Desk<'_>) -> Option<Key> {
    let is_kept = any.bucket_type() == DEFAULT_TYPE && ways.allow_mult && ways.data.is_none();
    let (bucket, name) = (any.bucket(), any.key());
    let limits = &desk.site.config.limits;
    let key = is_kept.then(|| data_key(DEFAULT_TYPE, bucket, name, limits));
    let key = key?.ok()?;
    let is_counter = desk.site.buckets.of(&key).policy == Policy::Data(DataType::Counter);
    is_counter.then_some(key)
}

/// Those on duty for a key.
pub(crate) fn preference_list(key: &Key, desk: &Desk<'_>) -> Preflist {
    let n = usize::from(desk.site.buckets.of(key).n);
    let list = desk.site.ring.lookup(key.token());
    let partition = u64::from(list.partition().0);
    let on_duty = list.iter().take(n).map(|member| OnDuty {
        partition,
        node: node_name(member.id),
        primary: true,
    });
    Preflist {
        items: on_duty.collect(),
    }
}

/// Whether no other node can be reached, over whomever.
pub(crate) fn is_alone(desk: &Desk<'_>) -> bool {
    let mut peers = desk.site.peers.iter();
    peers.all(|peer| peer.connected.is_none())
}

/// How many of the `n` on duty for a key this node is or is connected with. There may be more: what it
/// cannot send to one directly it sends over others.
pub(crate) fn on_duty_and_there(key: &Key, n: u8, desk: &Desk<'_>) -> u8 {
    let site = &desk.site;
    let list = site.ring.lookup(key.token());
    let is_there = |node| {
        let is_connected = |it: &crate::PeerStatus| it.node == node && it.connected.is_some();
        node == site.config.node || site.peers.iter().any(is_connected)
    };
    let on_duty = list.primaries(n.into());
    on_duty.filter(|it| is_there(it.id)).count() as u8
}

/// A node as its peers are called in Erlang.
pub(crate) fn node_name(node: NodeId) -> Bytes {
    format!("dynamo@{node}").into()
}

/// A key for what was sent without one.
pub(crate) fn made_up(dice: &mut Dice) -> Bytes {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut letter = || LETTERS[(dice.number() % 62) as usize];
    (0..MADE_UP).map(|_| letter()).collect()
}
