//! A bucket as Riak's clients know it, and what requests ask for within it.

use std::time::Duration;

use dynamo_proto::Bucket;
use dynamo_proto::node::Options;
use dynamo_proto::version::{DataType, Policy};

use super::props;
use super::quorum::Quorum;
use super::wishes::Wishes;

/// How a bucket is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ways {
    pub(crate) n: u8,
    /// Whether the node has more replicas than clients said that it should.
    pub(crate) is_narrowed: bool,
    /// What its keys are, if that is a type of data.
    pub(crate) data: Option<DataType>,
    /// Whether concurrent values are shown, and kept by writes that have not seen them. If not, a
    /// write goes over all that is there, and the last one is shown.
    pub(crate) allow_mult: bool,
    /// Whether the node itself keeps only the last one.
    pub(crate) last_write_wins: bool,
    pub(crate) r: Quorum,
    pub(crate) w: Quorum,
    pub(crate) pr: Quorum,
    pub(crate) pw: Quorum,
    pub(crate) dw: Quorum,
    pub(crate) rw: Quorum,
    pub(crate) basic_quorum: bool,
    pub(crate) notfound_ok: bool,
}

/// What is wished for is more than the bucket's so many replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MoreThan(pub(crate) u8);

impl Ways {
    /// Of a bucket. Those of the type `default` show one value, as they do in Riak, unless it was said
    /// that they show all.
    pub(crate) fn of(bucket: &Bucket, is_default: bool) -> Self {
        let said = props::said(bucket);
        let n = said.n_val.map_or(bucket.n, |n| bucket.n.min(n as u8));
        let quorum = |said: Option<u32>, number: u8| match said {
            Some(code) if Quorum::of_code(code) != Quorum::Default => Quorum::of_code(code),
            _ if number == bucket.n / 2 + 1 => Quorum::Most,
            _ => Quorum::Number(number.into()),
        };
        let is_data = matches!(bucket.policy, Policy::Data(_));
        let allow_mult = said.allow_mult.unwrap_or(!is_default);
        Self {
            n,
            is_narrowed: n < bucket.n,
            data: match bucket.policy {
                Policy::Data(kind) => Some(kind),
                Policy::Siblings | Policy::LastWriteWins { .. } => None,
            },
            allow_mult: is_data
                || (allow_mult && !matches!(bucket.policy, Policy::LastWriteWins { .. })),
            last_write_wins: matches!(bucket.policy, Policy::LastWriteWins { .. }),
            r: quorum(said.r, bucket.r),
            w: quorum(said.w, bucket.w),
            pr: quorum(said.pr, bucket.pr),
            pw: quorum(said.pw, bucket.pw),
            dw: quorum(said.dw, bucket.w),
            rw: quorum(said.rw, bucket.w),
            basic_quorum: said.basic_quorum.unwrap_or(bucket.majority_absent),
            notfound_ok: said.notfound_ok.unwrap_or(bucket.absent_counts),
        }
    }

    /// How a request departs from the bucket's ways as the node knows them.
    ///
    /// Whoever counts towards w has a write as durably as the bucket promises, so w and dw ask for the
    /// same, and the greater counts; only that the bucket's own dw is left out where a w is said. And
    /// each is on a host of its own, so `node_confirms` asks for as many answers.
    pub(crate) fn options(&self, wishes: &Wishes) -> Result<Options, MoreThan> {
        let n = match wishes.n_val {
            None => self.n,
            Some(asked) => match u8::try_from(asked) {
                Ok(asked @ 1..) if asked <= self.n => asked,
                _ => return Err(MoreThan(self.n)),
            },
        };
        let of = |asked: Option<Quorum>, usual: Quorum| {
            let asked = asked.and_then(|asked| asked.of(n));
            match asked.or(usual.of(n)).unwrap_or(0) {
                number if number > u32::from(n) => Err(MoreThan(n)),
                number => Ok(number as u8),
            }
        };
        let confirms = of(wishes.node_confirms.map(Quorum::Number), Quorum::Number(0))?;
        let r = of(wishes.r.or(wishes.rw), self.r)?.max(confirms);
        let (asked_w, asked_dw) = (wishes.w.or(wishes.rw), wishes.dw.or(wishes.rw));
        let usual_dw = match asked_w {
            None => self.dw,
            Some(_) => Quorum::Number(1),
        };
        let w = of(asked_w, self.w)?.max(of(asked_dw, usual_dw)?);
        let w = w.max(confirms);
        let is_strict = wishes.sloppy_quorum == Some(false);
        let (pr, pw) = (of(wishes.pr, self.pr)?, of(wishes.pw, self.pw)?);
        Ok(Options {
            n: (wishes.n_val.is_some() || self.is_narrowed).then_some(n),
            r: Some(r),
            w: Some(w),
            pr: Some(if is_strict { pr.max(r) } else { pr }),
            pw: Some(if is_strict { pw.max(w) } else { pw }),
            timeout: wishes
                .timeout
                .map(|timeout| Duration::from_millis(timeout.into())),
            absent_counts: Some(wishes.notfound_ok.unwrap_or(self.notfound_ok)),
            majority_absent: Some(wishes.basic_quorum.unwrap_or(self.basic_quorum)),
            ..Options::default()
        })
    }
}
