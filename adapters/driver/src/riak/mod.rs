//! Riak's Protocol Buffers interface: what its client libraries speak.
//!
//! ```text
//!   u32 length | u8 code | message      one way and the other
//! ```
//!
//! - One request of a connection is under way at a time; those behind it wait where they were
//!   received.
//! - A context is what Riak calls a vclock: its causal part only, so that equal states give equal
//!   bytes.
//! - Buckets of the type `default` show one value, the last, unless it was said that they keep
//!   siblings; a write goes over what is there. Concurrent writes are kept beside each other all the
//!   same until one follows them, so nothing is lost where that is changed.
//! - What Riak's clients find out by the text of an error is in Riak's words.
//! - What is asked of the node and what clients are told is the same over HTTP, which says it in its
//!   own way.
//! - A message that cannot be decoded is the end of the connection, after an error. A context that was
//!   not given out for that key is an error, and no more.

pub(crate) mod data;
pub(crate) mod exchange;
pub(crate) mod listing;
pub(crate) mod messages;
pub(crate) mod object;
pub(crate) mod pb;
pub(crate) mod place;
pub(crate) mod props;
pub(crate) mod quorum;
pub(crate) mod refusal;
pub(crate) mod values;
pub(crate) mod ways;
pub(crate) mod wishes;

use bytes::{Buf as _, Bytes, BytesMut};
use dynamo_proto::node::{Condition, Response};
use dynamo_proto::{Key, Limits};

use self::exchange::{Exchange, Job, Next, Said, Undone};
use self::messages::*;
use self::pb::Message as _;
use self::place::{
    DEFAULT_TYPE, data_key, data_type, key, made_up, node_name, of_type, preference_list, ways,
};
use self::refusal::Refusal;
use self::wishes::Wishes;
use crate::admin::{Command, Refused};
use crate::front::{Desk, Front, Goodbye, Ticket};

/// What clients take for the version of Riak: they use what that one could do.
pub(crate) const VERSION: &str = "2.9.10";

const LENGTH: usize = size_of::<u32>();

/// What a message may take beside the longest value with all that is said of it.
const BESIDE_BYTES: usize = 64 << 10;

/// Longest name that a client may give itself.
const NAME_BYTES: usize = 256;

/// What a client is called that has not said.
const NOBODY: &[u8] = &[0; 4];

/// Requests are asked one at a time.
const TICKET: Ticket = Ticket(0);

/// One connection of a client of Riak.
#[derive(Debug, Default)]
pub struct Riak {
    state: State,
    wants: usize,
    /// What the client calls itself.
    name: Option<Bytes>,
}

#[derive(Debug, Default)]
enum State {
    /// A frame is waited for.
    #[default]
    Idle,
    /// One was too long: this many of its bytes are still to come.
    Dropping { left: usize, len: usize },
    /// The node is waited for.
    Asked(Box<Exchange>),
    /// A change of a bucket's properties is waited for, to be answered with this code.
    Noting(u8),
}

/// What a request comes to.
enum Started {
    /// It is answered.
    Said,
    Asked(Box<Exchange>),
    Noting(u8),
}

impl Riak {
    /// A connection that has just begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame is there whole.
    fn run(&mut self, code: u8, body: Bytes, desk: &mut Desk<'_>) -> Result<(), Goodbye> {
        match self.start(code, body, desk) {
            Ok(Started::Said) => Ok(()),
            Ok(Started::Asked(mut exchange)) => {
                let operation = exchange.first();
                exchange.ask(operation, desk);
                self.state = State::Asked(exchange);
                Ok(())
            }
            Ok(Started::Noting(code)) => {
                self.state = State::Noting(code);
                Ok(())
            }
            Err(refusal) => refuse(refusal, desk),
        }
    }

    /// Notes what was said of a bucket, if that is news.
    fn note(
        &self,
        any: &Key,
        notes: Vec<u8>,
        kept: &dynamo_proto::Bucket,
        code: u8,
        desk: &mut Desk<'_>,
    ) -> Started {
        if notes == kept.notes {
            write_empty(code, desk.out);
            return Started::Said;
        }
        let command = Command::Note {
            bucket_type: any.bucket_type().to_vec(),
            bucket: Some(any.bucket().to_vec()),
            notes,
        };
        desk.commands.push((TICKET, command));
        Started::Noting(code)
    }

