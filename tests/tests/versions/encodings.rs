//! States as bytes, and bytes that are none.

use super::*;

/// Height, entries (node, boot, serial, counter, time), values.
fn state(entries: &[(u64, u64, u64, u32)]) -> Result<Siblings, DecodeError> {
    let mut bytes = vec![0, 0, 0, 0];
    bytes.extend_from_slice(&(entries.len() as u32).to_be_bytes());
    for (node, boot, serial, counter) in entries {
        bytes.extend_from_slice(&node.to_be_bytes());
        bytes.extend_from_slice(&boot.to_be_bytes());
        bytes.extend_from_slice(&serial.to_be_bytes());
        bytes.extend_from_slice(&counter.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
    }
    bytes.extend_from_slice(&[0; 4]);
    Siblings::decode(bytes.into())
}

#[test]
fn a_clock_that_is_out_of_order_or_counts_nothing_is_refused() {
    let clock = state(&[(1, 1, 1, 1), (1, 1, 2, 1), (1, 2, 0, 7), (2, 0, 0, 1)]).unwrap();
    assert_eq!(clock.clock().entries().len(), 4);
    for wrong in [
        &[(2, 0, 0, 1), (1, 0, 0, 1)][..],
        &[(1, 0, 0, 1), (1, 0, 0, 1)],
        &[(1, 0, 1, 1), (1, 0, 0, 1)],
        &[(1, 0, 0, 0)],
        &[(1, 0, 0, 1), (2, 0, 0, 0)],
    ] {
        assert_eq!(
            state(wrong),
            Err(DecodeError::Invalid("clock")),
            "{wrong:?}"
        );
    }
}

/// One entry (node 1, counter 2), then values of (entry, counter), all tombstones.
fn values(values: &[(u32, u32)]) -> Result<Siblings, DecodeError> {
    let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 1];
    for word in [1_u64, 1, 1] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0, 0]);
    bytes.extend_from_slice(&(values.len() as u32).to_be_bytes());
    for (entry, counter) in values {
        bytes.extend_from_slice(&entry.to_be_bytes());
        bytes.extend_from_slice(&counter.to_be_bytes());
        bytes.extend_from_slice(&[0; 24]);
        bytes.push(1);
    }
    Siblings::decode(bytes.into())
}

#[test]
fn values_that_the_clock_does_not_cover_or_that_are_out_of_order_are_refused() {
    assert_eq!(values(&[(0, 1), (0, 2)]).unwrap().values().len(), 2);
    for wrong in [
        &[(0, 3)][..],
        &[(0, 0)],
        &[(0, 2), (0, 1)],
        &[(0, 1), (0, 1)],
    ] {
        assert_eq!(
            values(wrong),
            Err(DecodeError::Invalid("siblings")),
            "{wrong:?}"
        );
    }
    assert_eq!(
        values(&[(1, 1)]),
        Err(DecodeError::Invalid("actor of a value"))
    );
}

#[test]
fn a_count_beyond_the_bytes_is_refused_before_anything_is_made_for_it() {
    let bytes = Bytes::from_static(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    let decoding = allocation_counter::measure(|| {
        assert_eq!(
            Siblings::decode(bytes.clone()),
            Err(DecodeError::Truncated("a clock"))
        );
    });
    assert!(decoding.bytes_total <= 64, "{decoding:?}");
}

/// 20,000 live values are sorted and found by halving, not by looking at each.
#[test]
fn hostile_states_take_no_more_time_than_their_size() {
    let count = 20_000_u32;
    let mut bytes = vec![0, 0, 0, 0];
    bytes.extend_from_slice(&count.to_be_bytes());
    for entry in 1..=count {
        bytes.extend_from_slice(&u64::from(entry).to_be_bytes());
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0]);
    }
    bytes.extend_from_slice(&count.to_be_bytes());
    for entry in 0..count {
        bytes.extend_from_slice(&entry.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 1]);
        bytes.extend_from_slice(&u128::from(entry).to_be_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.push(1);
    }
    let state = Siblings::decode(bytes.clone().into()).unwrap();
    let bucket = siblings_bucket();
    let mut node = Node::new(u64::MAX);
    bucket.put(&mut node, None, "ours");
    let started = std::time::Instant::now();
    node.record
        .merge(state.clone(), bucket.policy, &bucket.retired)
        .unwrap();
    assert_eq!(node.record.siblings().answers().count(), count as usize); // one id is the node's too
    let mut encoded = Vec::new();
    state.encode(&mut encoded);
    assert!(encoded == bytes);
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}
