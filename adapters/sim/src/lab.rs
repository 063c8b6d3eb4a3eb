//! A cluster for a unit test: no network, no waiting, and faults on command.

use std::time::Duration;

use bytes::Bytes;
use dynamo_proto::node::{
    Condition, Failure, Got, Mode, Operation, Options, Request, Response, Written,
};
use dynamo_proto::version::{Action, Content, RequestId, Update};
use dynamo_proto::{Key, Limits};

use crate::disk::Stop;
use crate::oracle::Manner;
use crate::report::Count;
use crate::scenario::{Scenario, Wish};
use crate::world::World;

/// A cluster that lives in a test, so that an application can see what its own way of merging
/// siblings does when the network is cut, in milliseconds.
///
/// ```
/// use dynamo_sim::Lab;
///
/// // Three replicas, two of which must answer a read and have a write.
/// let mut shop = Lab::new(3, 2, 2);
/// let cart = |items: &[&str]| items.join(",").into_bytes();
/// shop.put(0, "alice", cart(&["tea"]), None)?;
/// let seen = shop.get(1, "alice")?;
///
/// // The network is cut, and Alice is on both sides of it. One replica has to be enough now.
/// shop.cut(&[0], &[1, 2]);
/// shop.with_quorum(1, 1);
/// shop.put(0, "alice", cart(&["tea", "milk"]), Some(&seen))?;
/// shop.put(1, "alice", cart(&["tea", "rice"]), Some(&seen))?;
///
/// // It heals: both carts are there, and the application merges them.
/// shop.heal();
/// let seen = shop.with_quorum(3, 3).get(2, "alice")?;
/// assert_eq!(seen.values().len(), 2);
/// let mut items: Vec<_> = seen.values().iter().flat_map(|cart| cart.split(|b| *b == b',')).collect();
/// items.sort();
/// items.dedup();
/// shop.put(2, "alice", items.join(&b','), Some(&seen))?;
///
/// let merged = shop.get(0, "alice")?;
/// assert_eq!(merged.values(), [&b"milk,rice,tea"[..]]);
/// # Ok::<(), dynamo_sim::LabError>(())
/// ```
pub struct Lab {
    world: World<'static>,
    options: Options,
    requests: u128,
}

/// What a read found.
#[derive(Clone, Debug)]
pub struct Read(Got);

/// Why a lab's request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabError {
    /// Nothing was done.
    #[error("failed: {0}")]
    Failed(Failure),
    /// It may have been done, or may yet be: too few replicas could be reached in time, or the
    /// node asked has stopped.
    #[error("unknown: it may have been done, or may yet be")]
    Unknown,
}

impl Lab {
    /// A cluster of so many nodes, each on a host of its own, in which a key has up to three
    /// replicas, `r` of which must answer a read and `w` have a write.
    ///
    /// # Panics
    ///
    /// If there are no nodes, or fewer replicas than `r` or `w` ask for.
    #[must_use]
    pub fn new(nodes: usize, r: u8, w: u8) -> Self {
        Self::with(nodes, (r, w), |_| ())
    }

    /// Such a cluster, with limits, latencies or a durability of its own.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[must_use]
    pub fn with(nodes: usize, (r, w): (u8, u8), change: impl FnOnce(&mut Scenario)) -> Self {
        let n = nodes.min(3) as u8;
        assert!(
            r > 0 && w > 0 && r.max(w) <= n,
            "quorums of {r} and {w} of {n} replicas"
        );
        let mut scenario = Scenario::calm(nodes);
        (scenario.quorum.r, scenario.quorum.w) = (r, w);
        change(&mut scenario);
        let mut world = World::new(&scenario, None);
        world.settle(Duration::from_secs(1));
        Self {
            world,
            options: Options::default(),
            requests: 0,
        }
    }

    /// From now on so many replicas must answer a read, and have a write.
    pub fn with_quorum(&mut self, r: u8, w: u8) -> &mut Self {
        self.options = Options {
            r: Some(r),
            w: Some(w),
            ..self.options
        };
        self
    }

    /// Reads at a node.
    pub fn get(&mut self, node: usize, key: &str) -> Result<Read, LabError> {
        match self.ask(node, key, Operation::read())? {
            Response::Got(got) => Ok(Read(got)),
            _ => Err(LabError::Unknown),
        }
    }

