//! What everybody has seen the end of is forgotten: deletes, and the boots that wrote.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use dynamo_sim::{Count, Lab};

const KEY: &str = "cart";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Nodes that hold nothing for each other, compare what they have and forget what is over.
fn lab(nodes: usize) -> Lab {
    Lab::with(nodes, (2, 2), |scenario| {
        scenario.knobs.hints = 0;
        scenario.knobs.exchange_every = secs(15);
        scenario.knobs.audit_every = secs(20);
        scenario.knobs.retire_every = secs(30);
    })
}

/// Writes it at one node, and deletes it at another, which has read it.
fn come_and_go(lab: &mut Lab, key: &str) {
    lab.put(0, key, "tea", None).unwrap();
    lab.wait(secs(1));
    let seen = lab.get(1, key).unwrap();
    lab.delete(1, key, &seen).unwrap();
    lab.wait(secs(1));
}

#[test]
fn nothing_is_left_of_a_key_that_all_have_seen_deleted() {
    let mut lab = lab(3);
    for at in 0..100 {
        come_and_go(&mut lab, &format!("key-{at}"));
    }
    lab.put(0, KEY, "stays", None).unwrap();
    assert!(lab.records() > 3, "deletes are kept at first");
    lab.wait(secs(300));
    assert_eq!(lab.records(), 3, "the one that stays");
    assert_eq!(lab.get(2, KEY).unwrap().texts(), ["stays"]);
    assert_eq!(lab.get(2, "key-7").unwrap().texts(), [""; 0]);
    lab.put(2, "key-7", "again", None).unwrap();
    assert_eq!(lab.get(1, "key-7").unwrap().texts(), ["again"]);
}

/// Chain 3 once more, with deletes that are forgotten: not while somebody is away that has not seen
/// them, however long.
#[test]
fn a_delete_is_kept_for_whoever_is_away_and_forgotten_when_he_has_it() {
    let mut lab = lab(3);
    lab.put(0, KEY, "tea", None).unwrap();
    lab.wait(secs(1));
    lab.stop(2);
    lab.wait(secs(10));
    let seen = lab.get(0, KEY).unwrap();
    lab.delete(0, KEY, &seen).unwrap();
    lab.wait(secs(3600));
    assert_eq!(lab.records(), 3, "it is away");
    assert_eq!(lab.count(Count::Retired), 0);
    lab.restart(2);
    lab.wait(secs(300));
    assert_eq!(lab.records(), 0);
    for node in 0..3 {
        assert_eq!(
            lab.with_quorum(1, 2).get(node, KEY).unwrap().texts(),
            [""; 0]
        );
    }
}

/// A store that comes back as it was before a key was deleted, after all others have forgotten
/// that: it has nothing to bring back.
#[test]
fn a_store_of_long_ago_does_not_bring_back_what_is_forgotten() {
    let mut lab = lab(4);
    let spare = *lab.in_order_of_duty(KEY).last().unwrap();
    lab.put(0, KEY, "tea", None).unwrap();
    lab.wait(secs(1));
    let owner = lab.in_order_of_duty(KEY)[0];
    lab.keep_disk(owner);
    let seen = lab.get(spare, KEY).unwrap();
    lab.delete(spare, KEY, &seen).unwrap();
    lab.wait(secs(300));
    assert_eq!(lab.records(), 0);
    lab.put_back_disk(owner);
    assert_eq!(lab.records(), 1, "here it is again");
    lab.wait(secs(300));
    assert_eq!(lab.records(), 0);
    for node in 0..4 {
        assert_eq!(
            lab.with_quorum(1, 2).get(node, KEY).unwrap().texts(),
            [""; 0]
        );
    }
}

