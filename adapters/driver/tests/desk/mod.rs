//! A desk for fronts, and behind it a cluster of one node without a network: real records and sealed
//! contexts, in a map.
#![allow(dead_code, reason = "each program of tests uses some of it")]

pub(crate) mod pieces;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::BytesMut;
use dynamo_driver::admin::{Command, Refused};
use dynamo_driver::front::{Ask, Desk, Front, Goodbye, Ticket};
use dynamo_driver::{Dice, Load, Metrics, PeerStatus, Site};
use dynamo_proto::membership::{self, Birth, Membership};
use dynamo_proto::node::{
    Capacity, Condition, Config, Failure, Found, Got, HintLimits, Listed, Listing, Mode, Operation,
    Response, Scope, Timing, Written,
};
use dynamo_proto::ring::{Member, Ring, RingConfig};
use dynamo_proto::store::Address;
use dynamo_proto::version::{
    Births, Boot, Context, DataType, MintError, Policy, Record, RequestId, Retirements, Rules,
    Seal, Write,
};
use dynamo_proto::{Bucket, Buckets, ClusterId, Instant, Key, Limits, NodeId, Now, Seed, WallTime};
use serde_json::Value;

const SECRET: [u8; 16] = *b"sixteen secrets!";

/// One connection and all that it talks to.
pub(crate) struct World {
    pub(crate) front: Box<dyn Front>,
    pub(crate) input: BytesMut,
    pub(crate) out: BytesMut,
    /// What was asked and is not answered.
    pub(crate) asks: Vec<Ask>,
    pub(crate) room: usize,
    pub(crate) config: Config,
    pub(crate) records: BTreeMap<Key, Record>,
    pub(crate) is_ready: bool,
    pub(crate) wall: WallTime,
    pub(crate) mono: Instant,
    /// Whether an ask is answered as soon as it is there.
    pub(crate) is_prompt: bool,
    /// What every ask is answered with, if anything else than what is right.
    pub(crate) fails: Option<Response>,
    pub(crate) buckets: Buckets,
    /// What is to be done about the cluster, and is not answered.
    pub(crate) commands: Vec<(Ticket, Command)>,
    ring: &'static Ring,
    membership: Membership,
    peers: Vec<PeerStatus>,
    metrics: Metrics,
    dice: Dice,
    births: Births,
    requests: u128,
}

fn config() -> Config {
    Config {
        node: NodeId(1),
        cluster: ClusterId(7),
        secret: SECRET,
        limits: Limits::default(),
        capacity: Capacity::default(),
        timing: Timing::default(),
        hints: HintLimits::default(),
    }
}

fn buckets(policy: Policy) -> Buckets {
    let bucket = |policy| Bucket {
        policy,
        ..Bucket::default()
    };
    Buckets {
        types: [
            (b"carts".to_vec(), bucket(Policy::Siblings)),
            (b"map".to_vec(), bucket(Policy::Data(DataType::Map))),
        ]
        .into(),
        ..bucket(policy).into()
    }
}

fn membership(ring: &Ring) -> Membership {
    let birth = Birth {
        cluster: ClusterId(7),
        ring: ring.config(),
        members: ring.members().iter().cloned().map(Arc::new).collect(),
        buckets: Buckets::default(),
        admits_newcomers: false,
        at: WallTime::ZERO,
    };
    let config = membership::Config::new(birth.cluster, ring.members()[0].clone(), Boot(1));
    Membership::birth(config, Arc::new(birth), Seed(1)).expect("a sound birth")
}

pub(crate) fn last_write_wins() -> Policy {
    Policy::LastWriteWins {
        max_skew: Duration::from_secs(1),
    }
}

impl World {
    pub(crate) fn new(front: impl Front + 'static, policy: Policy) -> Self {
        static RING: LazyLock<Ring> = LazyLock::new(|| {
            let member = |id| Member::new(NodeId(id), "z", format!("h{id}"));
            Ring::birth(RingConfig::default(), (1..=4).map(member).collect())
                .expect("four members make a ring")
        });
        let peer = |id: u16| PeerStatus {
            node: NodeId(id.into()),
            address: Some(SocketAddr::from(([127, 0, 0, 1], 7400 + id))),
            is_member: true,
            connected: (id != 4).then_some(Instant::default()),
        };
        Self {
            front: Box::new(front),
            input: BytesMut::new(),
            out: BytesMut::new(),
            asks: Vec::new(),
            room: 256,
            config: config(),
            buckets: buckets(policy),
            records: BTreeMap::new(),
            is_ready: true,
            wall: WallTime::from_secs(1_000_000_000),
            mono: Instant::default(),
            is_prompt: true,
            fails: None,
            commands: Vec::new(),
            membership: membership(&RING),
            ring: &RING,
            peers: (2..=4).map(peer).collect(),
            metrics: Metrics::default(),
            dice: Dice::new([7; 32]),
            births: Births::new(NodeId(1), Boot(1)),
            requests: 0,
        }
    }

