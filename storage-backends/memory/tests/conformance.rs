//! Memory keeps what every engine promises, as far as memory can.

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, ReadOutcome, Space, WriteError};
use dynamo_storage::conformance::{End, Subject, check};
use dynamo_storage::{Backend, Span, Write};
use dynamo_storage_memory::Memory;

struct InMemory;

impl Subject for InMemory {
    type Backend = Memory;

    fn open(&mut self) -> Memory {
        Memory::new()
    }

    fn open_bounded(&mut self, bytes: usize) -> Option<Memory> {
        Some(Memory::with_capacity(bytes))
    }

    /// Whatever ends, all is gone.
    fn reopen(&mut self, _: Memory, _: End) -> Option<Memory> {
        Some(Memory::new())
    }
}

#[test]
fn memory_keeps_what_an_engine_promises() {
    let report = check(|| InMemory);
    // Nothing in it is ever damaged or flushed.
    let skipped: Vec<_> = report.skipped().collect();
    assert_eq!(
        skipped,
        [
            "what_is_damaged_is_not_absent",
            "what_is_damaged_can_be_replaced",
            "a_failed_flush_is_final"
        ]
    );
}

fn write(memory: &Memory, at: &Address, bytes: Option<Bytes>) -> Result<Durability, WriteError> {
    let change = Change {
        space: Space::Objects,
        at: at.clone(),
        bytes,
    };
    let changes = [change].into_iter().collect();
    let mut group = [Write::from(Batch {
        changes,
        durability: Durability::Flushed,
        may_use_reserve: false,
    })];
    memory.write(&mut group);
    let [write] = group;
    write.answer
}

fn place(position: u128) -> Address {
    Address {
        position,
        name: Bytes::from_static(b"cart"),
    }
}

#[test]
fn a_flush_in_memory_is_answered_memory() {
    let memory = Memory::new();
    let wrote = write(&memory, &place(1), Some("tea".into()));
    assert_eq!(wrote, Ok(Durability::Memory));
    let deleted = memory.delete(Space::Objects, &Span::all(), Durability::Flushed);
    assert_eq!(deleted, Ok(Durability::Memory));
}

#[test]
fn room_comes_back_with_every_way_to_delete() {
    let memory = Memory::with_capacity(4096);
    let value = Bytes::from_static(&[7; 1000]);
    for round in 0..9 {
        let mut held = 0;
        while write(&memory, &place(held), Some(value.clone())).is_ok() {
            held += 1;
        }
        assert_eq!((held, memory.bytes() <= 4096), (3, true), "round {round}");
        if round % 2 == 0 {
            for position in 0..held {
                assert!(write(&memory, &place(position), None).is_ok());
            }
        } else {
            let all = memory.delete(Space::Objects, &Span::all(), Durability::Memory);
            assert!(all.is_ok());
        }
        assert_eq!(memory.bytes(), 0);
    }
}

#[test]
fn a_name_does_not_keep_the_buffer_that_it_came_in() {
    let memory = Memory::new();
    let mut received = Bytes::from(vec![b'x'; 1 << 16]);
    let at = Address {
        position: 1,
        name: received.split_to(4),
    };
    write(&memory, &at, Some(Bytes::new())).unwrap();
    drop(at);
    assert!(received.is_unique());
    let kept = Address {
        position: 1,
        name: Bytes::from_static(b"xxxx"),
    };
    let found = memory.read(Space::Objects, &kept);
    assert_eq!(found, ReadOutcome::Found(Bytes::new()));
}
