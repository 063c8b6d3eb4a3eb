//! What a request comes to, by what it is about and what is to be done with that.

use bytes::Bytes;
use dynamo_proto::Key;
use serde_json::json;

use super::answer::{Answer, JSON, TEXT};
use super::asked::Asked;
use super::head::{Head, Method};
use super::list::Telling;
use super::query::Listing;
use super::refusal::Refusal;
use super::target::{Names, Target};
use super::{about, data, props};
use crate::admin::Command;
use crate::front::Desk;
use crate::riak::data::{self as data_types, Change, Fetch, Returns};
use crate::riak::exchange::Job;
use crate::riak::listing::List;
use crate::riak::place::{self, DEFAULT_TYPE};
use crate::riak::refusal as riak;
use crate::riak::ways::Ways;

pub(super) enum Started {
    Said(Answer),
    Told(Command),
    /// The cluster is told what a client says of a bucket.
    Noting(Command),
    Asked(Box<Asked>),
}

/// Has a request begin.
pub(super) fn start(head: Head, body: Bytes, desk: &mut Desk<'_>) -> Result<Started, Refusal> {
    let site = &desk.site;
    let method = head.method;
    let is_read = matches!(method, Method::Get | Method::Head);
    let said = |answer| Ok(Started::Said(answer));
    match head.target.clone() {
        Target::Nothing => Err(Refusal::Nothing),
        Target::Index => Err(Refusal::NoIndexes),
        Target::Value(names) => Asked::value(head, names, body, desk).map(Started::Asked),
        Target::Keys(names) if method == Method::Post => {
            Asked::value(head, names, body, desk).map(Started::Asked)
        }
        Target::Keys(names) if is_read => list_keys(head, names, String::new(), desk),
        Target::Keys(_) => Err(Refusal::Method("GET, HEAD, POST")),
        Target::OldBucket(names) => old_bucket(head, names, body, desk),
        Target::Buckets(names) if is_read => list_buckets(head, names, desk),
        Target::Props(names) => of_bucket(&head, &names, &body, desk),
        Target::TypeProps(names) => of_type(&head, &names, &body, desk),
        Target::Counter(names) => counter(head, names, &body, desk),
        Target::Data(names) => data_type(head, names, &body, desk),
        Target::Cluster if is_read => Ok(Started::Told(Command::Status)),
        Target::Cluster if method == Method::Post => command(&head, &body).map(Started::Told),
        Target::Cluster => Err(Refusal::Method("GET, HEAD, POST")),
        _ if !is_read => Err(Refusal::Method("GET, HEAD")),
        Target::Resources => said(about::resources()),
        // A client of Riak compares it with these two letters.
        Target::Ping => said(Answer::new(200).with_body(TEXT, "OK")),
        Target::Stats => said(about::stats(site)),
        Target::Ready => said(about::ready(site)),
        Target::Health => said(Answer::text(200, "OK")),
        Target::Metrics => said(about::metrics(site)),
        Target::Status => said(about::status(site)),
        Target::Ring => said(about::ring(site, &head.query)),
        Target::Watch => said(about::watch()),
        Target::PreferenceList(names) => {
            let key = names.key(b"", &site.config.limits)?;
            ways(&key, desk)?;
            said(about::preference_list(&key, site))
        }
        Target::Buckets(_) => Err(Refusal::Method("GET, HEAD")),
    }
}

/// A command for the cluster. A page in somebody's browser cannot send one: it would have to ask
/// first whether it may say that it sends JSON.
fn command(head: &Head, body: &[u8]) -> Result<Command, Refusal> {
    if head.fields.content_type.as_deref() != Some(JSON) {
        return Err(Refusal::NoJson);
    }
    serde_json::from_slice(body).map_err(|_| Refusal::NoCommand)
}

/// How the bucket is kept that this key is in.
fn ways(any: &Key, desk: &Desk<'_>) -> Result<Ways, Refusal> {
    let no_type = || riak::Refusal::no_such_type(any.bucket_type());
    Ok(place::ways(any, desk).ok_or_else(no_type)?)
}

