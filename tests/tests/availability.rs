//! Small editions of what `dynamo-sim away`, `surge` and `year` measure.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use dynamo_sim::measure::away::{self, Absence};
use dynamo_sim::measure::surge::{self, Room};
use dynamo_sim::measure::year::Year;

#[test]
fn a_node_that_was_away_gets_all_that_it_missed_from_hints_alone() {
    let (writes, value_bytes) = (300, 1024);
    let returned = away::measure(&Absence {
        writes,
        value_bytes,
        latency: (Duration::from_micros(200), Duration::from_micros(100)),
        disk: Duration::from_micros(100),
        exchange_every: None,
    });
    let returned = returned.unwrap();
    assert_eq!(returned.copies, 300, "one for each write");
    let data = (writes * value_bytes) as u64;
    assert!(returned.copy_bytes > data);
    let sent = data..2 * data;
    assert!(
        sent.contains(&returned.sent_home),
        "{} bytes for {data} of data",
        returned.sent_home
    );
    assert!(returned.took < Duration::from_secs(60), "{returned:?}");
    assert_eq!(returned.left.last().unwrap().1, 0);
}

#[test]
fn a_surge_of_ten_times_the_capacity_leaves_no_trace_after_five_seconds() {
    let room = Room {
        requests: 50,
        peers: 100,
    };
    let passage = surge::measure(room, 600, 10).unwrap();
    let back = passage.recovered.unwrap();
    assert!(back <= Duration::from_secs(5), "after {back:?}");
    let refused: u32 = passage.stretches.iter().map(|it| it.overloaded).sum();
    assert!(refused > 10_000, "it was too much: {refused}");
}

#[test]
fn nearly_all_requests_of_days_on_which_something_fails_are_answered() {
    let mut year = Year::default();
    for day in 0..4 {
        year.live(day).unwrap();
    }
    let failures: u64 = year.failures.iter().sum();
    assert!(failures > 0, "a day without any shows little");
    assert!(year.calm.asked > 20_000 && year.rough.asked > 1000);
    assert!(year.lacking(true) < 1e-4, "{}", year.lacking(true));
    let slowest = year.slowest(true, &[1000.0]);
    assert!(year.mean(true) < slowest[0].1, "{slowest:?}");
}