/// A replica whose disk was replaced has seen nothing, whatever is retired: what others have is not
/// taken for deleted.
#[test]
fn an_empty_disk_deletes_nothing() {
    let mut lab = lab(3);
    for at in 0..50 {
        lab.put(at % 3, &format!("key-{at}"), "there", None)
            .unwrap();
    }
    lab.wait(secs(200));
    assert!(lab.count(Count::Raised) >= 3, "all have seen all");
    lab.wipe(1);
    lab.wait(secs(1));
    for at in 0..50 {
        let key = format!("key-{at}");
        assert_eq!(lab.get(1, &key).unwrap().texts(), ["there"], "{key}");
    }
    lab.wait(secs(200));
    for at in 0..50 {
        let key = format!("key-{at}");
        assert!(lab.is_settled(&key));
        let read = lab.with_quorum(1, 2).get(1, &key).unwrap();
        assert_eq!(read.texts(), ["there"], "{key}");
    }
}

/// As many rounds as there are weeks in a year, and a restart, a write by each node, a key that comes
/// and goes, and somebody who joins or leaves, in each.
#[test]
fn what_is_kept_stays_as_small_as_it_was() {
    let mut lab = lab(4);
    let mut sizes = Vec::new();
    for week in 0..52 {
        for node in 0..4 {
            let seen = lab.get(node, KEY).unwrap();
            lab.put(node, KEY, "of this week", Some(&seen)).unwrap();
            lab.wait(secs(1));
        }
        come_and_go(&mut lab, &format!("week-{week}"));
        lab.stop(week % 4);
        lab.wait(secs(2));
        lab.restart(week % 4);
        lab.wait(secs(150));
        sizes.push((lab.clock_entries(KEY), lab.bytes()));
    }
    lab.wait(secs(100));
    let most = |weeks: &[(usize, u64)]| {
        let entries = weeks.iter().map(|it| it.0).max();
        (entries.unwrap(), weeks.iter().map(|it| it.1).max().unwrap())
    };
    let (early, late) = (most(&sizes[8..20]), most(&sizes[40..]));
    println!("entries and bytes, at most: {early:?} early, {late:?} late");
    // One entry more or less where a round was not over when it was looked.
    assert!(late.0 <= early.0 + 2, "{early:?} {late:?}");
    assert!(late.1 <= early.1 + early.1 / 4, "{early:?} {late:?}");
    assert_eq!(lab.records(), 3);
    assert!(lab.clock_entries(KEY) <= 4);
}

/// What two replicas of a counter differ in may be what a boot wrote that is retired: that is found,
/// too, before anybody says that he has seen all of it.
#[test]
fn what_retired_boots_counted_is_not_lost() {
    let mut lab = Lab::with(3, (2, 2), |scenario| {
        scenario.knobs.hints = 0;
        scenario.knobs.exchange_every = secs(36_000);
        scenario.knobs.audit_every = secs(900);
        scenario.knobs.retire_every = secs(120);
    });
    lab.count_up(0, KEY, 100).unwrap();
    lab.wait(secs(90));
    lab.stop(2);
    lab.wait(secs(3));
    lab.count_up(0, KEY, -10).unwrap();
    lab.stop(0);
    lab.wait(secs(3));
    lab.restart(0);
    lab.restart(2);
    let mut count = 90;
    for _ in 0..600 {
        count += i64::from(lab.count_up(2, KEY, 1).is_ok());
        lab.wait(Duration::from_millis(250));
    }
    lab.wait(secs(2000));
    assert!(lab.count(Count::Retired) > 2);
    for node in 0..3 {
        assert_eq!(lab.counted(node, KEY), Ok(count), "node {node}");
    }
}