    /// Nodes 2 to `last` are gone, and those behind are there.
    pub(crate) fn lose_peers(&mut self, last: u64) {
        for peer in &mut self.peers {
            peer.connected = (peer.node.0 > last).then_some(Instant::default());
        }
    }

    /// What comes back for these bytes, in one piece.
    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        self.feed(bytes).expect("the connection goes on");
        self.out.split().to_vec()
    }

    /// The same as text.
    pub(crate) fn tell(&mut self, bytes: impl AsRef<[u8]>) -> String {
        String::from_utf8(self.say(bytes)).expect("text")
    }

    /// The end of the connection, and what was said before it.
    pub(crate) fn last_words(&mut self, bytes: impl AsRef<[u8]>) -> (String, Goodbye) {
        let goodbye = self.feed(bytes).expect_err("the connection is over");
        (
            String::from_utf8_lossy(&self.out.split()).into_owned(),
            goodbye,
        )
    }

    pub(crate) fn feed(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Goodbye> {
        self.input.extend_from_slice(bytes.as_ref());
        loop {
            let before = self.input.len();
            let asks = self.asks.len();
            self.lend(|front, input, desk| front.receive(input, desk))?;
            if self.is_prompt {
                while !self.asks.is_empty() {
                    self.answer(0)?;
                }
            }
            if self.input.len() == before && self.asks.len() == asks {
                return Ok(());
            }
        }
    }

    /// Answers one of the asks. What is asked next under its ticket takes its place.
    pub(crate) fn answer(&mut self, at: usize) -> Result<(), Goodbye> {
        let ask = self.asks.remove(at);
        let ticket = ask.ticket;
        let response = self.fails.clone().unwrap_or_else(|| self.respond(ask));
        let before = self.asks.len();
        let answered = self.lend(|front, _, desk| front.answered(ticket, response, desk));
        let new = &self.asks[before..];
        if let Some(follows) = new.iter().position(|ask| ask.ticket == ticket) {
            let ask = self.asks.remove(before + follows);
            self.asks.insert(at, ask);
        }
        answered
    }

    /// Says what came of the first command for the cluster.
    pub(crate) fn administer(&mut self, outcome: Result<Value, Refused>) -> Result<(), Goodbye> {
        let (ticket, _) = self.commands.remove(0);
        self.lend(|front, _, desk| front.administered(ticket, outcome, desk))
    }

    /// Notes of a bucket what the first command says, and that it is done.
    pub(crate) fn note(&mut self) {
        let Command::Note {
            bucket_type,
            bucket,
            notes,
        } = self.commands[0].1.clone()
        else {
            panic!("something is noted");
        };
        let noted = Bucket {
            notes,
            ..self.buckets.of_type(&bucket_type).clone()
        };
        match bucket {
            Some(bucket) => {
                let of_type = self.buckets.single.entry(bucket_type).or_default();
                of_type.insert(bucket, noted);
            }
            None => {
                self.buckets.types.insert(bucket_type, noted);
            }
        }
        self.administer(Ok(Value::Null))
            .expect("the connection goes on");
    }

    fn lend<T>(
        &mut self,
        use_it: impl FnOnce(&mut dyn Front, &mut BytesMut, &mut Desk<'_>) -> T,
    ) -> T {
        let mut new = Vec::new();
        let mut desk = Desk {
            out: &mut self.out,
            asks: &mut new,
            commands: &mut self.commands,
            room: self.room.saturating_sub(self.asks.len()),
            dice: &mut self.dice,
            now: Now {
                mono: self.mono,
                wall: self.wall,
            },
            site: Site {
                config: &self.config,
                buckets: &self.buckets,
                ring: self.ring,
                membership: &self.membership,
                is_ready: self.is_ready,
                is_drained: false,
                peers: &self.peers,
                seeds: &[],
                load: Load::default(),
                metrics: &self.metrics,
            },
        };
        let result = use_it(&mut *self.front, &mut self.input, &mut desk);
        self.asks.extend(new);
        result
    }

    /// What a node would answer that is alone.
    fn respond(&mut self, ask: Ask) -> Response {
        let key = ask.key.clone();
        self.requests += 1;
        let (seal, request) = (Seal::new(SECRET), RequestId(self.requests));
        let record = self.records.entry(key.clone()).or_default();
        let past = record.siblings().past();
        match ask.operation {
            Operation::Get { .. } | Operation::Fetch { .. } => Response::Got(Got {
                siblings: record.siblings().clone(),
                context: Context {
                    sealed: seal.close(&key, &past),
                    fastest: Some(NodeId(2)),
                },
            }),
            Operation::List(Listing { scope, span, most }) => {
                let is_wanted = |other: &Key| match scope {
                    Scope::All => true,
                    Scope::Buckets => other.bucket_type() == key.bucket_type(),
                    Scope::Bucket => {
                        other.bucket_type() == key.bucket_type() && other.bucket() == key.bucket()
                    }
                };
                let there = self.records.iter().filter(|(_, record)| {
                    let siblings = record.siblings();
                    !siblings.is_absent() && !siblings.is_deleted()
                });
                let at = |key: &Key| Address::of_object(key.token(), key.encoded());
                let mut keys: Vec<Key> = there.map(|(key, _)| key.clone()).collect();
                keys.retain(|key| is_wanted(key) && span.contains(&at(key)));
                keys.sort_by_key(at);
                if scope == Scope::Buckets {
                    let mut shown = std::collections::BTreeSet::new();
                    keys.retain(|key| shown.insert(key.bucket().to_vec()));
                }
                let rest = keys.get(usize::from(most)).map(at);
                keys.truncate(most.into());
                Response::Listed(Listed { keys, rest })
            }
            Operation::Put {
                mode,
                content,
                condition,
                ..
            } => {
                let is_deleted = record.siblings().is_deleted();
                match condition {
                    Condition::Absent if !is_deleted => {
                        return Response::Failed(Failure::Condition(Found::Value));
                    }
                    Condition::Unchanged(sealed) => match seal.open(&key, &sealed) {
                        Err(error) => return Response::Failed(error.into()),
                        Ok(_) if record.siblings().is_absent() => {
                            return Response::Failed(Failure::Condition(Found::Nothing));
                        }
                        Ok(seen) if seen.clock != past.clock => {
                            return Response::Failed(Failure::Condition(Found::Change));
                        }
                        Ok(_) => {}
                    },
                    Condition::Absent | Condition::None => {}
                }
                let seen = match &mode {
                    Mode::Overwrite => Some(past),
                    Mode::Blind => None,
                    Mode::Context(parts) => match seal.open_all(&key, parts) {
                        Ok(past) => Some(past),
                        Err(error) => return Response::Failed(error.into()),
                    },
                };
                self.write(&key, |record, now, births, rules| {
                    let write = Write {
                        past: seen.as_ref(),
                        content,
                        request,
                    };
                    record.mint(write, now, births, rules).map(|_| None)
                })
            }
            Operation::Update {
                update, context, ..
            } => {
                let seen = context.map(|sealed| seal.open(&key, &sealed)).transpose();
                let seen = match seen {
                    Ok(seen) => seen,
                    Err(error) => return Response::Failed(error.into()),
                };
                self.write(&key, |record, now, births, rules| {
                    let named = (seen.as_ref(), request);
                    let updated = record.update(&update, named, now, births, rules);
                    updated.map(|updated| Some(updated.came_to))
                })
            }
        }
    }

    fn write(
        &mut self,
        key: &Key,
        write: impl FnOnce(
            &mut Record,
            WallTime,
            &mut Births,
            &Rules<'_>,
        ) -> Result<Option<i64>, MintError>,
    ) -> Response {
        let retired = Retirements::default();
        let rules = Rules {
            policy: self.buckets.of(key).policy,
            truncate_to: None,
            limits: &self.config.limits,
            retired: &retired,
        };
        let record = self.records.entry(key.clone()).or_default();
        match write(record, self.wall, &mut self.births, &rules) {
            Ok(came_to) => {
                let siblings = record.siblings().values().len() as u32;
                let (seal, past) = (Seal::new(SECRET), record.siblings().past());
                let context = (siblings == 1).then(|| seal.close(key, &past));
                let receipt = context.is_none().then(|| seal.receipt(key, &past));
                Response::Put(Written {
                    siblings,
                    context,
                    receipt,
                    came_to,
                })
            }
            Err(error) => Response::Failed(error.into()),
        }
    }
}
