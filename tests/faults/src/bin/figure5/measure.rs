//! Writes at a steady rate, and how long they take.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use bytes::Bytes;
use dynamo_faults::Dice;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, Space};
use dynamo_storage::{Backend, Write};

/// What is asked of a store.
pub(crate) struct Load {
    pub(crate) time: Duration,
    /// In a second.
    pub(crate) rate: u32,
    pub(crate) writers: u32,
    pub(crate) object_bytes: usize,
}

/// How many objects there are; enough for most of a full buffer to be of different ones.
const OBJECTS: usize = 100_000;

impl Load {
    /// The latency at the 99.9th percentile when memory will do.
    pub(crate) fn on_memory(&self, store: &(impl Backend + Sync)) -> Duration {
        self.measure(store, Durability::Memory)
    }

    /// The latency at the 99.9th percentile when each write must be flushed.
    pub(crate) fn on_disk(&self, store: &(impl Backend + Sync)) -> Duration {
        self.measure(store, Durability::Flushed)
    }

    fn measure(&self, store: &(impl Backend + Sync), durability: Durability) -> Duration {
        let start = Instant::now();
        let next = AtomicU64::new(0);
        let one_in = Duration::from_secs(1) / self.rate;
        let body = Bytes::from(vec![7; self.object_bytes]);
        let mut latencies: Vec<Duration> = thread::scope(|scope| {
            let writers: Vec<_> = (0..self.writers)
                .map(|_| {
                    scope.spawn(|| {
                        let mut latencies = Vec::new();
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            let due = one_in * number as u32;
                            if due >= self.time {
                                return latencies;
                            }
                            let mut since = due;
                            if let Some(early) = due.checked_sub(start.elapsed()) {
                                thread::sleep(early);
                                // Waking up late is not the store's doing.
                                since = start.elapsed();
                            }
                            write(store, number, body.clone(), durability);
                            latencies.push(start.elapsed() - since);
                        }
                    })
                })
                .collect();
            let joined = writers.into_iter().map(|writer| writer.join());
            joined
                .flat_map(|it| it.expect("a writer that panics has said why"))
                .collect()
        });
        latencies.sort_unstable();
        let rank = (latencies.len() * 999).div_ceil(1000);
        latencies[rank.saturating_sub(1)]
    }
}

fn write(store: &impl Backend, number: u64, body: Bytes, durability: Durability) {
    let object = Dice::new(number).below(OBJECTS) as u128;
    let change = Change {
        space: Space::Objects,
        at: Address {
            position: object << 100,
            name: Bytes::from_static(b"cart"),
        },
        bytes: Some(body),
    };
    let mut group = [Write::from(Batch {
        changes: [change].into_iter().collect(),
        durability,
        may_use_reserve: false,
    })];
    store.write(&mut group);
    let answer = group[0].answer;
    assert!(
        answer.is_ok_and(|reached| reached >= durability),
        "{answer:?}"
    );
}

/// The processor, the system, and the file system of a directory.
pub(crate) fn machine(directory: &Path) -> io::Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let mut models = processors
        .lines()
        .filter_map(|line| line.strip_prefix("model name"));
    let model = models.next().unwrap_or("an unnamed processor");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let count = thread::available_parallelism()?;
    let system = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let system = system.split('-').next().unwrap_or_default();
    let mounts = fs::read_to_string("/proc/mounts")?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (_, path, kind) = (fields.next()?, fields.next()?, fields.next()?);
        directory.starts_with(path).then_some((path.len(), kind))
    });
    let kind = mounts
        .max()
        .map_or("an unknown file system", |(_, kind)| kind);
    Ok(format!(
        "Measured on: {count} x {model}, Linux {}, {kind}.",
        system.trim()
    ))
}