/// A record that could not be read and was begun anew from less does not stand for what all have
/// seen.
#[test]
fn a_damaged_record_that_is_begun_anew_deletes_nothing() {
    for who in 0..3 {
        let mut lab = Lab::with(4, (2, 2), |scenario| {
            scenario.knobs.exchange_every = secs(900);
            scenario.knobs.audit_every = secs(900);
            scenario.knobs.retire_every = secs(120);
        });
        let duty = lab.in_order_of_duty(KEY);
        lab.put(duty[0], KEY, "tea", None).unwrap();
        lab.wait(secs(400));
        assert!(lab.count(Count::Raised) >= 4);
        // Somebody who stands in has less, and brings that.
        lab.cut(&[duty[3]], &duty[..3]);
        lab.wait(secs(8));
        lab.with_quorum(1, 1)
            .put(duty[3], KEY, "milk", None)
            .unwrap();
        assert!(lab.damage(duty[who], KEY));
        lab.heal();
        lab.with_quorum(2, 2)
            .put(duty[who], KEY, "sugar", None)
            .unwrap();
        lab.wait(secs(3));
        let read = lab.get(duty[1], KEY).unwrap();
        assert_eq!(read.texts(), ["milk", "sugar", "tea"], "owner {who}");
    }
}

/// Whoever asks again for a write, in the time that he has for that, does not undo a delete of it.
#[test]
fn a_write_that_is_asked_for_again_is_not_done_after_its_delete_is_forgotten() {
    let mut lab = lab(3);
    lab.wait(secs(200));
    lab.put_as(0, KEY, "tea", (999_999, false)).unwrap();
    let seen = lab.get(1, KEY).unwrap();
    lab.delete(1, KEY, &seen).unwrap();
    for _ in 0..20 {
        lab.wait(secs(1));
        let _ = lab.put_as(0, KEY, "tea", (999_999, true));
        assert_eq!(lab.get(2, KEY).unwrap().texts(), [""; 0]);
    }
    lab.wait(secs(300));
    assert_eq!(lab.records(), 0);
}

/// The same store of long ago, with disks as slow as they come and with two nodes as with four: it has
/// not seen all before it has taken in that there is nothing.
#[test]
fn a_store_of_long_ago_does_not_say_too_soon_that_it_has_seen_all() {
    let all = (1..=6).flat_map(|seed| [(seed, 5), (seed, 100), (seed, 200)]);
    for (seed, disk) in all {
        for nodes in [2, 4] {
            let mut lab = Lab::with(nodes, (2, 2), |scenario| {
                scenario.seed = seed;
                scenario.disk = Duration::from_millis(disk);
                scenario.knobs.hints = 0;
                scenario.knobs.exchange_every = secs(15);
                scenario.knobs.audit_every = secs(20);
                scenario.knobs.retire_every = secs(30);
            });
            let duty = lab.in_order_of_duty(KEY);
            let (owner, spare) = (duty[0], *duty.last().unwrap());
            while lab.put(duty[1], KEY, "tea", None).is_err() {
                lab.wait(secs(1)); // its disk is slow
            }
            lab.wait(secs(1));
            lab.keep_disk(owner);
            let seen = lab.get(spare, KEY).unwrap();
            while lab.delete(spare, KEY, &seen).is_err() {
                lab.wait(secs(1));
            }
            lab.wait(secs(400));
            assert_eq!(lab.records(), 0, "{seed} {disk} {nodes}");
            lab.put_back_disk(owner);
            lab.wait(secs(400));
            assert_eq!(lab.records(), 0, "{seed} {disk} {nodes}");
        }
    }
}

/// Whoever leads may be started again more often than boots are retired.
#[test]
fn a_leader_that_does_not_last_leads_all_the_same() {
    let mut lab = Lab::with(3, (2, 2), |scenario| {
        scenario.knobs.hints = 0;
        scenario.knobs.exchange_every = secs(15);
        scenario.knobs.audit_every = secs(20);
        scenario.knobs.retire_every = secs(120);
    });
    come_and_go(&mut lab, KEY);
    for _ in 0..20 {
        lab.wait(secs(98));
        lab.stop(0);
        lab.restart(0);
    }
    lab.wait(secs(98));
    assert_eq!(lab.records(), 0);
}
