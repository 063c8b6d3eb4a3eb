//! Buckets' properties, as Riak's messages have them.

use bytes::{Bytes, BytesMut};
use dynamo_proto::Bucket;

use super::data;
use super::messages::{Function, Props};
use super::pb::Message;
use super::quorum::Quorum;
use super::refusal::{Kind, Refusal};
use super::ways::Ways;

/// What Riak says of those things that are not here.
const OLD_VCLOCK: u32 = 86_400;
const YOUNG_VCLOCK: u32 = 20;
const BIG_VCLOCK: u32 = 50;
const SMALL_VCLOCK: u32 = 50;

/// That a bucket is copied to other clusters, as far as there are any.
const REPLICATED: u32 = 3;

/// How many bits of a hash choose the register of a sketch.
const SKETCH_BITS: u32 = 14;

/// All of them. What is said of hooks, of the placing of keys and of the pruning of vclocks is what
/// Riak says of a bucket of which nothing was said; there are no such things here. That a bucket is
/// not written once is not said: a client that is older than that (riakpbc) then reads no property
/// at all, and to others what is not said is false.
pub(crate) fn shown(ways: &Ways, said: &Props) -> Props {
    let function = |module, function| Function {
        module: Bytes::from_static(module),
        function: Bytes::from_static(function),
    };
    let kind = ways.data.and_then(data::name);
    Props {
        n_val: Some(ways.n.into()),
        allow_mult: Some(ways.allow_mult),
        last_write_wins: Some(ways.last_write_wins),
        has_precommit: Some(true),
        has_postcommit: Some(true),
        chash_keyfun: Some(function(b"riak_core_util", b"chash_std_keyfun")),
        linkfun: Some(function(b"riak_kv_wm_link_walker", b"mapreduce_linkfun")),
        old_vclock: Some(said.old_vclock.unwrap_or(OLD_VCLOCK)),
        young_vclock: Some(said.young_vclock.unwrap_or(YOUNG_VCLOCK)),
        big_vclock: Some(said.big_vclock.unwrap_or(BIG_VCLOCK)),
        small_vclock: Some(said.small_vclock.unwrap_or(SMALL_VCLOCK)),
        pr: Some(ways.pr.code()),
        r: Some(ways.r.code()),
        w: Some(ways.w.code()),
        pw: Some(ways.pw.code()),
        dw: Some(ways.dw.code()),
        rw: Some(ways.rw.code()),
        basic_quorum: Some(ways.basic_quorum),
        notfound_ok: Some(ways.notfound_ok),
        repl: Some(REPLICATED),
        datatype: kind.map(|kind| Bytes::from_static(kind.as_bytes())),
        hll_precision: (kind == Some("hll")).then_some(SKETCH_BITS),
        ..Props::default()
    }
}

/// What clients have said of a bucket that is kept like this.
pub(crate) fn said(bucket: &Bucket) -> Props {
    Props::decode(Bytes::copy_from_slice(&bucket.notes)).unwrap_or_default()
}

/// What is to be noted of a bucket after somebody has set some of its properties; an error if one of
/// them is not to be had.
pub(crate) fn set(bucket: &Bucket, ways: &Ways, asked: &Props) -> Result<Vec<u8>, Refusal> {
    check(ways, asked, bucket.n)?;
    let before = said(bucket);
    macro_rules! or {
        ($($field:ident)*) => {
            Props {
                $($field: asked.$field.or(before.$field),)*
                ..Props::default()
            }
        };
    }
    let after = or!(n_val allow_mult old_vclock young_vclock big_vclock small_vclock pr r w pw dw rw
        basic_quorum notfound_ok);
    let mut notes = BytesMut::new();
    after.write(&mut notes);
    Ok(notes.to_vec())
}

fn check(ways: &Ways, asked: &Props, n: u8) -> Result<(), Refusal> {
    let bad = |name, why| {
        let text = format!("Invalid bucket properties: [{{{name},{why}}}]");
        Err(Refusal::of_kind(Kind::Property(name, why), text))
    };
    match asked.n_val {
        Some(0) => return bad("n_val", "not_integer"),
        Some(asked) if asked > n.into() => return bad("n_val", "more_than_the_bucket_type_has"),
        _ => {}
    }
    let quorums = [
        ("r", asked.r, 1),
        ("w", asked.w, 1),
        ("rw", asked.rw, 1),
        ("dw", asked.dw, 0),
        ("pr", asked.pr, 0),
        ("pw", asked.pw, 0),
    ];
    for (name, code, least) in quorums {
        if let Some(Quorum::Number(number)) = code.map(Quorum::of_code)
            && (number < least || number > u8::MAX.into())
        {
            return bad(name, "not_valid_quorum");
        }
    }
    for (name, size) in [
        ("old_vclock", asked.old_vclock),
        ("big_vclock", asked.big_vclock),
        ("small_vclock", asked.small_vclock),
    ] {
        if size == Some(0) {
            return bad(name, "not_integer");
        }
    }
    let kind = ways.data.and_then(data::name);
    let changes = |asked: Option<bool>, is: bool| asked.is_some_and(|asked| asked != is);
    let other = |asked: &Option<Bytes>, is: Option<&str>| {
        asked
            .as_deref()
            .is_some_and(|asked| is.map(str::as_bytes) != Some(asked))
    };
    let usual = shown(ways, &Props::default());
    let is_other = |asked: &Option<Function>, is| asked.is_some() && *asked != is;
    let fixed = [
        ("datatype", other(&asked.datatype, kind)),
        (
            "allow_mult",
            ways.data.is_some() && changes(asked.allow_mult, true),
        ),
        (
            "last_write_wins",
            changes(asked.last_write_wins, ways.last_write_wins),
        ),
        ("write_once", changes(asked.write_once, false)),
        (
            "hll_precision",
            asked.hll_precision.is_some_and(|bits| bits != SKETCH_BITS),
        ),
    ];
    if let Some((name, _)) = fixed.iter().find(|(_, is_changed)| *is_changed) {
        return bad(name, "cannot_be_changed");
    }
    let absent = [
        ("precommit", !asked.precommit.is_empty()),
        ("postcommit", !asked.postcommit.is_empty()),
        (
            "chash_keyfun",
            is_other(&asked.chash_keyfun, usual.chash_keyfun),
        ),
        ("linkfun", is_other(&asked.linkfun, usual.linkfun)),
        ("repl", asked.repl.is_some_and(|repl| repl != REPLICATED)),
        ("backend", asked.backend.is_some()),
        ("search", asked.search == Some(true)),
        (
            "search_index",
            asked.search_index.as_ref().is_some_and(|it| !it.is_empty()),
        ),
        ("consistent", asked.consistent == Some(true)),
    ];
    match absent.iter().find(|(_, is_asked)| *is_asked) {
        Some((name, _)) => bad(name, "not_supported"),
        None => Ok(()),
    }
}
