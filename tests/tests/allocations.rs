//! What must allocate nothing beyond the payload, counted by the allocator.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use dynamo_proto::Durability;
use dynamo_proto::version::{
    Births, Boot, Causality, Content, Policy, Record, RequestId, Retirements, Rules, Seal, Write,
};
use dynamo_proto::wire::{Inbound, Message, Nonce, Outbound, Received, Ticket};
use dynamo_proto::{Key, Limits, NodeId, WallTime};

static BODY: [u8; 1024] = [7; 1024];

fn allocations(work: impl FnOnce()) -> u64 {
    measure(work).count_total
}

/// One value under a clock of that many actors, the last of which goes on minting here.
struct Common {
    record: Record,
    births: Births,
    limits: Limits,
    retired: Retirements,
}

impl Common {
    fn new(actors: u64) -> Self {
        let mut common = Self {
            record: Record::default(),
            births: Births::new(NodeId(0), Boot(0)),
            limits: Limits::default(),
            retired: Retirements::default(),
        };
        for id in 1..=actors {
            common.births = Births::new(NodeId(id), Boot(id));
            common.mint();
        }
        common
    }

    fn mint(&mut self) {
        let rules = Rules {
            policy: Policy::Siblings,
            truncate_to: None,
            limits: &self.limits,
            retired: &self.retired,
        };
        let past = self.record.siblings().past();
        let write = Write {
            past: Some(&past),
            content: Content::plain(Bytes::from_static(&BODY)),
            request: RequestId(1),
        };
        let now = WallTime::from_secs(9);
        self.record
            .mint(write, now, &mut self.births, &rules)
            .unwrap();
    }
}

#[test]
fn one_value_under_up_to_three_actors_allocates_nothing() {
    for actors in 1..=3 {
        let mut common = Common::new(actors);
        let older = common.record.clone();
        assert_eq!(
            allocations(|| common.mint()),
            0,
            "mint under {actors} actors"
        );
        assert_eq!(
            common.record.siblings().clock().entries().len() as u64,
            actors
        );

        let newer = common.record.siblings().clone();
        let retired = &common.retired;
        let mut stale = older.clone();
        let merging = allocations(|| {
            assert_eq!(
                stale.merge(newer.clone(), Policy::Siblings, retired),
                Ok(true)
            );
            assert_eq!(stale.merge(newer, Policy::Siblings, retired), Ok(false));
        });
        assert_eq!(merging, 0, "merge under {actors} actors");
        let comparing = allocations(|| {
            let order = stale.siblings().compare(older.siblings(), retired);
            assert_eq!(order, Causality::After);
        });
        assert_eq!(comparing, 0, "compare under {actors} actors");
    }
}

#[test]
fn a_context_costs_its_own_bytes_to_seal_and_nothing_to_open() {
    let common = Common::new(3);
    let seal = Seal::new([1; 16]);
    let key = Key::new("default", "carts", "alice", &common.limits).unwrap();
    let past = common.record.siblings().past();
    let mut sealed = Bytes::new();
    assert_eq!(allocations(|| sealed = seal.close(&key, &past)), 1);
    sealed = Bytes::copy_from_slice(&sealed); // as it arrives, in a buffer of its own
    let opening = measure(|| assert_eq!(seal.open(&key, &sealed).as_ref(), Ok(&past)));
    // Sharing a buffer for the first time costs its reference count.
    assert!(
        opening.count_total <= 1 && opening.bytes_total <= 32,
        "{opening:?}"
    );
}

#[test]
fn a_message_is_written_without_and_read_with_one_small_allocation() {
    let common = Common::new(3);
    let siblings = common.record.siblings().clone();
    let key = Key::new("default", "carts", "alice", &common.limits).unwrap();
    let message = Message::Store {
        epoch: Default::default(),
        ticket: Ticket(1),
        durability: Durability::Flushed,
        held_for: None,
        is_repair: false,
        key,
        siblings,
    };
    let nonce = Nonce::new(7).unwrap();
    let (mut outbound, mut inbound) = (Outbound::to(nonce), Inbound::from(nonce, &common.limits));
    let mut buffer = BytesMut::with_capacity(4096);
    assert_eq!(allocations(|| outbound.write(&message, &mut buffer)), 0);

    let reading = measure(|| {
        let Ok(Some(Received::Body { body, .. })) = inbound.next(&mut buffer) else {
            panic!("one frame")
        };
        assert_eq!(Message::decode(&body).as_ref(), Ok(&message));
    });
    // The receive buffer's reference count, once for all frames in it; never the value.
    assert!(
        reading.count_total <= 1 && reading.bytes_total <= 64,
        "{reading:?}"
    );
}
