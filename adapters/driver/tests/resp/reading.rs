//! Commands arrive in any pieces, and mean what they mean to others.

use dynamo_driver::front::Goodbye;
use proptest::prelude::*;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

use crate::desk::pieces::in_pieces;
use crate::{command, plain, words};

fn conversation() -> Vec<u8> {
    let mut said = Vec::new();
    for line in [
        "SET k v",
        "GET k",
        "MGET k none",
        "PING",
        "HELLO 3",
        "GET none",
        "FOO",
    ] {
        said.extend(words(line));
    }
    said.extend(b"*0\r\n*-1\r\n\r\n  \r\nPING\nECHO \"a\\x41\\n b\" \r\nSET 'it\\'s' x\r\n");
    said.extend(command(&[b"SET", b"long", &[7; 5000]]));
    said.extend(command(&[b"GET", b"long"]));
    said.extend(b"*1\r\n$4\r\nQUIT\r\n");
    said
}

#[test]
fn every_cut_in_two_means_the_same() {
    let said = conversation();
    let whole = in_pieces(plain(), &said, &[said.len()]);
    assert_eq!(whole.1, Some(Goodbye::Asked));
    for cut in 1..said.len() {
        assert_eq!(
            in_pieces(plain(), &said, &[cut, said.len()]),
            whole,
            "cut at {cut}"
        );
    }
    assert_eq!(in_pieces(plain(), &said, &[1]), whole);
}

#[test]
fn lines_of_words_are_commands() {
    let mut world = plain();
    for (said, answer) in [
        ("PING\r\n", "+PONG\r\n"),
        ("  ping \t hi\n", "$2\r\nhi\r\n"),
        ("ECHO \"a b\\\"\\x41\\n\"\r\n", "$6\r\na b\"A\n\r\n"),
        ("ECHO 'it\\'s \\n'\r\n", "$7\r\nit's \\n\r\n"),
        ("ECHO \"\"\r\n", "$0\r\n\r\n"),
        ("\r\n", ""),
    ] {
        assert_eq!(world.tell(said), answer, "{said}");
    }
}

#[test]
fn what_is_no_command_ends_the_connection() {
    for (said, reason) in [
        (&b"*1\r\n:4\r\n"[..], "expected '$', got ':'"),
        (b"*1\r\n\r\n", "expected '$', got '\\r'"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*1\n", "invalid multibulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$ 4\r\n", "invalid bulk length"),
        (b"*1\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'"),
        (&[b'*'; 32], "too big count string"),
        (b"ECHO \"a\r\n", "unbalanced quotes in request"),
        (b"ECHO 'a'b\r\n", "unbalanced quotes in request"),
        (b"ECHO a\"b\"\r\n", "unbalanced quotes in request"),
        (&[b'x'; 70_000], "too big inline request"),
        (b"POST / HTTP/1.1\r\n", "this is not HTTP"),
        (b"Host: localhost\r\n", "this is not HTTP"),
    ] {
        let before = words("PING");
        let (last, goodbye) = plain().last_words([&before[..], said].concat());
        assert_eq!(last, format!("+PONG\r\n-ERR Protocol error: {reason}\r\n"));
        assert!(matches!(goodbye, Goodbye::Senseless(_)));
    }
}

#[test]
fn what_is_too_long_is_dropped_on_the_way_and_the_connection_lives() {
    let mut world = plain();
    let long = vec![b'x'; (1 << 20) + 1];
    let mut longest_input = 0;
    let mut said = command(&[b"SET", b"k", &long]);
    said.extend(command(&[
        b"MSET",
        b"a",
        &long[1..],
        b"b",
        &long[1..],
        b"c",
        &long[1..],
        b"d",
        &long[1..],
    ]));
    said.extend(words("PING"));
    for piece in said.chunks(16 << 10) {
        world.feed(piece).unwrap();
        longest_input = longest_input.max(world.input.len());
    }
    assert_eq!(
        String::from_utf8(world.out.to_vec()).unwrap(),
        "-ERR an argument of 1048577 bytes is over the limit of 1048576\r\n\
         -ERR a command of more than 4194304 bytes: send it in several\r\n+PONG\r\n"
    );
    assert!(longest_input < (3 << 20) + (64 << 10), "{longest_input}");
    assert!(world.records.is_empty());
}

#[test]
fn the_rest_of_a_value_is_announced() {
    let mut world = plain();
    world
        .feed(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nabc")
        .unwrap();
    assert_eq!(world.front.wants(), 999);
    world.feed([b'x'; 997]).unwrap();
    assert_eq!(world.front.wants(), 2);
    world.feed(b"\r\n").unwrap();
    assert_eq!(world.front.wants(), 0);
    assert_eq!(&world.out[..], b"+OK\r\n");
}

fn argument() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(prop::sample::select(b"\r\n$*:1 \"'\\x".to_vec()), 0..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// Another decoder reads back exactly what was said, from what is echoed.
    #[test]
    fn what_is_said_comes_back(
        arguments in prop::collection::vec(argument(), 1..12),
        lengths in prop::collection::vec(1..30_usize, 1..8),
    ) {
        let said: Vec<u8> = arguments.iter().flat_map(|argument| command(&[b"ECHO", argument])).collect();
        let (out, goodbye) = in_pieces(plain(), &said, &lengths);
        prop_assert_eq!(goodbye, None);
        let (mut rest_said, mut rest) = (&said[..], &out[..]);
        for argument in &arguments {
            let (heard, len) = decode(rest_said).unwrap().unwrap();
            let [_, OwnedFrame::BulkString(heard)] = array(&heard) else { panic!("{heard:?}") };
            let (answer, answer_len) = decode(rest).unwrap().unwrap();
            prop_assert_eq!(&OwnedFrame::BulkString(heard.clone()), &answer);
            prop_assert_eq!(heard, argument);
            rest_said = &rest_said[len..];
            rest = &rest[answer_len..];
        }
        prop_assert!(rest.is_empty() && rest_said.is_empty());
    }

    /// What pieces a conversation comes in makes no difference.
    #[test]
    fn pieces_make_no_difference(lengths in prop::collection::vec(1..200_usize, 1..20)) {
        let said = conversation();
        prop_assert_eq!(in_pieces(plain(), &said, &lengths), in_pieces(plain(), &said, &[said.len()]));
    }
}

fn array(frame: &OwnedFrame) -> &[OwnedFrame] {
    match frame {
        OwnedFrame::Array(parts) => parts,
        _ => &[],
    }
}
