use std::time::Duration;

use dynamo_driver::driver::Lane;
use dynamo_driver::{Bounds, Waits};

use crate::world::*;

#[test]
fn requests_of_one_connection_on_one_key_keep_their_order() {
    let mut world = World::of(3, Bounds::default());
    let line = world.resp(1, Lane::Clients);
    let mut expected = Vec::new();
    for number in 0..300 {
        let value = number.to_string();
        world.say(line, &command(&[b"SET", b"cart", value.as_bytes()]));
        world.say(line, &command(&[b"GET", b"cart"]));
        expected.extend(format!("+OK\r\n${}\r\n{value}\r\n", value.len()).bytes());
        if number % 3 == 0 {
            world.say(line, &command(&[b"DEL", b"cart"]));
            world.say(line, &command(&[b"GET", b"cart"]));
            expected.extend(b":1\r\n$-1\r\n");
        }
    }
    world.settle();
    let heard = world.hear_all(line);
    assert_eq!(
        String::from_utf8_lossy(&heard),
        String::from_utf8_lossy(&expected)
    );
}

#[test]
fn a_client_that_pipelines_ten_thousand_commands_gets_ten_thousand_answers() {
    let mut world = World::of(3, Bounds::default());
    let line = world.resp(0, Lane::Clients);
    for number in 0..10_000 {
        let key = format!("key {}", number % 100);
        world.say(line, &command(&[b"SET", key.as_bytes(), b"tea"]));
    }
    world.settle();
    let heard = world.hear_all(line);
    assert_eq!(heard, b"+OK\r\n".repeat(10_000));
    assert_eq!(world.nodes[0].waiting_bytes(), 0);
}

#[test]
fn a_client_that_does_not_read_is_not_read_from_and_is_hung_up_on_at_last() {
    let bounds = Bounds::default();
    let mut world = World::of(3, bounds);
    let line = world.resp(0, Lane::Clients);
    let large = vec![b'v'; 100_000];
    world.say(line, &command(&[b"SET", b"large", &large]));
    world.settle();
    assert_eq!(world.hear(line), b"+OK\r\n");

    for _ in 0..10_000 {
        world.say(line, &command(&[b"GET", b"large"]));
    }
    world.settle();
    let waiting = world.nodes[0].waiting_bytes();
    let most = bounds.unread_bytes + (bounds.in_flight + 1) * 101_000;
    assert!((bounds.unread_bytes..most).contains(&waiting), "{waiting}");

    // It reads after all, and misses nothing.
    let heard = world.hear_all(line);
    assert_eq!(heard.len(), 10_000 * (b"$100000\r\n\r\n".len() + 100_000));

    for _ in 0..100 {
        world.say(line, &command(&[b"GET", b"large"]));
    }
    world.pass(Waits::default().stalled + Duration::from_secs(10));
    assert!(!world.is_open(line));
    assert_eq!(world.nodes[0].waiting_bytes(), 0);
}

#[test]
fn clients_beyond_their_places_are_told_so_and_places_are_kept_for_looking_after_the_node() {
    let bounds = Bounds {
        clients: 10,
        admins: 3,
        ..Bounds::default()
    };
    let mut world = World::of(3, bounds);
    let lines: Vec<_> = (0..10).map(|_| world.resp(0, Lane::Clients)).collect();
    let (beyond, admin) = (world.resp(0, Lane::Clients), world.resp(0, Lane::Admins));
    for line in [lines[0], lines[9], beyond, admin] {
        world.say(line, &command(&[b"PING"]));
    }
    world.say(admin, &command(&[b"GET", b"cart"]));
    world.settle();
    assert_eq!(world.hear(lines[0]), b"+PONG\r\n");
    assert_eq!(world.hear(lines[9]), b"+PONG\r\n");
    let heard = String::from_utf8(world.hear(admin)).unwrap();
    assert!(
        heard.starts_with("+PONG\r\n-"),
        "keys are for clients: {heard}"
    );
    let refused = world.hear(beyond);
    assert!(
        refused.starts_with(b"-ERR max number of clients"),
        "{refused:?}"
    );
    assert!(!world.is_open(beyond));

    // Whoever sits there and says nothing does not keep others out.
    for _ in 0..10 {
        world.resp(0, Lane::Admins);
        world.pass(Duration::from_millis(1));
    }
    assert!(!world.is_open(admin));
    let admin = world.resp(0, Lane::Admins);
    world.say(admin, &command(&[b"PING"]));
    world.settle();
    assert_eq!(world.hear(admin), b"+PONG\r\n");

    world.say(lines[3], &command(&[b"QUIT"]));
    world.settle();
    assert!(!world.is_open(lines[3]));
    let next = world.resp(0, Lane::Clients);
    world.say(next, &command(&[b"PING"]));
    world.settle();
    assert_eq!(world.hear(next), b"+PONG\r\n");
}

