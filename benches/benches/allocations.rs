//! Counts the allocations of one of each operation, and fails where there must be none.

use std::hint::black_box;
use std::process::ExitCode;

use allocation_counter::measure;
use bytes::BytesMut;
use crdts::CvRDT;
use dynamo_benches::cluster::{Cluster, Handle, Route};
use dynamo_benches::frames::{self, BODIES, Connection};
use dynamo_benches::network::Moved;
use dynamo_benches::postcards::{self, Store};
use dynamo_benches::rings::{self, REPLICAS, SIZES};
use dynamo_benches::states::{self, Bucket, Coordinator, POLICY, RELATIONS, SIDE_BY_SIDE};
use dynamo_proto::node::{Effect, Got, Response, Written};
use dynamo_proto::store::Command;
use dynamo_proto::version::{Context, Seal};
use serde_bytes::{ByteBuf, Bytes};

/// The allocations of each operation, in the order in which they are printed.
#[derive(Default)]
struct Table(Vec<Row>);

struct Row {
    operation: String,
    must_be_none: bool,
    count: Count,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Count {
    allocations: u64,
    bytes: u64,
}

/// By all nodes for one request.
#[derive(Default, PartialEq, Eq, PartialOrd, Ord)]
struct Allocated {
    in_all: Count,
    /// Given to the stores, which keep them.
    records: Count,
    /// Given to the client.
    contexts: Count,
}

const BODY: usize = 100;

/// Of the cluster: each is put and got once while it is counted.
const KEYS: usize = 1000;

fn main() -> ExitCode {
    let mut table = Table::default();
    versions(&mut table);
    clocks(&mut table);
    contexts(&mut table);
    lookups(&mut table);
    encoded(&mut table);
    decoded(&mut table);
    requests(&mut table);
    table.print();
    if table.0.iter().any(Row::is_broken_promise) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn versions(table: &mut Table) {
    for actors in 1..=3 {
        let content = states::content(BODY);
        let writes = &[2; 3][..actors];
        let mut coordinator = Coordinator::after(writes, &content);
        let mut record = coordinator.record.clone();
        table.free(format!("mint, {actors} actors"), || {
            black_box(coordinator.mint(&mut record, content));
        });
    }
    let bucket = Bucket::default();
    for (relation, one, other) in RELATIONS {
        let (mut ours, theirs) = (states::siblings(&one, BODY), states::siblings(&other, BODY));
        table.free(format!("compare, {relation}"), || {
            black_box(ours.compare(&theirs, &bucket.retired));
        });
        table.free(format!("merge, {relation}"), || {
            let _ = black_box(ours.merge(theirs, POLICY, &bucket.retired));
        });
    }
    let [mut ours, theirs] = SIDE_BY_SIDE.map(|writes| states::siblings(&writes, BODY));
    table.any("merge, two values remain", || {
        let _ = black_box(ours.merge(theirs, POLICY, &bucket.retired));
    });
}

fn clocks(table: &mut Table) {
    for (relation, one, other) in RELATIONS {
        let (our, their) = (states::clock(&one), states::clock(&other));
        table.free(format!("clock clone and merge, {relation}"), || {
            let mut clock = our.clone();
            clock.join(&their);
            black_box(&clock);
        });
        let (our, their) = (states::crdts_clock(&one), states::crdts_clock(&other));
        table.any(format!("  crdts, {relation}"), || {
            let mut clock = our.clone();
            clock.merge(their);
            black_box(&clock);
        });
    }
}

fn contexts(table: &mut Table) {
    let (seal, key) = (Seal::new(*b"sixteen secrets!"), states::key());
    let past = Coordinator::after(&[2; 3], &states::content(BODY)).past;
    table.any("seal a context", || {
        black_box(seal.close(&key, &past));
    });
    let sealed = seal.close(&key, &past);
    table.any("open a context", || {
        black_box(seal.open(&key, &sealed)).expect("the context is as it was sealed");
    });
}

fn lookups(table: &mut Table) {
    let key = states::key();
    for size in SIZES {
        for (strategy, ring) in [("", size.ring()), (", random tokens", size.token_ring())] {
            table.free(format!("lookup, {}{strategy}", size.name), || {
                black_box(rings::primaries(&ring, &key));
            });
        }
        let ring = size.hashring();
        table.any("  hashring, with replicas", || {
            black_box(ring.get_with_replicas(key.encoded(), usize::from(REPLICAS) - 1));
        });
    }
}

fn encoded(table: &mut Table) {
    for (name, body_bytes) in BODIES {
        let message = frames::store(body_bytes);
        let (mut outbound, mut buffer) = (frames::outbound(), BytesMut::new());
        outbound.write(&message, &mut buffer);
        buffer.clear();
        table.free(format!("encode, {name}"), || {
            outbound.write(&message, &mut buffer);
        });
        let (store, mut buffer) = (Store::of(&message), vec![0; 2 * body_bytes + 1024]);
        table.any("  postcard", || {
            black_box(postcards::write(&store, &mut buffer));
        });
    }
}

fn decoded(table: &mut Table) {
    for (name, body_bytes) in BODIES {
        let message = frames::store(body_bytes);
        let (mut connection, mut buffer) = (Connection::admitted(), BytesMut::new());
        let burst = frames::burst(&message).bytes;
        buffer.extend_from_slice(&burst);
        table.any(format!("decode, {name}, first of a new buffer"), || {
            black_box(connection.next(&mut buffer));
        });
        table.free(format!("decode, {name}, any other"), || {
            black_box(connection.next(&mut buffer));
        });
        let burst = postcards::burst(&message).bytes;
        table.any("  postcard, owned", || {
            black_box(postcards::read::<ByteBuf>(&burst));
        });
        table.any("  postcard, borrowed", || {
            black_box(postcards::read::<&Bytes>(&burst));
        });
    }
}

/// Whole requests in the steady state: of all that they cost, what the nodes allocate.
fn requests(table: &mut Table) {
    for (route, name) in [(Route::First, ""), (Route::Any, ", at any node")] {
        let mut cluster = Cluster::steady(route, KEYS, BODY);
        let mut moved = Moved::default();
        let puts = (0..KEYS).map(|_| {
            let mut allocated = Allocated::default();
            cluster.put(1, &mut moved, allocated.counted());
            allocated
        });
        table.request(&format!("put{name}"), puts.max());
        let gets = (0..KEYS).map(|_| {
            let mut allocated = Allocated::default();
            cluster.get(1, &mut moved, allocated.counted());
            allocated
        });
        table.request(&format!("get{name}"), gets.max());
    }
}

impl Allocated {
    /// [`Node::handle`], and a look at what it allocates and what of that leaves the node.
    fn counted(&mut self) -> impl Handle {
        |node, now, event, effects| {
            let before = effects.len();
            let counted = measure(|| node.handle(now, event, effects));
            self.in_all.add(counted.count_total, counted.bytes_total);
            effects[before..]
                .iter()
                .for_each(|effect| self.leaves(effect));
        }
    }

    fn leaves(&mut self, effect: &Effect) {
        match effect {
            Effect::Store {
                command: Command::Write(batch),
                ..
            } => {
                for record in batch
                    .changes
                    .iter()
                    .filter_map(|change| change.bytes.as_ref())
                {
                    self.records.add(1, record.len() as u64);
                }
            }
            Effect::Reply {
                response:
                    Response::Put(Written {
                        context: Some(sealed),
                        ..
                    })
                    | Response::Got(Got {
                        context: Context { sealed, .. },
                        ..
                    }),
                ..
            } => self.contexts.add(1, sealed.len() as u64),
            _ => {}
        }
    }

    /// What neither the store nor the client gets.
    fn kept(&self) -> Count {
        let Self {
            in_all,
            records,
            contexts,
        } = self;
        Count {
            allocations: in_all.allocations - records.allocations - contexts.allocations,
            bytes: in_all.bytes - records.bytes - contexts.bytes,
        }
    }
}

impl Count {
    fn add(&mut self, allocations: u64, bytes: u64) {
        self.allocations += allocations;
        self.bytes += bytes;
    }
}

impl Table {
    /// An operation that must not allocate.
    fn free(&mut self, operation: impl Into<String>, run: impl FnOnce()) {
        self.count(operation.into(), true, run);
    }

    /// An operation that may.
    fn any(&mut self, operation: impl Into<String>, run: impl FnOnce()) {
        self.count(operation.into(), false, run);
    }

    /// A request: the one that allocated most.
    fn request(&mut self, operation: &str, most: Option<Allocated>) {
        let most = most.unwrap_or_default();
        self.add(format!("{operation}, in all nodes"), true, most.kept());
        self.add("  records that the stores keep".into(), false, most.records);
        self.add(
            "  contexts that the client gets".into(),
            false,
            most.contexts,
        );
    }

    fn count(&mut self, operation: String, must_be_none: bool, run: impl FnOnce()) {
        let counted = measure(run);
        let count = Count {
            allocations: counted.count_total,
            bytes: counted.bytes_total,
        };
        self.add(operation, must_be_none, count);
    }

    fn add(&mut self, operation: String, must_be_none: bool, count: Count) {
        self.0.push(Row {
            operation,
            must_be_none,
            count,
        });
    }

    fn print(&self) {
        println!("{:<56} {:>11} {:>9}", "operation", "allocations", "bytes");
        for row in &self.0 {
            let note = match row {
                _ if row.is_broken_promise() => "  MUST BE 0",
                Row {
                    must_be_none: true, ..
                } => "  (must be)",
                _ => "",
            };
            let Row {
                operation, count, ..
            } = row;
            let Count { allocations, bytes } = count;
            println!("{operation:<56} {allocations:>11} {bytes:>9}{note}");
        }
    }
}

impl Row {
    fn is_broken_promise(&self) -> bool {
        self.must_be_none && self.count.allocations > 0
    }
}