    /// Writes at a node, superseding what was read; without a read, beside all that is there.
    pub fn put(
        &mut self,
        node: usize,
        key: &str,
        value: impl Into<Bytes>,
        seen: Option<&Read>,
    ) -> Result<Written, LabError> {
        self.write(node, key, Content::plain(value), seen)
    }

    /// Writes blindly at that node and no other, as a request of that name, which may have been asked
    /// for before.
    pub fn put_as(
        &mut self,
        node: usize,
        key: &str,
        value: impl Into<Bytes>,
        (name, is_retry): (u128, bool),
    ) -> Result<Written, LabError> {
        let put = Operation::Put {
            fastest: None,
            mode: Mode::Blind,
            content: Content::plain(value),
            condition: Condition::None,
        };
        let options = Options {
            only_here: true,
            ..self.options
        };
        let request = Request {
            id: RequestId(name),
            is_retry,
            key: lab_key(key),
            operation: put,
            options,
        };
        match self.ask_for(node, request)? {
            Response::Put(written) => Ok(written),
            _ => Err(LabError::Unknown),
        }
    }

    /// Counts a counter up, or down, at that node.
    pub fn count_up(&mut self, node: usize, key: &str, by: i64) -> Result<(), LabError> {
        let update = Operation::Update {
            fastest: None,
            update: Update::from(Action::Count(by)),
            context: None,
        };
        let request = self.of_counter(key, update);
        self.ask_for(node, request).map(drop)
    }

    /// What one replica says of a counter.
    pub fn counted(&mut self, node: usize, key: &str) -> Result<i64, LabError> {
        let mut request = self.of_counter(key, Operation::read());
        request.options.r = Some(1);
        let Response::Got(got) = self.ask_for(node, request)? else {
            return Err(LabError::Unknown);
        };
        let count = |content: &Content| match content {
            Content::Data(data) => Some(data.view().count()),
            Content::Live { .. } | Content::Tombstone => None,
        };
        let values = got.siblings.values().iter();
        Ok(values.filter_map(|it| count(&it.value.content)).sum())
    }

    fn of_counter(&mut self, key: &str, operation: Operation) -> Request {
        self.requests += 1;
        let bucket_type = crate::machine::bucket_type(Manner::Counter);
        let key = Key::new(bucket_type, "lab", key, &Limits::default());
        Request {
            id: RequestId(self.requests),
            is_retry: false,
            key: key.expect("a test's keys are neither empty nor longer than 4 KiB"),
            operation,
            options: self.options,
        }
    }

    /// Deletes what was read.
    pub fn delete(&mut self, node: usize, key: &str, seen: &Read) -> Result<Written, LabError> {
        self.write(node, key, Content::Tombstone, Some(seen))
    }

    /// Nothing gets from the one group to the other or back.
    pub fn cut(&mut self, one: &[usize], other: &[usize]) {
        for from in one {
            for to in other {
                self.world.cut(*from, *to, true);
                self.world.cut(*to, *from, true);
            }
        }
    }

    /// All cuts end, and connections are made again.
    pub fn heal(&mut self) {
        self.world.heal();
        self.wait(Duration::from_secs(15));
    }

    /// A node's process stops; what it has flushed stays.
    pub fn stop(&mut self, node: usize) {
        self.world.stop(node, Stop::Kill);
    }

    /// It starts again.
    pub fn restart(&mut self, node: usize) {
        self.world.bring_back(node);
        self.world.restart(node);
        self.wait(Duration::from_secs(2));
    }

    /// It starts again with an empty disk.
    pub fn wipe(&mut self, node: usize) {
        self.world.stop(node, Stop::Kill);
        self.world.give_disk(node, None);
        self.restart(node);
    }

    /// It starts again with what another has on its disk.
    pub fn clone_disk(&mut self, from: usize, to: usize) {
        self.world.stop(to, Stop::Kill);
        self.world.give_disk(to, Some(from));
        self.restart(to);
    }

    /// Keeps what a node's disk has, for [`put_back_disk`](Self::put_back_disk).
    pub fn keep_disk(&mut self, node: usize) {
        self.world.keep_disk(node);
    }

    /// It starts again with what its disk had then.
    pub fn put_back_disk(&mut self, node: usize) {
        self.world.stop(node, Stop::Kill);
        self.world.put_back_disk(node);
        self.restart(node);
    }