#[test]
fn a_few_that_do_not_read_do_not_keep_others_from_being_served() {
    let bounds = Bounds {
        total_bytes: 8 << 20,
        ..Bounds::default()
    };
    let mut world = World::of(3, bounds);
    let other = world.resp(0, Lane::Clients);
    let large = vec![b'v'; 100_000];
    world.say(other, &command(&[b"SET", b"large", &large]));
    world.settle();
    assert_eq!(world.hear(other), b"+OK\r\n");
    let lines: Vec<_> = (0..10).map(|_| world.resp(0, Lane::Clients)).collect();
    for line in &lines {
        for _ in 0..100 {
            world.say(*line, &command(&[b"GET", b"large"]));
        }
    }
    world.settle();
    // For one or two there may be some left.
    for _ in 0..3 {
        world.say(other, &command(&[b"GET", b"large"]));
    }
    world.settle();
    let heard = world.hear_all(other);
    let heard = String::from_utf8_lossy(&heard);
    let last = heard.lines().last();
    assert!(
        last.is_some_and(|it| it.starts_with('-')),
        "there is no room"
    );

    // All read a little now and then, which is not enough.
    for _ in 0..40 {
        world.pass(Duration::from_millis(100));
        for line in &lines {
            world.hear(*line);
        }
    }
    assert!(world.nodes[0].waiting_bytes() <= (4 << 20));
    let hung_up = lines.iter().filter(|line| !world.is_open(**line)).count();
    assert!((1..10).contains(&hung_up), "{hung_up}");
    world.say(other, &command(&[b"GET", b"large"]));
    world.settle();
    assert!(world.hear_all(other).starts_with(b"$100000\r\n"));
}

#[test]
fn beyond_the_sum_of_all_clients_are_told_at_once_that_it_is_overloaded() {
    let bounds = Bounds {
        total_bytes: 2 << 20,
        ..Bounds::default()
    };
    let mut world = World::of(3, bounds);
    let first = world.resp(0, Lane::Clients);
    let large = vec![b'v'; 100_000];
    world.say(first, &command(&[b"SET", b"large", &large]));
    world.settle();
    assert_eq!(world.hear(first), b"+OK\r\n");
    let lines: Vec<_> = (0..40).map(|_| world.resp(0, Lane::Clients)).collect();
    let mut most = 0;
    for line in &lines {
        for _ in 0..10 {
            world.say(*line, &command(&[b"GET", b"large"]));
        }
        world.settle();
        most = most.max(world.nodes[0].waiting_bytes());
    }
    // One answer beyond it, and the refusals.
    assert!(most <= (2 << 20) + 200_000, "{most}");
    assert!(world.nodes[0].counted("dynamo_overloaded_total") > 0);
    world.say(first, &command(&[b"PING"]));
    world.settle();
    assert_eq!(world.hear(first), b"+PONG\r\n");

    // Each is answered, one way or the other; and then it serves as before. Reads of one key wait a
    // moment for each other.
    world.pass(Duration::from_secs(1));
    for line in lines {
        let mut heard = world.hear_all(line);
        let mut answers = 0;
        while !heard.is_empty() {
            let answer = match heard[0] {
                b'$' => b"$100000\r\n\r\n".len() + large.len(),
                _ => 1 + heard.iter().position(|byte| *byte == b'\n').unwrap(),
            };
            heard.drain(..answer);
            answers += 1;
        }
        assert_eq!(answers, 10);
    }
    world.say(first, &command(&[b"STRLEN", b"large"]));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.hear(first), b":100000\r\n");
}

#[test]
fn what_was_asked_before_the_client_shut_its_end_is_answered() {
    let mut world = World::of(3, Bounds::default());
    let line = world.resp(0, Lane::Clients);
    world.say(line, &command(&[b"SET", b"cart", b"tea"]));
    world.say(line, &command(&[b"GET", b"cart"]));
    world.settle();
    world.finish(line);
    world.settle();
    assert_eq!(world.hear(line), b"+OK\r\n$3\r\ntea\r\n");
    assert!(!world.is_open(line));
}

#[test]
fn a_node_that_stops_answers_what_is_under_way_and_takes_nothing_more() {
    let mut world = World::of(3, Bounds::default());
    let (busy, idle) = (world.resp(0, Lane::Clients), world.resp(0, Lane::Clients));
    // Not answered while the others do not hear.
    world.freeze(0, 1, true);
    world.freeze(0, 2, true);
    world.say(busy, &command(&[b"SET", b"cart", b"tea"]));
    world.settle();
    let now = world.now();
    world.nodes[0].driver.stop(now);
    world.settle();
    assert!(!world.is_open(idle) && world.is_open(busy));
    assert!(!world.nodes[0].driver.is_drained());

    world.freeze(0, 1, false);
    world.settle();
    assert_eq!(world.hear(busy), b"+OK\r\n");
    assert!(!world.is_open(busy));
    assert!(world.nodes[0].driver.is_drained());
    let late = world.resp(0, Lane::Clients);
    world.settle();
    assert!(!world.is_open(late));
}
