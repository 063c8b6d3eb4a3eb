use alloc::vec::Vec;

use super::*;
use crate::Seed;
use crate::node::Effect;
use crate::rng::Rng;
use crate::wire::Message;

const PATIENCE: Duration = Duration::from_millis(500);

fn health() -> Health {
    let mut health = Health::new(NodeId(1), PATIENCE, Duration::from_millis(100));
    health.follow(&[1, 2, 3, 4].map(NodeId));
    health
}

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

/// All that is sent at that moment: to whom, and whether by way of another.
fn probe(health: &mut Health, ms: u64) -> Vec<(NodeId, bool)> {
    let (mut rng, mut effects) = (Rng::new(Seed(1)), Vec::new());
    health.probe(NodeId(1), 7, at(ms), &mut rng, &mut effects);
    let sent = effects.into_iter().filter_map(|effect| match effect {
        Effect::Send { to, message } => Some((to[0], matches!(message, Message::Relay { .. }))),
        _ => None,
    });
    sent.collect()
}

#[test]
fn who_is_late_is_pinged_and_who_does_not_answer_that_is_suspected() {
    let mut health = health();
    assert!(health.is_trusted(NodeId(2)) && health.is_trusted(NodeId(1)));
    health.missed(NodeId(2), at(100), at(600));
    assert_eq!(probe(&mut health, 600), [(NodeId(2), false)]);
    assert!(
        health.is_trusted(NodeId(2)),
        "not before the ping was in vain"
    );
    probe(&mut health, 1300);
    assert!(!health.is_trusted(NodeId(2)) && health.is_trusted(NodeId(3)));
    assert!(health.answered(NodeId(2), None, at(1400)));
    assert!(health.is_trusted(NodeId(2)));
    assert_eq!(health.next_probe(), None);
}

#[test]
fn who_answers_something_else_or_a_ping_is_slow_and_not_dead() {
    let mut health = health();
    health.answered(NodeId(2), None, at(300));
    health.missed(NodeId(2), at(100), at(600));
    assert_eq!(health.next_probe(), None);
    health.missed(NodeId(2), at(400), at(900));
    probe(&mut health, 900);
    health.answered(NodeId(2), None, at(1100));
    assert_eq!(probe(&mut health, 2000), []);
    assert!(health.is_trusted(NodeId(2)));
}

#[test]
fn who_flaps_is_trusted_later_each_time_and_forgiven_in_the_end() {
    let mut health = health();
    let mut now = 1000;
    let mut holds = Vec::new();
    for _ in 0..5 {
        assert!(health.unreachable(NodeId(2), at(now)));
        assert!(!health.unreachable(NodeId(2), at(now)), "only once");
        let suspected = now;
        while !health.answered(NodeId(2), None, at(now)) {
            now += 100;
        }
        holds.push(now - suspected);
        now += 1000;
    }
    assert_eq!(holds, [0, 500, 1000, 2000, 4000]);
    now += 500 * u64::from(STABLE);
    assert!(health.unreachable(NodeId(2), at(now)));
    assert!(health.answered(NodeId(2), None, at(now)));
}

#[test]
fn after_a_pause_of_its_own_a_node_suspects_nobody_for_a_while() {
    let mut health = health();
    health.missed(NodeId(3), at(100), at(600));
    probe(&mut health, 600);
    health.was_away(at(10_000));
    health.missed(NodeId(2), at(100), at(10_000));
    assert_eq!(health.next_probe(), None);
    health.missed(NodeId(2), at(100), at(10_500));
    assert_eq!(probe(&mut health, 10_500), [(NodeId(2), false)]);
}

#[test]
fn a_silent_node_is_pinged_directly_and_then_by_way_of_others() {
    let mut health = health();
    health.unreachable(NodeId(2), at(600));
    assert_eq!(health.next_probe(), Some(at(600)));
    assert_eq!(probe(&mut health, 600), [(NodeId(2), false)]);
    assert!(health.next_probe() >= Some(at(1100)));
    assert_eq!(
        probe(&mut health, 1300),
        [(NodeId(2), false), (NodeId(3), true), (NodeId(4), true)]
    );
    // Its answer came by way of node 3: so it is spoken to, and still pinged directly.
    assert!(health.answered(NodeId(2), Some(NodeId(3)), at(1400)));
    assert_eq!(health.via(NodeId(2)), Some(NodeId(3)));
    assert!(health.next_probe().is_some());
    health.answered(NodeId(2), None, at(2000));
    assert_eq!(health.via(NodeId(2)), None);
}

#[test]
fn pongs_of_another_boot_are_none() {
    let mut health = health();
    let mut rng = Rng::new(Seed(1));
    assert!(!health.is_pong(crate::wire::Ticket(7), 7));
    health.missed(NodeId(2), at(0), at(600));
    let mut effects = Vec::new();
    health.probe(NodeId(1), 7, at(600), &mut rng, &mut effects);
    let Some(Effect::Send {
        message: Message::Ping { ticket },
        ..
    }) = effects.pop()
    else {
        panic!("no ping")
    };
    assert!(health.is_pong(ticket, 7));
    assert!(!health.is_pong(ticket, 7 << 40));
}

#[test]
fn the_order_of_two_that_are_about_as_fast_does_not_change() {
    let mut health = health();
    let ms = Duration::from_millis;
    health.read_took(NodeId(2), ms(10), at(0));
    health.read_took(NodeId(3), ms(11), at(0));
    for step in 0..50 {
        health.read_took(NodeId(2), ms(11), at(step));
        health.read_took(NodeId(3), ms(10), at(step));
        assert!(health.rank(NodeId(2), at(step)) < health.rank(NodeId(3), at(step)));
    }
    for step in 50..100 {
        health.read_took(NodeId(2), ms(40), at(step));
    }
    assert!(health.rank(NodeId(2), at(100)) > health.rank(NodeId(3), at(100)));
    // What was long not measured is not known any more, so that it is asked again.
    assert_eq!(health.rank(NodeId(2), at(100_000)), Duration::ZERO);
}

#[test]
fn at_most_one_read_in_twenty_is_hedged() {
    let mut health = health();
    let mut hedged = 0;
    for _ in 0..2000 {
        health.earn_hedge();
        hedged += u32::from(health.spend_hedge());
    }
    assert_eq!(hedged, 100);
}

#[test]
fn a_slow_disk_is_slow_until_it_is_clearly_fast_again() {
    let mut health = health();
    let ms = Duration::from_millis;
    health.wrote(ms(150), at(0));
    assert!(health.is_store_slow(at(100)));
    for step in 0..4 {
        health.wrote(ms(70), at(step));
    }
    assert!(health.is_store_slow(at(100)), "not yet");
    for step in 0..30 {
        health.wrote(ms(1), at(step));
    }
    assert!(!health.is_store_slow(at(100)));
    health.wrote(ms(5000), at(100));
    assert!(health.is_store_slow(at(100)));
    assert!(!health.is_store_slow(at(100_000)), "it is worth a try");
}