fn list_keys(
    head: Head,
    names: Names,
    before: String,
    desk: &Desk<'_>,
) -> Result<Started, Refusal> {
    let any = names.any(&desk.site.config.limits)?;
    list(head, names, any, ("keys", before, List::keys()), desk)
}

fn list_buckets(head: Head, names: Names, desk: &Desk<'_>) -> Result<Started, Refusal> {
    let any = names.any_of_type(&desk.site.config.limits)?;
    let list_of = List::buckets(head.query.buckets == Listing::Streamed);
    list(head, names, any, ("buckets", String::new(), list_of), desk)
}

/// Names of that kind, told after that. Who does not ask for them, or not for the body, gets none.
fn list(
    head: Head,
    names: Names,
    any: Key,
    (what, before, list): (&'static str, String, List),
    desk: &Desk<'_>,
) -> Result<Started, Refusal> {
    ways(&any, desk)?;
    let how = match what {
        "keys" => head.query.keys,
        _ => head.query.buckets,
    };
    if how == Listing::No || head.method == Method::Head {
        let body = format!("{{{}}}", before.trim_end_matches(','));
        return Ok(Started::Said(Answer::new(200).with_body(JSON, body)));
    }
    let telling = Telling::new(what, before, how, head.takes_chunks);
    let asked = Asked::listing(head, names, any, Job::List(list), telling, desk);
    asked.map(Started::Asked)
}

/// What old URLs have in one place.
fn old_bucket(
    head: Head,
    names: Names,
    body: Bytes,
    desk: &mut Desk<'_>,
) -> Result<Started, Refusal> {
    match head.method {
        Method::Post => Asked::value(head, names, body, desk).map(Started::Asked),
        Method::Put => of_bucket(&head, &names, &body, desk),
        Method::Get | Method::Head => {
            let before = match head.query.props {
                Some(false) => String::new(),
                _ => format!("\"props\":{},", shown(&names, desk)?),
            };
            list_keys(head, names, before, desk)
        }
        Method::Delete => Err(Refusal::Method("GET, HEAD, PUT, POST")),
    }
}

/// A bucket's properties.
fn shown(names: &Names, desk: &Desk<'_>) -> Result<serde_json::Value, Refusal> {
    let any = names.any(&desk.site.config.limits)?;
    let ways = ways(&any, desk)?;
    let said = crate::riak::props::said(desk.site.buckets.of(&any));
    let shown = crate::riak::props::shown(&ways, &said);
    Ok(props::json(Some(&names.bucket), &shown))
}

fn of_bucket(head: &Head, names: &Names, body: &[u8], desk: &Desk<'_>) -> Result<Started, Refusal> {
    let any = names.any(&desk.site.config.limits)?;
    let ways = ways(&any, desk)?;
    let kept = desk.site.buckets.of(&any);
    let notes = match head.method {
        Method::Get | Method::Head => return props_answer(&shown(names, desk)?),
        Method::Put => crate::riak::props::set(kept, &ways, &props::parse(body)?)?,
        Method::Delete => {
            let of_type = desk.site.buckets.of_type(any.bucket_type());
            of_type.notes.clone()
        }
        Method::Post => return Err(Refusal::Method("GET, HEAD, PUT, DELETE")),
    };
    if notes == kept.notes {
        return Ok(Started::Said(Answer::new(204)));
    }
    Ok(Started::Noting(Command::Note {
        bucket_type: any.bucket_type().to_vec(),
        bucket: Some(any.bucket().to_vec()),
        notes,
    }))
}

fn of_type(head: &Head, names: &Names, body: &[u8], desk: &Desk<'_>) -> Result<Started, Refusal> {
    let (kept, ways) = place::of_type(&names.bucket_type, desk)?;
    let notes = match head.method {
        Method::Get | Method::Head => {
            let said = crate::riak::props::said(kept);
            let shown = crate::riak::props::shown(&ways, &said);
            return props_answer(&props::json(None, &shown));
        }
        Method::Put if names.bucket_type == DEFAULT_TYPE => {
            let why = json!({ "type": "no_default_update" });
            return Err(Refusal::Props(why.to_string()));
        }
        Method::Put => crate::riak::props::set(kept, &ways, &props::parse(body)?)?,
        Method::Post | Method::Delete => return Err(Refusal::Method("GET, HEAD, PUT")),
    };
    if notes == kept.notes {
        return Ok(Started::Said(Answer::new(204)));
    }
    Ok(Started::Noting(Command::Note {
        bucket_type: names.bucket_type.clone(),
        bucket: None,
        notes,
    }))
}

fn props_answer(props: &serde_json::Value) -> Result<Started, Refusal> {
    let body = json!({ "props": props }).to_string();
    Ok(Started::Said(Answer::new(200).with_body(JSON, body)))
}

/// A counter of Riak 1.4.
fn counter(head: Head, names: Names, body: &[u8], desk: &Desk<'_>) -> Result<Started, Refusal> {
    let limits = &desk.site.config.limits;
    place::data_type(DEFAULT_TYPE, &names.bucket, desk)?;
    let named = names.key.as_deref().unwrap_or_default();
    let key = place::data_key(DEFAULT_TYPE, &names.bucket, named, limits)?;
    let job = match head.method {
        Method::Get | Method::Head => Job::GetCount,
        Method::Post => {
            let text = str::from_utf8(body).unwrap_or_default().trim();
            let by = text.parse();
            let by = by.map_err(|_| Refusal::Malformed("a counter is changed by a number"))?;
            Job::Count(Change::count(by, head.query.returnvalue))
        }
        Method::Put | Method::Delete => return Err(Refusal::Method("GET, HEAD, POST")),
    };
    Asked::data(head, names, key, job, desk).map(Started::Asked)
}

/// Data of one of the types that a bucket type may have.
fn data_type(
    head: Head,
    names: Names,
    body: &[u8],
    desk: &mut Desk<'_>,
) -> Result<Started, Refusal> {
    let limits = &desk.site.config.limits;
    let made_up = match names.key {
        None => place::made_up(desk.dice),
        Some(_) => Bytes::new(),
    };
    let key = names.key(&made_up, limits)?;
    let ways = ways(&key, desk)?;
    if names.bucket_type == DEFAULT_TYPE {
        let text = "Counters in the default bucket-type should use the legacy URL";
        let key = super::text::escaped(key.key());
        let place = format!("{}/counters/{key}", names.bucket_path());
        let answer = Answer::text(301, text).with("Location", place);
        return Ok(Started::Said(answer));
    }
    let Some(kind) = ways.data.filter(|kind| data_types::name(*kind).is_some()) else {
        let name = ways.data.map_or("undefined", |kind| kind.name());
        return Err(Refusal::NoData(name));
    };
    let with_context = head.query.include_context.unwrap_or(true);
    let job = match head.method {
        Method::Get | Method::Head if names.key.is_none() => return Err(Refusal::Nothing),
        Method::Get | Method::Head => Job::Fetch(Fetch {
            kind,
            include_context: with_context,
        }),
        Method::Post => {
            let sent = head.fields.content_type.as_deref().unwrap_or_default();
            if sent.split(';').next().map(str::trim) != Some(JSON) {
                return Err(Refusal::NoUpdate);
            }
            let (op, context) = data::parse(body, kind)?;
            let update = data_types::update(op, kind)?;
            let returns = match head.query.returnbody {
                true => Returns::Value { with_context },
                false => Returns::Nothing,
            };
            let is_key_new = names.key.is_none();
            Job::Change(Change::new(kind, update, context, returns, is_key_new))
        }
        Method::Put | Method::Delete => return Err(Refusal::Method("GET, HEAD, POST")),
    };
    Asked::data(head, names, key, job, desk).map(Started::Asked)
}
