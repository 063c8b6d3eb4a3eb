//! How large a ring may be, and what it says of itself.

use super::tokens::{random, random_equal};
use super::*;

fn one() -> Vec<Member> {
    alloc::vec![node(1, 0, 0)]
}

fn refused(config: RingConfig) -> RingError {
    Ring::birth(config, one()).unwrap_err()
}

/// Partitions, or tokens, that make the most lists of so many replicas and 3 fallbacks.
const MOST: [(u8, u32); 3] = [(1, 1_048_576), (3, 699_050), (16, 220_752)];

#[test]
fn there_are_no_more_partitions_than_lists_can_be_kept() {
    for (replicas, limit) in MOST {
        for partitions in [limit + 1, MAX_SLOTS, u32::MAX] {
            let too_many = RingError::TooManyPartitions { partitions, limit };
            assert_eq!(refused(config(partitions, replicas)), too_many);
            assert_eq!(refused(random_equal(1, partitions, replicas)), too_many);
        }
        for config in [config(limit, replicas), random_equal(1, limit, replicas)] {
            let ring = Ring::birth(config, one()).unwrap();
            assert_eq!(ring.partitions().len(), limit as usize);
        }
    }
}

#[test]
fn there_are_no_more_tokens_than_lists_can_be_kept() {
    for (replicas, limit) in MOST {
        let too_many = RingError::TooManyTokens { limit };
        for tokens in [limit + 1, MAX_SLOTS, u32::MAX] {
            assert_eq!(refused(random(tokens, replicas)), too_many);
            assert_eq!(refused(random_equal(tokens, 8, replicas)), too_many);
        }
    }
    let (replicas, limit) = MOST[2];
    let ring = Ring::birth(random(limit, replicas), one()).unwrap();
    assert_eq!(ring.partitions().len(), limit as usize);
    assert!(Ring::birth(random_equal(limit, 8, replicas), one()).is_ok());

    // Weights count, and so does who joins later.
    let ring = Ring::birth(random(limit / 2, replicas), one()).unwrap();
    let heavy = |weight| Member {
        weight,
        ..node(1, 0, 0)
    };
    let change = |members| ring.change(members).map(|next| next.partitions().len());
    let too_many = Err(RingError::TooManyTokens { limit });
    assert_eq!(change(alloc::vec![heavy(2)]), Ok(limit as usize));
    assert_eq!(change(alloc::vec![heavy(3)]), too_many);
    assert_eq!(
        change(alloc::vec![heavy(1), node(2, 0, 0)]),
        Ok(limit as usize)
    );
    assert_eq!(change(alloc::vec![heavy(2), node(2, 0, 0)]), too_many);
}

#[test]
fn a_partition_has_no_more_owners_than_can_be_spread() {
    for replicas in [MAX_REPLICAS + 1, u8::MAX] {
        let too_many = RingError::TooManyReplicas { replicas };
        for config in [
            config(8, replicas),
            random(8, replicas),
            random_equal(8, 8, replicas),
        ] {
            assert_eq!(refused(config), too_many);
            let snapshot = RingSnapshot {
                config,
                members: one(),
                assignment: Vec::new(),
            };
            assert_eq!(Ring::try_from(snapshot).unwrap_err(), too_many);
        }
    }
    let members: Vec<Member> = (0..40)
        .map(|id| node(id, id as usize % 5, id as usize % 20))
        .collect();
    let ring = Ring::birth(config(64, MAX_REPLICAS), members.clone()).unwrap();
    assert_sound(&ring);
    assert_sound(&ring.change(members[4..].to_vec()).unwrap());
}

#[test]
fn a_ring_keeps_the_configuration_of_its_birth() {
    for config in [config(7, 2), random(5, 4), random_equal(6, 9, 1)] {
        let ring = Ring::birth(config, one()).unwrap();
        assert_eq!(ring.config(), config);
        let next = ring.change(alloc::vec![node(2, 0, 0)]).unwrap();
        assert_eq!(next.config(), config);
    }
}

#[test]
fn a_ring_counts_every_byte_it_keeps() {
    // "zone-0" and "host-0" or "zone-1" and "host-1", and 4 bytes that say where that is.
    let members: Vec<Member> = (0..6).map(|id| node(id, id as usize % 2, 0)).collect();
    let seats = 6 * (size_of::<Member>() + 12 + 4);
    let heap = |config| Ring::birth(config, members.clone()).unwrap().heap_bytes();
    // Lists of 2 replicas and 3 fallbacks, 2 bytes each.
    assert_eq!(heap(config(7, 2)), seats + 7 * 5 * 2);
    // No list is longer than all members.
    assert_eq!(heap(config(7, 4)), seats + 7 * 6 * 2);
    // 30 tokens of 16 bytes and their owners of 2, found through 32 buckets and an end of 4 each.
    let tokens = 30 * (16 + 2) + (32 + 1) * 4;
    assert_eq!(heap(random(5, 2)), seats + tokens + 30 * 5 * 2);
    assert_eq!(heap(random_equal(5, 7, 2)), seats + tokens + 7 * 5 * 2);
}