    fn start(&mut self, code: u8, body: Bytes, desk: &mut Desk<'_>) -> Result<Started, Refusal> {
        let limits = &desk.site.config.limits;
        match code {
            PING => write_empty(PONG, desk.out),
            GET_CLIENT_ID => {
                let client_id = self.name.clone();
                let client_id = client_id.unwrap_or(Bytes::from_static(NOBODY));
                write(CLIENT_ID, &ClientId { client_id }, desk.out);
            }
            SET_CLIENT_ID => {
                let ClientId { client_id } = ClientId::decode(body)?;
                let name = &client_id[..client_id.len().min(NAME_BYTES)];
                self.name = Some(Bytes::copy_from_slice(name));
                write_empty(CLIENT_ID_SET, desk.out);
            }
            GET_SERVER_INFO => {
                let info = ServerInfo {
                    node: node_name(desk.site.config.node),
                    server_version: VERSION.into(),
                };
                write(SERVER_INFO, &info, desk.out);
            }
            GET => {
                let asked = Get::decode(body)?;
                let key = key(
                    asked.bucket_type.as_deref(),
                    &asked.bucket,
                    &asked.key,
                    limits,
                )?;
                let job = Job::Get(values::Get::new(&asked));
                return begin(key, &asked.wishes(), job, desk);
            }
            PUT => {
                let mut asked = Put::decode(body)?;
                let name = asked.key.take();
                let is_key_new = name.is_none();
                let name = name.unwrap_or_else(|| made_up(desk.dice));
                let key = key(asked.bucket_type.as_deref(), &asked.bucket, &name, limits)?;
                let content = std::mem::take(&mut asked.content);
                let content = object::read(content, limits)?;
                let put = values::Put::new(&asked, content, is_key_new)?;
                return begin(key, &asked.wishes(), Job::Put(put), desk);
            }
            DELETE => {
                let asked = Delete::decode(body)?;
                let key = key(
                    asked.bucket_type.as_deref(),
                    &asked.bucket,
                    &asked.key,
                    limits,
                )?;
                let job = Job::Delete(values::Delete::new(asked.vclock.clone(), Condition::None));
                return begin(key, &asked.wishes(), job, desk);
            }
            GET_BUCKET => {
                let OfBucket {
                    bucket,
                    bucket_type,
                } = OfBucket::decode(body)?;
                let bucket_type = bucket_type.as_deref().unwrap_or(DEFAULT_TYPE);
                let any = place::bucket(Some(bucket_type), &bucket, limits)?;
                let ways = ways(&any, desk).ok_or_else(|| Refusal::no_such_type(bucket_type))?;
                let props = props::shown(&ways, &props::said(desk.site.buckets.of(&any)));
                write(BUCKET, &Bucket { props }, desk.out);
            }
            GET_BUCKET_TYPE => {
                let GetBucketType { bucket_type } = GetBucketType::decode(body)?;
                let (kept, ways) = of_type(&bucket_type, desk)?;
                let props = props::shown(&ways, &props::said(kept));
                write(BUCKET, &Bucket { props }, desk.out);
            }
            SET_BUCKET => {
                let asked = SetBucket::decode(body)?;
                let bucket_type = asked.bucket_type.as_deref().unwrap_or(DEFAULT_TYPE);
                let any = place::bucket(Some(bucket_type), &asked.bucket, limits)?;
                let ways = ways(&any, desk).ok_or_else(|| Refusal::no_such_type(bucket_type))?;
                let kept = desk.site.buckets.of(&any);
                let notes = props::set(kept, &ways, &asked.props)?;
                return Ok(self.note(&any, notes, kept, BUCKET_SET, desk));
            }
            RESET_BUCKET => {
                let OfBucket {
                    bucket,
                    bucket_type,
                } = OfBucket::decode(body)?;
                let bucket_type = bucket_type.as_deref().unwrap_or(DEFAULT_TYPE);
                let any = place::bucket(Some(bucket_type), &bucket, limits)?;
                ways(&any, desk).ok_or_else(|| Refusal::no_such_type(bucket_type))?;
                let kept = desk.site.buckets.of(&any);
                let notes = desk.site.buckets.of_type(bucket_type).notes.clone();
                return Ok(self.note(&any, notes, kept, BUCKET_RESET, desk));
            }
            SET_BUCKET_TYPE => {
                let SetBucketType { bucket_type, props } = SetBucketType::decode(body)?;
                if bucket_type == DEFAULT_TYPE {
                    let text = "Invalid bucket properties: no_default_update";
                    return Err(Refusal::new(text));
                }
                let (kept, ways) = of_type(&bucket_type, desk)?;
                let notes = props::set(kept, &ways, &props)?;
                if notes == kept.notes {
                    write_empty(BUCKET_SET, desk.out);
                    return Ok(Started::Said);
                }
                let command = Command::Note {
                    bucket_type: bucket_type.to_vec(),
                    bucket: None,
                    notes,
                };
                desk.commands.push((TICKET, command));
                return Ok(Started::Noting(BUCKET_SET));
            }
            LIST_BUCKETS => {
                let asked = ListBuckets::decode(body)?;
                let bucket_type = asked.bucket_type.as_deref().unwrap_or(DEFAULT_TYPE);
                let any = place::bucket_type(Some(bucket_type), limits)?;
                let list = listing::List::buckets(asked.stream.unwrap_or(false));
                return list_by(any, &asked.wishes(), list, desk);
            }
            LIST_KEYS => {
                let asked = ListKeys::decode(body)?;
                let bucket_type = asked.bucket_type.as_deref().unwrap_or(DEFAULT_TYPE);
                let any = place::bucket(Some(bucket_type), &asked.bucket, limits)?;
                return list_by(any, &asked.wishes(), listing::List::keys(), desk);
            }
            GET_PREFLIST => {
                let asked = GetPreflist::decode(body)?;
                let bucket_type = asked.bucket_type.as_deref();
                let key = key(bucket_type, &asked.bucket, &asked.key, limits)?;
                write(PREFLIST, &preference_list(&key, desk), desk.out);
            }
            FETCH_DATA => {
                let asked = FetchData::decode(body)?;
                let kind = data_type(&asked.bucket_type, &asked.bucket, desk)?;
                let key = data_key(&asked.bucket_type, &asked.bucket, &asked.key, limits)?;
                let fetch = data::Fetch {
                    kind,
                    include_context: asked.include_context.unwrap_or(true),
                };
                return begin(key, &asked.wishes(), Job::Fetch(fetch), desk);
            }
            UPDATE_DATA => {
                let mut asked = UpdateData::decode(body)?;
                let kind = data_type(&asked.bucket_type, &asked.bucket, desk)?;
                let name = asked.key.take();
                let is_key_new = name.is_none();
                let name = name.unwrap_or_else(|| made_up(desk.dice));
                let key = data_key(&asked.bucket_type, &asked.bucket, &name, limits)?;
                let update = data::update(std::mem::take(&mut asked.op), kind)?;
                let with_context = asked.include_context.unwrap_or(true);
                let returns = match asked.return_body {
                    Some(true) => data::Returns::Value { with_context },
                    _ => data::Returns::Nothing,
                };
                let context = asked.context.clone();
                let change = data::Change::new(kind, update, context, returns, is_key_new);
                return begin(key, &asked.wishes(), Job::Change(change), desk);
            }
            GET_COUNTER => {
                let asked = GetCounter::decode(body)?;
                data_type(DEFAULT_TYPE, &asked.bucket, desk)?;
                let key = data_key(DEFAULT_TYPE, &asked.bucket, &asked.key, limits)?;
                return begin(key, &asked.wishes(), Job::GetCount, desk);
            }
            UPDATE_COUNTER => {
                let asked = UpdateCounter::decode(body)?;
                data_type(DEFAULT_TYPE, &asked.bucket, desk)?;
                let key = data_key(DEFAULT_TYPE, &asked.bucket, &asked.key, limits)?;
                let returns_it = asked.returnvalue.unwrap_or(false);
                let change = data::Change::count(asked.amount.0, returns_it);
                return begin(key, &asked.wishes(), Job::Count(change), desk);
            }
            START_TLS => {
                return Err(Refusal::new("Security not enabled; STARTTLS not allowed."));
            }
            unknown => return Err(Refusal::unknown_code(unknown)),
        }
        Ok(Started::Said)
    }
}

