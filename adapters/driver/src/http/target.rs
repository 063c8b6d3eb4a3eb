//! What a request is about: the path, and what its query says about how.

use std::time::Duration;

use dynamo_proto::node::Options;
use dynamo_proto::{Bucket, Key, Limits};

use super::refusal::Refusal;
use super::text::unescaped;
use crate::riak::quorum::Quorum;

const BUCKET_TYPE: &[u8] = b"default";

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Ping,
    Ready,
    Health,
    Metrics,
    Status,
    Ring,
    Cluster,
    /// A key's value.
    Value(Names),
    /// Whoever is on duty for a key.
    PreferenceList(Names),
    /// A bucket, in which a key is made up.
    Keys(Names),
    Nothing,
}

/// A bucket's type, the bucket, and a key, which may have to be made up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) bucket_type: Vec<u8>,
    pub(super) bucket: Vec<u8>,
    pub(super) key: Vec<u8>,
}

/// What a query says. What it says beyond that is nobody's business.
#[derive(Debug, Default)]
pub(super) struct Query {
    r: Option<Quorum>,
    w: Option<Quorum>,
    dw: Option<Quorum>,
    pr: Option<Quorum>,
    pw: Option<Quorum>,
    timeout: Option<Duration>,
    notfound_ok: Option<bool>,
    basic_quorum: Option<bool>,
    pub(super) returnbody: bool,
    pub(super) vtag: Option<String>,
    /// Where a page begins, and how long it is at most.
    pub(super) from: Option<usize>,
    pub(super) count: Option<usize>,
}

impl Target {
    pub(super) fn parse(path: &str) -> Result<Self, Refusal> {
        let parts: Vec<_> = path.split('/').skip(1).collect();
        let names = |bucket_type: Option<&str>, bucket, key: Option<&str>| {
            let part = |part| unescaped(part).ok_or(Refusal::Malformed("a broken %-escape"));
            Ok::<_, Refusal>(Names {
                bucket_type: bucket_type.map_or(Ok(BUCKET_TYPE.to_vec()), part)?,
                bucket: part(bucket)?,
                key: key.map_or(Ok(Vec::new()), part)?,
            })
        };
        Ok(match parts[..] {
            ["ping"] => Self::Ping,
            ["ready"] => Self::Ready,
            ["health"] => Self::Health,
            ["metrics"] => Self::Metrics,
            ["status"] => Self::Status,
            ["ring"] => Self::Ring,
            ["cluster"] => Self::Cluster,
            ["buckets", bucket, "keys"] => Self::Keys(names(None, bucket, None)?),
            ["buckets", bucket, "keys", key] => Self::Value(names(None, bucket, Some(key))?),
            ["buckets", bucket, "keys", key, "preflist"] => {
                Self::PreferenceList(names(None, bucket, Some(key))?)
            }
            ["types", kind, "buckets", bucket, "keys"] => {
                Self::Keys(names(Some(kind), bucket, None)?)
            }
            ["types", kind, "buckets", bucket, "keys", key] => {
                Self::Value(names(Some(kind), bucket, Some(key))?)
            }
            ["types", kind, "buckets", bucket, "keys", key, "preflist"] => {
                Self::PreferenceList(names(Some(kind), bucket, Some(key))?)
            }
            _ => Self::Nothing,
        })
    }
}

impl Names {
    pub(super) fn key(&self, limits: &Limits) -> Result<Key, Refusal> {
        Ok(Key::new(
            &self.bucket_type,
            &self.bucket,
            &self.key,
            limits,
        )?)
    }
}

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for item in text.split('&') {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            match name {
                "r" => query.r = quorum(value)?,
                "w" => query.w = quorum(value)?,
                "dw" => query.dw = quorum(value)?,
                "pr" => query.pr = quorum(value)?,
                "pw" => query.pw = quorum(value)?,
                "timeout" => query.timeout = Some(Duration::from_millis(number(value)?)),
                "notfound_ok" => query.notfound_ok = Some(truth(value)?),
                "basic_quorum" => query.basic_quorum = Some(truth(value)?),
                "returnbody" => query.returnbody = truth(value)?,
                "vtag" => query.vtag = Some(value.to_owned()),
                "from" => query.from = Some(number(value)? as usize),
                "count" => query.count = Some(number(value)? as usize),
                _ => {}
            }
        }
        Ok(query)
    }

    /// How the request departs from its bucket's ways. Whoever counts towards w has a write as
    /// durably as the bucket promises, so w and dw ask for the same.
    pub(super) fn options(&self, bucket: &Bucket) -> Options {
        let of = |quorum: Option<Quorum>| {
            let number = quorum.and_then(|quorum| quorum.of(bucket.n));
            number.map(|number| number as u8) // no more than that when it was read
        };
        Options {
            r: of(self.r),
            w: of(self.w).max(of(self.dw)),
            pr: of(self.pr),
            pw: of(self.pw),
            timeout: self.timeout,
            absent_counts: self.notfound_ok,
            majority_absent: self.basic_quorum,
            ..Options::default()
        }
    }
}

fn quorum(text: &str) -> Result<Option<Quorum>, Refusal> {
    match Quorum::parse(text) {
        None | Some(Quorum::Number(256..)) => Err(Refusal::Malformed(
            "a quorum is a number, one, quorum, all or default",
        )),
        quorum => Ok(quorum),
    }
}

fn number(text: &str) -> Result<u64, Refusal> {
    text.parse()
        .map_err(|_| Refusal::Malformed("a query parameter is no number"))
}

fn truth(text: &str) -> Result<bool, Refusal> {
    match text {
        "true" | "" => Ok(true),
        "false" => Ok(false),
        _ => Err(Refusal::Malformed(
            "a query parameter is neither true nor false",
        )),
    }
}