    /// A bit flips in what a node keeps of a key. Whether it keeps anything.
    pub fn damage(&mut self, node: usize, key: &str) -> bool {
        self.world.damage(node, &lab_key(key))
    }

    /// A node stands still for so long; everybody else goes on.
    pub fn pause(&mut self, node: usize, time: Duration) {
        self.world.pause(node, true);
        self.wait(time);
        self.world.pause(node, false);
    }

    /// An administrator tells a node what is to change about the cluster. Whether that was decided.
    pub fn decide(&mut self, node: usize, wishes: &[Wish]) -> bool {
        self.world.decree(node, wishes)
    }

    /// Whether all nodes that are up work by the newest ring alone, and keep only what is theirs.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.world.unfinished().is_none()
    }

    /// A node and its disk take so many times as long for everything.
    pub fn slow(&mut self, node: usize, times: u32) {
        self.world.slow(node, times);
    }

    /// The nodes on duty for a key, then those that stand in for them, in order.
    #[must_use]
    pub fn in_order_of_duty(&self, key: &str) -> Vec<usize> {
        self.world.in_order_of_duty(&lab_key(key))
    }

    /// How many copies a node holds for others.
    #[must_use]
    pub fn held(&self, node: usize) -> u64 {
        self.world.copies_held(node)
    }

    /// Whether what the nodes on duty keep of a key is the same, to the byte.
    #[must_use]
    pub fn is_settled(&self, key: &str) -> bool {
        self.world.is_settled(&lab_key(key))
    }

    /// How many records all nodes keep as their own.
    #[must_use]
    pub fn records(&self) -> usize {
        self.world.copies()
    }

    /// How many bytes they take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.world.kept(0).0
    }

    /// The most entries of any clock of that key.
    #[must_use]
    pub fn clock_entries(&self, key: &str) -> usize {
        self.world.clock_entries(&lab_key(key))
    }

    /// How often that has happened so far.
    #[must_use]
    pub fn count(&self, what: Count) -> u64 {
        self.world.count(what)
    }

    /// Time passes.
    pub fn wait(&mut self, time: Duration) {
        self.world.settle(time);
    }

    fn write(
        &mut self,
        node: usize,
        key: &str,
        content: Content,
        seen: Option<&Read>,
    ) -> Result<Written, LabError> {
        let mode = match seen {
            Some(Read(got)) => Mode::Context([got.context.sealed.clone()].into_iter().collect()),
            None => Mode::Blind,
        };
        let fastest = seen.and_then(|Read(got)| got.context.fastest);
        let condition = Condition::None;
        match self.ask(
            node,
            key,
            Operation::Put {
                fastest,
                mode,
                content,
                condition,
            },
        )? {
            Response::Put(written) => Ok(written),
            _ => Err(LabError::Unknown),
        }
    }

    fn ask(&mut self, node: usize, key: &str, operation: Operation) -> Result<Response, LabError> {
        self.requests += 1;
        let key = lab_key(key);
        let options = self.options;
        let request = Request {
            id: RequestId(self.requests),
            is_retry: false,
            key,
            operation,
            options,
        };
        self.ask_for(node, request)
    }

    fn ask_for(&mut self, node: usize, request: Request) -> Result<Response, LabError> {
        let answer = self.world.ask_and_wait(node, request);
        if let Some(violation) = self.world.violation() {
            panic!("a promise is broken: {violation}");
        }
        match answer {
            Some(Response::Failed(failure)) => Err(LabError::Failed(failure)),
            Some(Response::Unknown) | None => Err(LabError::Unknown),
            Some(response) => Ok(response),
        }
    }
}

fn lab_key(key: &str) -> Key {
    let bucket_type = crate::machine::bucket_type(Manner::Causal);
    let key = Key::new(bucket_type, "lab", key, &Limits::default());
    key.expect("a test's keys are neither empty nor longer than 4 KiB")
}

impl Read {
    /// All values, more than one if they were written side by side.
    #[must_use]
    pub fn values(&self) -> Vec<&[u8]> {
        let contents = self
            .0
            .siblings
            .answers()
            .map(|sibling| &sibling.value.content);
        contents
            .filter_map(Content::body)
            .map(|body| &body[..])
            .collect()
    }

    /// The same as text, sorted.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let values = self.values().into_iter();
        let mut texts: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        texts.sort();
        texts
    }
}
