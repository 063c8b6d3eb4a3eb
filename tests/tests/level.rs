//! Replicas that find out where they differ, by themselves: long absences, deletes, and what it costs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use dynamo_sim::measure::away::{self, Absence};
use dynamo_sim::measure::level::{self, Gap};
use dynamo_sim::{Count, Lab};

const KEY: &str = "cart";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Three nodes that hold nothing for each other, and compare what they have.
fn without_hints() -> Lab {
    Lab::with(3, (2, 2), |scenario| {
        scenario.knobs.hints = 0;
        scenario.knobs.exchange_every = secs(15);
        scenario.knobs.audit_every = secs(20);
    })
}

/// Chain 3, row 12 → row 10: a replica was away longer than anything was held for it, and a delete
/// was done meanwhile. What it brings back must not bring back the key.
#[test]
fn chain_3_a_replica_that_missed_a_delete_and_every_hint_does_not_undo_it() {
    let mut lab = without_hints();
    lab.put(0, KEY, "tea", None).unwrap();
    lab.wait(secs(1));
    lab.stop(2);
    lab.wait(secs(10));
    let seen = lab.get(0, KEY).unwrap();
    lab.delete(0, KEY, &seen).unwrap();
    lab.wait(secs(3600));
    assert_eq!((lab.held(0), lab.held(1)), (0, 0), "nothing was held");
    assert!(!lab.is_settled(KEY));
    lab.restart(2);
    lab.wait(secs(40));
    assert!(lab.is_settled(KEY), "by themselves");
    assert!(lab.count(Count::Levelled) > 0 && lab.count(Count::RepairSent) == 0);
    for node in 0..3 {
        assert_eq!(
            lab.with_quorum(1, 2).get(node, KEY).unwrap().texts(),
            [""; 0]
        );
    }
}

/// Chain 2, row 12 → row 10 → row 3: a copy is held for long, the key is deleted and created anew
/// meanwhile, and then the copy goes home.
#[test]
fn chain_2_a_copy_that_comes_home_late_does_not_supersede_a_key_that_was_created_anew() {
    let mut lab = Lab::with(5, (2, 3), |scenario| {
        scenario.knobs.exchange_every = secs(15);
        scenario.knobs.audit_every = secs(20);
    });
    let order = lab.in_order_of_duty(KEY);
    let (first, away, holder) = (order[0], order[2], order[3]);
    lab.put(first, KEY, "tea", None).unwrap();
    lab.wait(secs(1));
    lab.stop(away);
    lab.wait(secs(10));
    let seen = lab.get(first, KEY).unwrap();
    lab.put(first, KEY, "coffee", Some(&seen)).unwrap();
    assert_eq!(lab.held(holder), 1, "it is held for who is away");
    let seen = lab.get(first, KEY).unwrap();
    // Who holds it hears of nothing that comes now.
    lab.stop(holder);
    lab.restart(away);
    lab.wait(secs(40));
    assert!(lab.is_settled(KEY), "without what is held");
    lab.delete(first, KEY, &seen).unwrap();
    lab.wait(secs(3600));
    lab.put(away, KEY, "milk", None).unwrap();
    lab.wait(secs(40));
    lab.restart(holder);
    lab.wait(secs(60));
    assert_eq!(lab.held(holder), 0, "it went home");
    assert!(lab.is_settled(KEY));
    for node in order {
        assert_eq!(
            lab.with_quorum(3, 3).get(node, KEY).unwrap().texts(),
            ["milk"]
        );
    }
}

/// A disk that is replaced by an empty one is filled again though nobody reads.
#[test]
fn a_wiped_replica_gets_everything_back_by_itself() {
    let mut lab = without_hints();
    let keys: Vec<String> = (0..200).map(|at| format!("key-{at}")).collect();
    for key in &keys {
        lab.put(0, key, "there", None).unwrap();
    }
    lab.wait(secs(5));
    lab.wipe(1);
    lab.wait(secs(60));
    assert!(keys.iter().all(|key| lab.is_settled(key)));
    assert_eq!(lab.count(Count::RepairSent), 0);
}

/// Row 12: hints optimise, exchange guarantees.
#[test]
fn what_was_missed_and_held_by_nobody_comes_by_exchange() {
    let (writes, value_bytes) = (2_000, 256);
    let returned = away::measure(&Absence {
        writes,
        value_bytes,
        latency: (Duration::from_micros(200), Duration::from_micros(100)),
        disk: Duration::from_micros(100),
        exchange_every: Some(secs(60)),
    });
    let returned = returned.unwrap();
    assert_eq!(returned.copies, 0, "nothing was held");
    // Two who have them may both send them before either hears of the other.
    assert!((2_000..4_000).contains(&returned.levelled), "{returned:?}");
    assert!(returned.took < secs(75), "{returned:?}");
}

/// Row 15: what replicas have in common costs next to nothing, however much it is.
#[test]
fn one_key_among_many_is_found_for_a_few_bytes() {
    let gap = Gap {
        keys: 30_000,
        missing: 1,
        value_bytes: 64,
    };
    let levelled = level::measure(&gap).unwrap();
    check_one(&gap, &levelled);
}

/// The same among a million; it takes a minute and a gigabyte.
#[test]
#[ignore = "large: run by name, in the ci profile"]
fn one_key_among_a_million_is_found_for_64_kib() {
    let gap = Gap {
        keys: 1_000_000,
        missing: 1,
        value_bytes: 64,
    };
    let levelled = level::measure(&gap).unwrap();
    check_one(&gap, &levelled);
}

fn check_one(gap: &Gap, levelled: &level::Levelled) {
    println!("{gap:?}: {levelled:?}");
    assert_eq!(levelled.keys, 3 * gap.keys as u64);
    assert!(levelled.said.bytes() <= 64 << 10, "{levelled:?}");
    // Each root has eight bytes, the place of its stretch two or three, and some are in one message.
    let root = levelled.said_in_step.bytes() / levelled.stretches as u64;
    assert!(root <= 64, "{levelled:?}");
}

/// Row 15: and what differs little more than itself.
#[test]
fn one_key_in_a_hundred_costs_half_as_much_again_as_what_is_missing() {
    let gap = Gap {
        keys: 30_000,
        missing: 300,
        value_bytes: 1024,
    };
    check_share(&gap);
}

/// The same among a million.
#[test]
#[ignore = "large: run by name, in the ci profile"]
fn ten_thousand_keys_in_a_million_cost_half_as_much_again_as_what_is_missing() {
    let gap = Gap {
        keys: 1_000_000,
        missing: 10_000,
        value_bytes: 1024,
    };
    check_share(&gap);
}

fn check_share(gap: &Gap) {
    let levelled = level::measure(gap).unwrap();
    println!("{gap:?}: {levelled:?}");
    let most = levelled.missing_bytes + levelled.missing_bytes / 2;
    assert!(levelled.said.bytes() <= most, "{levelled:?}");
}
