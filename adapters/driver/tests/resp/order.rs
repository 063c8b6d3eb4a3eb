//! Answers go out in the order of their commands, and what is under way is bounded.

use proptest::prelude::*;

use crate::{command, plain, words};

#[test]
fn answers_wait_for_those_before_them() {
    let mut world = plain();
    world.is_prompt = false;
    let said = [
        "SET a 1",
        "GET b",
        "PING",
        "MGET a b",
        "EXISTS a b",
        "ECHO x",
    ];
    assert_eq!(world.say(said.map(words).concat()), b"");
    assert_eq!(world.asks.len(), 6);
    world.answer(5).unwrap();
    world.answer(1).unwrap();
    world.answer(1).unwrap();
    assert_eq!(&world.out[..], b"");
    assert!(world.front.kept_back() > 0);
    world.answer(0).unwrap();
    assert_eq!(&world.out[..], b"+OK\r\n$-1\r\n+PONG\r\n*2\r\n$-1\r\n");
    world.answer(0).unwrap();
    world.answer(0).unwrap();
    assert!(world.out.ends_with(b"\r\n$-1\r\n:1\r\n$1\r\nx\r\n"));
    assert_eq!(world.front.kept_back(), 0);
}

#[test]
fn a_command_of_many_keys_asks_as_room_comes() {
    let keys: Vec<_> = (0..1000).map(|at| format!("k{at}")).collect();
    for verb in [&b"MGET"[..], b"EXISTS", b"DEL", b"MSET"] {
        let mut arguments = vec![verb];
        for key in &keys {
            arguments.push(key.as_bytes());
            if verb == b"MSET" {
                arguments.push(b"v");
            }
        }
        let mut world = plain();
        world.is_prompt = false;
        world.room = 10;
        world.feed(command(&arguments)).unwrap();
        let mut answered = 0;
        while !world.asks.is_empty() {
            assert!(world.asks.len() <= 10);
            world.answer(answered % world.asks.len()).unwrap();
            answered += 1;
        }
        assert_eq!(answered, 1000);
        let answer = String::from_utf8(world.out.to_vec()).unwrap();
        match verb {
            b"MGET" => assert!(answer == format!("*1000\r\n{}", "$-1\r\n".repeat(1000))),
            b"MSET" => assert_eq!(answer, "+OK\r\n"),
            _ => assert_eq!(answer, ":0\r\n"),
        }
    }
}

#[test]
fn nothing_is_read_while_there_is_no_room() {
    let mut world = plain();
    world.is_prompt = false;
    world.room = 3;
    let said = words("GET k").repeat(10);
    world.say(&said);
    assert_eq!(world.asks.len(), 3);
    assert_eq!(world.input.len(), 7 * words("GET k").len());
    world.room = 0;
    world.say(b"");
    assert_eq!(world.asks.len(), 3);
}

#[test]
fn answers_that_wait_are_bounded_in_number() {
    let mut world = plain();
    world.is_prompt = false;
    let said = [words("GET k"), words("PING").repeat(10_000)].concat();
    world.say(&said);
    assert_eq!(world.asks.len(), 1);
    assert_eq!(world.input.len(), (10_000 - 1023) * words("PING").len());
    world.answer(0).unwrap();
    world.feed(b"").unwrap();
    assert_eq!(world.out.len(), 5 + 10_000 * 7);
}

const SAID: [&str; 8] = [
    "GET a",
    "SET a x",
    "PING",
    "MGET a b c",
    "DEL a b",
    "MSET a 1 b 2",
    "GETDEL b",
    "FOO",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// One answer for each command, whatever the order in which the node answers.
    #[test]
    fn no_order_of_the_node_changes_the_order_of_answers(
        said in prop::collection::vec(0..SAID.len(), 1..30),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..200),
        room in 1..20_usize,
    ) {
        let mut world = plain();
        world.is_prompt = false;
        world.room = room;
        for at in &said {
            world.feed(words(SAID[*at])).unwrap();
            world.feed(words("ECHO mark")).unwrap();
        }
        let mut picks = picks.iter().cycle();
        loop {
            world.feed(b"").unwrap();
            if world.asks.is_empty() {
                break;
            }
            let at = picks.next().unwrap().index(world.asks.len());
            world.answer(at).unwrap();
        }
        let out = String::from_utf8(world.out.to_vec()).unwrap();
        let parts: Vec<_> = out.split("$4\r\nmark\r\n").collect();
        prop_assert_eq!(parts.len(), said.len() + 1);
        for (at, part) in said.iter().zip(&parts) {
            let kinds: &[&str] = match SAID[*at] {
                "GET a" | "GETDEL b" => &["$"],
                "SET a x" | "MSET a 1 b 2" => &["+OK"],
                "PING" => &["+PONG"],
                "MGET a b c" => &["*3"],
                "DEL a b" => &[":"],
                _ => &["-ERR"],
            };
            prop_assert!(kinds.iter().any(|kind| part.starts_with(kind)), "{}: {part:?}", SAID[*at]);
        }
        prop_assert_eq!(world.front.kept_back(), 0);
    }
}
