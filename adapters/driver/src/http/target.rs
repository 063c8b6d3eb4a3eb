//! What a request is about: the path.
//!
//! What this front has of its own and what is Riak's never begin alike, so one place has both:
//!
//! ```text
//!   Riak's  /  /ping  /stats  /buckets  /types  /riak  /mapred  /solr  /search
//!   ours    /ready  /health  /metrics  /status  /ring  /cluster
//! ```

use dynamo_proto::{Key, Limits};

use super::refusal::Refusal;
use super::text::{escaped, unescaped};
use crate::riak::place::{self, DEFAULT_TYPE};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// What there is.
    Resources,
    Ping,
    Stats,
    Ready,
    Health,
    Metrics,
    Status,
    Ring,
    /// A page that shows the ring.
    Watch,
    Cluster,
    /// A key's value.
    Value(Names),
    /// Whoever is on duty for a key.
    PreferenceList(Names),
    /// A bucket's keys; one of them is made up for what is posted.
    Keys(Names),
    /// The buckets of a type.
    Buckets(Names),
    /// A bucket as old URLs name it: its properties, and its keys.
    OldBucket(Names),
    Props(Names),
    /// The properties of a bucket type.
    TypeProps(Names),
    /// A counter of Riak 1.4.
    Counter(Names),
    /// Data, whose key may have to be made up.
    Data(Names),
    /// What Riak knows as secondary indexes.
    Index,
    Nothing,
}

/// A bucket's type, the bucket, and a key, which may have to be made up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) bucket_type: Vec<u8>,
    pub(super) bucket: Vec<u8>,
    pub(super) key: Option<Vec<u8>>,
    /// Whether they are named as before Riak 1.0, and are to be.
    pub(super) is_old: bool,
}

impl Target {
    pub(super) fn parse(path: &str) -> Result<Self, Refusal> {
        let Some(path) = path.strip_prefix('/') else {
            return Ok(Self::Nothing);
        };
        let parts: Vec<_> = path.split('/').collect();
        let (bucket_type, is_old, parts) = match &parts[..] {
            ["types", kind, rest @ ..] => (Some(*kind), false, rest),
            ["riak", ..] => (None, true, &parts[..]),
            _ => (None, false, &parts[..]),
        };
        let names = |bucket: &str, key: Option<&str>| {
            let part = |part| unescaped(part).ok_or(Refusal::Malformed("a broken %-escape"));
            Ok::<_, Refusal>(Names {
                bucket_type: bucket_type.map_or(Ok(DEFAULT_TYPE.to_vec()), part)?,
                bucket: part(bucket)?,
                key: key.map(part).transpose()?,
                is_old,
            })
        };
        Ok(match (bucket_type, parts) {
            (None, [""]) => Self::Resources,
            (None, ["ping"]) => Self::Ping,
            (None, ["stats"]) => Self::Stats,
            (None, ["ready"]) => Self::Ready,
            (None, ["health"]) => Self::Health,
            (None, ["metrics"]) => Self::Metrics,
            (None, ["status"]) => Self::Status,
            (None, ["ring"]) => Self::Ring,
            (None, ["watch"]) => Self::Watch,
            (None, ["cluster"]) => Self::Cluster,
            (None, ["riak"]) | (_, ["buckets"]) => Self::Buckets(names("", None)?),
            (None, ["riak", bucket]) => Self::OldBucket(names(bucket, None)?),
            (None, ["riak", bucket, key]) => Self::Value(names(bucket, Some(key))?),
            (None, ["buckets", bucket, "counters", key]) => {
                Self::Counter(names(bucket, Some(key))?)
            }
            (Some(_), ["props"]) => Self::TypeProps(names("", None)?),
            (_, ["buckets", bucket, "props"]) => Self::Props(names(bucket, None)?),
            (_, ["buckets", bucket, "keys"]) => Self::Keys(names(bucket, None)?),
            (_, ["buckets", bucket, "keys", key]) => Self::Value(names(bucket, Some(key))?),
            (_, ["buckets", bucket, "keys", key, "preflist"]) => {
                Self::PreferenceList(names(bucket, Some(key))?)
            }
            (Some(_), ["buckets", bucket, "datatypes"]) => Self::Data(names(bucket, None)?),
            (Some(_), ["buckets", bucket, "datatypes", key]) => {
                Self::Data(names(bucket, Some(key))?)
            }
            (_, ["buckets", _, "index", _, _] | ["buckets", _, "index", _, _, _]) => Self::Index,
            _ => Self::Nothing,
        })
    }
}

impl Names {
    /// The key that is named, or this one where none is.
    pub(super) fn key(&self, made_up: &[u8], limits: &Limits) -> Result<Key, Refusal> {
        let key = self.key.as_deref().unwrap_or(made_up);
        Ok(Key::new(&self.bucket_type, &self.bucket, key, limits)?)
    }

    /// Stands for the bucket.
    pub(super) fn any(&self, limits: &Limits) -> Result<Key, Refusal> {
        Ok(place::bucket(
            Some(&self.bucket_type),
            &self.bucket,
            limits,
        )?)
    }

    /// Stands for the bucket type.
    pub(super) fn any_of_type(&self, limits: &Limits) -> Result<Key, Refusal> {
        Ok(place::bucket_type(Some(&self.bucket_type), limits)?)
    }

    /// The path of a key in this bucket.
    pub(super) fn path_of(&self, key: &[u8]) -> String {
        let key = escaped(key);
        match self.is_old {
            true => format!("{}/{key}", self.bucket_path()),
            false => format!("{}/keys/{key}", self.bucket_path()),
        }
    }

    /// The path of this bucket.
    pub(super) fn bucket_path(&self) -> String {
        let bucket = escaped(&self.bucket);
        match &self.bucket_type[..] {
            DEFAULT_TYPE if self.is_old => format!("/riak/{bucket}"),
            DEFAULT_TYPE => format!("/buckets/{bucket}"),
            kind => format!("/types/{}/buckets/{bucket}", escaped(kind)),
        }
    }
}
