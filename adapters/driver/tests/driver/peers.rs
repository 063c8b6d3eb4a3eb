use std::time::Duration;

use dynamo_driver::driver::Lane;
use dynamo_driver::{Bounds, Waits};

use crate::world::*;

#[test]
fn nodes_meet_once_and_each_serves_whatever_the_pieces() {
    let mut world = World::of(5, Bounds::default());
    for at in 0..5 {
        assert_eq!(world.nodes[at].counted("dynamo_peers_met_total"), 4);
        let line = world.resp(at, Lane::Clients);
        let key = format!("key {at}");
        let value = vec![b'v'; 100_000];
        world.say(line, &command(&[b"SET", key.as_bytes(), &value]));
        world.say(line, &command(&[b"STRLEN", key.as_bytes()]));
        world.settle();
        assert_eq!(world.hear(line), b"+OK\r\n:100000\r\n");
    }
    for node in &world.nodes {
        assert_eq!(node.waiting_bytes(), 0);
    }
}

#[test]
fn a_node_that_is_away_is_dialed_more_and_more_seldom_and_found_when_it_is_back() {
    let mut world = World::of(3, Bounds::default());
    world.kill(2);
    world.pass(Duration::from_secs(60));
    let Waits {
        redial,
        longest_redial,
        ..
    } = Waits::default();
    // Both others have the smaller id, so both dial.
    for at in 0..2 {
        assert_eq!(world.nodes[at].connected(), 1);
        let dials = &world.nodes[at].dials;
        let gaps: Vec<_> = dials.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps[0] <= 2 * redial, "{gaps:?}");
        let late = &gaps[gaps.len() - 10..];
        assert!(
            late.iter()
                .all(|gap| *gap >= longest_redial / 2 && *gap <= longest_redial)
        );
        assert!(
            late.iter().any(|gap| *gap != late[0]),
            "no jitter: {late:?}"
        );
    }
    assert_ne!(world.nodes[0].dials, world.nodes[1].dials);
    world.restart(2);
    world.pass(longest_redial);
    assert!(world.nodes.iter().all(|node| node.connected() == 2));
}

#[test]
fn a_quiet_connection_is_kept_and_one_that_is_half_open_is_given_up() {
    let mut world = World::of(3, Bounds::default());
    world.pass(Duration::from_secs(600));
    for node in &world.nodes {
        assert_eq!(node.counted("dynamo_peers_lost_total"), 0);
    }
    world.freeze(0, 1, true);
    world.pass(Waits::default().silence + Duration::from_secs(1));
    assert_eq!(world.nodes[0].counted("dynamo_peers_lost_total"), 1);
    assert_eq!(world.nodes[1].counted("dynamo_peers_lost_total"), 1);
    // The next one is not frozen.
    world.pass(Waits::default().longest_redial);
    assert!(world.nodes.iter().all(|node| node.connected() == 2));
}

#[test]
fn a_pause_of_ones_own_is_not_the_others_silence() {
    let mut world = World::of(3, Bounds::default());
    world.pass(Duration::from_secs(10));
    // All of them stand still, so nobody is told of a deadline.
    world.now += Duration::from_secs(60);
    world.pass(Duration::from_secs(60));
    for node in &world.nodes {
        assert_eq!(node.counted("dynamo_peers_lost_total"), 0);
    }
}

#[test]
fn a_node_that_stood_still_for_a_moment_goes_on_where_it_was() {
    let mut world = World::of(3, Bounds::default());
    let line = world.resp(0, Lane::Clients);
    world.pass(Duration::from_secs(1));
    // Its messages are on the way when it stops.
    world.freeze(0, 1, true);
    world.freeze(0, 2, true);
    world.say(line, &command(&[b"SET", b"cart", b"tea"]));
    world.settle();
    world.nodes[0].is_paused = true;
    world.freeze(0, 1, false);
    world.freeze(0, 2, false);
    world.pass(Duration::from_secs(2));
    world.nodes[0].is_paused = false;
    world.pass(Duration::from_millis(100));
    assert_eq!(world.hear(line), b"+OK\r\n");
    assert_eq!(world.nodes[0].counted("dynamo_suspicions_total"), 0);
    world.say(line, &command(&[b"SET", b"cart", b"milk"]));
    world.pass(Duration::from_millis(100));
    assert_eq!(world.hear(line), b"+OK\r\n");
}

#[test]
fn a_peer_that_does_not_read_takes_a_bounded_room_and_the_others_serve() {
    let bounds = Bounds {
        peer_bytes: 256 << 10,
        ..Bounds::default()
    };
    let mut world = World::of(3, bounds);
    world.freeze(0, 2, true);
    let line = world.resp(0, Lane::Clients);
    let value = vec![b'v'; 50_000];
    let mut most = 0;
    for number in 0..200 {
        let key = format!("key {number}");
        world.say(line, &command(&[b"SET", key.as_bytes(), &value]));
        let mut heard = Vec::new();
        while heard.is_empty() {
            world.pass(Duration::from_millis(1));
            heard = world.hear(line);
        }
        assert_eq!(heard, b"+OK\r\n", "{number}");
        most = most.max(world.nodes[0].waiting_bytes());
    }
    assert!(most <= (256 << 10) + (64 << 10), "{most}");
    assert!(world.nodes[0].counted("dynamo_unsent_total") > 0);
}

#[test]
fn strangers_who_say_nothing_or_nonsense_are_hung_up_on() {
    let mut world = World::of(3, Bounds::default());
    let (silent, senseless) = (world.stranger(0), world.stranger(0));
    world.say(senseless, b"GET / HTTP/1.1\r\nHost: dynamo\r\n\r\n");
    world.settle();
    assert!(world.is_open(silent) && !world.is_open(senseless));
    world.pass(Waits::default().handshake + Duration::from_secs(1));
    assert!(!world.is_open(silent));
    assert!(world.nodes.iter().all(|node| node.connected() == 2));
}

#[test]
fn strangers_beyond_their_places_do_not_keep_nodes_out_for_long() {
    let bounds = Bounds {
        strangers: 8,
        ..Bounds::default()
    };
    let mut world = World::of(3, bounds);
    world.kill(2);
    for _ in 0..100 {
        world.stranger(1);
    }
    world.restart(2);
    world.pass(Duration::from_secs(20));
    assert!(world.nodes.iter().all(|node| node.connected() == 2));
}
