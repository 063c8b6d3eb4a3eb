//! The laws of data types, on long random histories, against sets of updates.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use dynamo_proto::version::{Content, Data, DataType};
use dynamo_tests::fuzz::check_laws;
use dynamo_tests::updates::{Event, World, check_bytes};
use proptest::prelude::*;

fn event() -> impl Strategy<Value = Event> {
    let n = 0..12_usize;
    prop_oneof![
        8 => (n.clone(), 0..10_000_usize).prop_map(|(at, which)| Event::Update { at, which }),
        3 => (n.clone(), n.clone(), 0..10_000_usize)
            .prop_map(|(at, client, which)| Event::UpdateSeen { at, client, which }),
        2 => (n.clone(), n.clone()).prop_map(|(at, client)| Event::Read { at, client }),
        1 => (n.clone(), n.clone()).prop_map(|(at, client)| Event::Delete { at, client }),
        5 => (n.clone(), n.clone()).prop_map(|(from, to)| Event::Sync { from, to }),
        2 => n.clone().prop_map(|from| Event::Send { from }),
        3 => (n.clone(), n.clone()).prop_map(|(message, to)| Event::Deliver { message, to }),
        1 => n.clone().prop_map(|at| Event::Forget { at }),
        1 => n.clone().prop_map(|at| Event::Restart { at }),
        1 => n.clone().prop_map(|node| Event::Retire { node }),
        1 => n.prop_map(|at| Event::Learn { at }),
    ]
}

/// Maps are drawn as often as all others together: they hold all of them.
fn kind() -> impl Strategy<Value = DataType> {
    prop_oneof![
        Just(DataType::Map),
        prop::sample::select(&DataType::ALL[..])
    ]
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn long_histories_end_as_their_updates_say(
        kind in kind(),
        events in prop::collection::vec(event(), 1..80),
    ) {
        let mut world = World::new(kind, 3);
        for event in events {
            world.take(event);
        }
        world.settle();
    }

    #[test]
    fn merging_is_a_join(kind in kind(), events in prop::collection::vec(event(), 1..40)) {
        let mut world = World::new(kind, 4);
        for event in events {
            world.take(event);
        }
        check_laws(&world.states(), world.policy(), world.retired());
    }

    #[test]
    fn what_is_damaged_is_no_data_or_other_data(
        kind in kind(),
        events in prop::collection::vec(event(), 1..40),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let mut world = World::new(kind, 2);
        for event in events {
            world.take(event);
        }
        for state in world.states() {
            let contents = state.values().iter().map(|sibling| sibling.value.content.clone());
            for data in contents.filter_map(data) {
                check_bytes(&data);
                for (at, byte) in &damages {
                    let mut damaged = data.to_vec();
                    let at = at.index(damaged.len());
                    damaged[at] ^= byte;
                    check_bytes(&damaged);
                    check_bytes(&damaged[..at]);
                    prop_assert!(Data::decode(data.slice(..at)).is_err());
                }
            }
        }
    }
}

#[test]
fn a_delete_is_stamped_no_earlier_than_what_it_has_seen() {
    let mut world = World::new(DataType::Set, 2);
    for _ in 0..3 {
        world.take(Event::Update { at: 0, which: 1 });
    }
    world.take(Event::Read { at: 0, client: 0 });
    world.take(Event::Delete { at: 1, client: 0 });
    check_laws(&world.states(), world.policy(), world.retired());
}

fn data(content: Content) -> Option<Bytes> {
    match content {
        Content::Data(data) => Some(data.encoded().clone()),
        Content::Live { .. } | Content::Tombstone => None,
    }
}
