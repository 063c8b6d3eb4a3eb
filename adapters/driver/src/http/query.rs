//! What a query says about how a request is to be done.

use super::refusal::Refusal;
use crate::riak::quorum::Quorum;
use crate::riak::wishes::Wishes;

/// What a query says. What it says beyond that is nobody's business.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) wishes: Wishes,
    pub(super) returnbody: bool,
    /// Of an old counter: what it comes to.
    pub(super) returnvalue: bool,
    /// Whether data comes with what is needed to take something away from it.
    pub(super) include_context: Option<bool>,
    pub(super) vtag: Option<String>,
    pub(super) keys: Listing,
    pub(super) buckets: Listing,
    /// Whether an old URL of a bucket shows its properties.
    pub(super) props: Option<bool>,
    /// Where a page begins, and how long it is at most.
    pub(super) from: Option<usize>,
    pub(super) count: Option<usize>,
}

/// How names are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Listing {
    #[default]
    No,
    /// As one object.
    Whole,
    /// As an object for each page.
    Streamed,
}

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let mut query = Self::default();
        let wishes = &mut query.wishes;
        for item in text.split('&') {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            match name {
                "r" => wishes.r = quorum("r", value)?,
                "w" => wishes.w = quorum("w", value)?,
                "dw" => wishes.dw = quorum("dw", value)?,
                "pr" => wishes.pr = quorum("pr", value)?,
                "pw" => wishes.pw = quorum("pw", value)?,
                "rw" => wishes.rw = quorum("rw", value)?,
                "n_val" => wishes.n_val = Some(number(value)?),
                "node_confirms" => wishes.node_confirms = Some(number(value)?),
                "timeout" => {
                    let timeout = value.parse::<u64>().ok().filter(|timeout| *timeout > 0);
                    let timeout = timeout.ok_or(Refusal::Timeout)?;
                    wishes.timeout = Some(u32::try_from(timeout).unwrap_or(u32::MAX));
                }
                "notfound_ok" => wishes.notfound_ok = truth("notfound_ok", value)?,
                "basic_quorum" => wishes.basic_quorum = truth("basic_quorum", value)?,
                "sloppy_quorum" => wishes.sloppy_quorum = truth("sloppy_quorum", value)?,
                "returnbody" => query.returnbody = truth("returnbody", value)? == Some(true),
                "returnvalue" => query.returnvalue = truth("returnvalue", value)? == Some(true),
                "include_context" => query.include_context = truth("include_context", value)?,
                "vtag" => query.vtag = Some(value.to_owned()),
                "keys" => query.keys = listing(value),
                "buckets" => query.buckets = listing(value),
                "props" => query.props = Some(value != "false"),
                "from" => query.from = Some(number(value)?),
                "count" => query.count = Some(number(value)?),
                _ => {}
            }
        }
        Ok(query)
    }
}

/// None if it is for the bucket to say.
fn quorum(name: &'static str, text: &str) -> Result<Option<Quorum>, Refusal> {
    match Quorum::parse(text) {
        None => Err(Refusal::Quorum(name)),
        Some(Quorum::Default) => Ok(None),
        quorum => Ok(quorum),
    }
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, Refusal> {
    text.parse()
        .map_err(|_| Refusal::Malformed("a query parameter is no number"))
}

/// None if it is for the bucket to say.
fn truth(name: &'static str, text: &str) -> Result<Option<bool>, Refusal> {
    match &*text.to_ascii_lowercase() {
        "true" | "" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        "default" => Ok(None),
        _ => Err(Refusal::Truth(name)),
    }
}

fn listing(text: &str) -> Listing {
    match text {
        "true" => Listing::Whole,
        "stream" => Listing::Streamed,
        _ => Listing::No,
    }
}
