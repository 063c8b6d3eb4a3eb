//! What must allocate nothing, counted by the allocator.

use allocation_counter::measure;
use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, Batch, Change, Command, Completion, ReadOutcome, Space};
use dynamo_storage::carry_out;
use dynamo_storage_memory::Memory;

const PLACES: u128 = 1000;

fn place(position: u128) -> Address {
    Address {
        position,
        name: Bytes::from_static(b"cart"),
    }
}

fn write(memory: &Memory, at: Address, bytes: Bytes) {
    let change = Change {
        space: Space::Objects,
        at,
        bytes: Some(bytes),
    };
    let batch = Batch {
        changes: [change].into_iter().collect(),
        durability: Durability::Memory,
        may_use_reserve: false,
    };
    let completion = carry_out(memory, Command::Write(batch));
    assert_eq!(completion, Completion::Wrote(Ok(Durability::Memory)));
}

fn read(memory: &Memory, at: Address) -> Bytes {
    let space = Space::Objects;
    match carry_out(memory, Command::Read { space, at }) {
        Completion::Read(ReadOutcome::Found(bytes)) => bytes,
        completion => panic!("{completion:?}"),
    }
}

#[test]
fn an_overwrite_and_a_read_allocate_nothing() {
    for memory in [Memory::new(), Memory::with_capacity(1 << 30)] {
        // As the core encodes records: each in a buffer of its own, shared once it is cloned.
        let [old, new] = [1, 2].map(|fill| Bytes::from(vec![fill; 1024]));
        let _shared = (old.clone(), new.clone());
        for position in 0..PLACES {
            write(&memory, place(position), old.clone());
        }
        let allocations = measure(|| {
            for position in 0..PLACES {
                assert_eq!(read(&memory, place(position)), old);
                write(&memory, place(position), new.clone());
                assert_eq!(read(&memory, place(position)), new);
            }
        });
        assert_eq!(allocations.count_total, 0, "{allocations:?}");
    }
}

#[test]
fn a_value_is_kept_as_it_came() {
    let memory = Memory::new();
    let value = Bytes::from(vec![7; 1024]);
    write(&memory, place(1), value.clone());
    assert_eq!(read(&memory, place(1)).as_ptr(), value.as_ptr());
}

#[test]
fn a_new_place_costs_its_name_and_the_maps_growth() {
    let memory = Memory::new();
    let value = Bytes::from_static(&[7; 1024]);
    let allocations = measure(|| {
        for position in 0..PLACES {
            write(&memory, place(position), value.clone());
        }
    });
    // A node of the map holds eleven places, and is half full when they come in order.
    assert!(
        allocations.count_total <= PLACES as u64 * 5 / 4,
        "{allocations:?}"
    );
}