impl Front for Riak {
    fn receive(&mut self, input: &mut BytesMut, desk: &mut Desk<'_>) -> Result<(), Goodbye> {
        self.wants = 0;
        loop {
            match &mut self.state {
                State::Asked(_) | State::Noting(_) => return Ok(()),
                State::Dropping { left, len } => {
                    let there = (*left).min(input.len());
                    input.advance(there);
                    *left -= there;
                    if *left > 0 {
                        return Ok(());
                    }
                    let len = *len;
                    self.state = State::Idle;
                    refuse(Refusal::too_large(len), desk)?;
                }
                State::Idle if !desk.has_room() => return Ok(()),
                State::Idle => {
                    let Some(len) = input.first_chunk::<LENGTH>() else {
                        return Ok(());
                    };
                    let len = u32::from_be_bytes(*len) as usize;
                    if len == 0 {
                        return Err(Goodbye::Senseless("a frame without a code"));
                    }
                    if len > longest(&desk.site.config.limits) {
                        input.advance(LENGTH);
                        self.state = State::Dropping { left: len, len };
                        continue;
                    }
                    if input.len() < LENGTH + len {
                        self.wants = LENGTH + len - input.len();
                        return Ok(());
                    }
                    let mut frame = input.split_to(LENGTH + len).freeze();
                    let code = frame[LENGTH];
                    self.run(code, frame.split_off(LENGTH + 1), desk)?;
                }
            }
        }
    }

