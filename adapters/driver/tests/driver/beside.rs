use std::time::Duration;

use dynamo_driver::Bounds;
use dynamo_driver::driver::Lane;

use crate::world::*;

#[test]
fn nodes_of_one_process_are_moved_messages_and_never_dialed() {
    let mut world = World::apart(3, Bounds::default());
    world.put_beside(0, 1);
    world.settle();
    world.pass(Duration::from_secs(60));
    assert!(world.nodes.iter().all(|node| node.connected() == 2));
    for node in &world.nodes[..2] {
        assert_eq!(node.counted("dynamo_peers_met_total"), 1, "by a connection");
    }
    for at in 0..2 {
        let line = world.resp(at, Lane::Clients);
        let key = format!("key {at}");
        world.say(line, &command(&[b"SET", key.as_bytes(), b"tea"]));
        world.settle();
        world.say(line, &command(&[b"GET", key.as_bytes()]));
        world.settle();
        assert_eq!(world.hear_all(line), b"+OK\r\n$3\r\ntea\r\n");
    }
    for node in &world.nodes[..2] {
        assert!(node.counted("dynamo_passed_total") > 0);
        assert_eq!(node.counted("dynamo_unsent_total"), 0);
    }
    assert_eq!(world.nodes[2].counted("dynamo_passed_total"), 0);
}

#[test]
fn nodes_that_had_dialed_each_other_let_go_of_that() {
    let mut world = World::of(3, Bounds::default());
    world.put_beside(0, 1);
    world.pass(Duration::from_secs(60));
    assert!(world.nodes.iter().all(|node| node.connected() == 2));
    for node in &world.nodes[..2] {
        assert_eq!(node.counted("dynamo_peers_met_total"), 2);
        assert_eq!(node.counted("dynamo_peers_lost_total"), 0);
    }
}

#[test]
fn what_a_node_of_the_process_does_not_take_comes_back_and_the_others_answer() {
    let mut world = World::apart(3, Bounds::default());
    world.put_beside(0, 1);
    world.settle();
    world.nodes[1].is_full = true;
    let line = world.resp(0, Lane::Clients);
    world.say(line, &command(&[b"SET", b"cart", b"tea"]));
    world.pass(Duration::from_secs(1));
    world.say(line, &command(&[b"GET", b"cart"]));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.hear_all(line), b"+OK\r\n$3\r\ntea\r\n");
    assert!(world.nodes[0].counted("dynamo_unsent_total") > 0);
    assert_eq!(world.nodes[1].counted("dynamo_passed_total"), 0);
}

#[test]
fn a_node_of_the_process_that_is_gone_is_lost_once() {
    let mut world = World::apart(3, Bounds::default());
    world.put_beside(0, 1);
    world.settle();
    world.kill(1);
    let now = world.now();
    for _ in 0..2 {
        world.nodes[0].driver.left_beside(now, id(1));
    }
    assert_eq!(world.nodes[0].connected(), 1);
    assert_eq!(world.nodes[0].counted("dynamo_peers_lost_total"), 1);
    let line = world.resp(0, Lane::Clients);
    world.say(line, &command(&[b"SET", b"cart", b"tea"]));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.hear_all(line), b"+OK\r\n");
    assert!(world.nodes[0].dials.is_empty());
}