    fn answered(
        &mut self,
        _: Ticket,
        response: Response,
        desk: &mut Desk<'_>,
    ) -> Result<(), Goodbye> {
        let State::Asked(mut exchange) = std::mem::take(&mut self.state) else {
            return Ok(());
        };
        let operation = match exchange.answered(response, desk.now.mono) {
            Ok(Next::Say(said)) => {
                said.write(desk.out);
                return Ok(());
            }
            Ok(Next::Ask(operation)) => operation,
            Ok(Next::Tell(said, operation)) => {
                said.write(desk.out);
                operation
            }
            Err(Undone::Refused(refusal)) => return refuse(refusal, desk),
            Err(Undone::Failed(response)) => {
                return refuse(Refusal::of(&response, &exchange), desk);
            }
        };
        exchange.ask(operation, desk);
        self.state = State::Asked(exchange);
        Ok(())
    }

    fn administered(
        &mut self,
        _: Ticket,
        outcome: Result<serde_json::Value, Refused>,
        desk: &mut Desk<'_>,
    ) -> Result<(), Goodbye> {
        let State::Noting(code) = std::mem::take(&mut self.state) else {
            return Ok(());
        };
        match outcome {
            Ok(_) => {
                write_empty(code, desk.out);
                Ok(())
            }
            Err(refused) => refuse(Refusal::new(refused.to_string()), desk),
        }
    }

    fn kept_back(&self) -> usize {
        0
    }

    fn wants(&self) -> usize {
        self.wants
    }

    fn turn_away(&self, out: &mut BytesMut) {
        Refusal::new("overload").write(out);
    }
}

fn refuse(refusal: Refusal, desk: &mut Desk<'_>) -> Result<(), Goodbye> {
    let is_last = refusal.is_last();
    refusal.write(desk.out);
    match is_last {
        true => Err(Goodbye::Senseless("what it sent cannot be read")),
        false => Ok(()),
    }
}

fn longest(limits: &Limits) -> usize {
    let longest = limits.value_bytes.saturating_add(limits.metadata_bytes);
    longest.saturating_add(BESIDE_BYTES)
}

/// A listing of what is beside a key.
fn list_by(
    any: Key,
    wishes: &Wishes,
    list: listing::List,
    desk: &Desk<'_>,
) -> Result<Started, Refusal> {
    if ways(&any, desk).is_none() {
        return Err(Refusal::no_such_type(any.bucket_type()));
    }
    begin(any, wishes, Job::List(list), desk)
}

fn begin(key: Key, wishes: &Wishes, job: Job, desk: &Desk<'_>) -> Result<Started, Refusal> {
    Exchange::new(key, wishes, job, desk).map(Started::Asked)
}

impl Said {
    fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Got(got) => write(GOT, got, out),
            Self::Put { done, .. } => write(DONE_PUT, done, out),
            Self::Deleted { .. } => write_empty(DELETED, out),
            Self::Fetched(data) => write(DATA, data, out),
            Self::Changed(updated) => write(DATA_UPDATED, updated, out),
            Self::Count(count) => write(COUNTER, count, out),
            Self::Counted(count) => write(COUNTER_UPDATED, count, out),
            Self::Keys(keys) => write(KEYS, keys, out),
            Self::Buckets(buckets) => write(BUCKETS, buckets, out),
        }
    }
}
