//! Contexts and siblings over RESP.

use dynamo_proto::node::Mode;
use dynamo_proto::node::Operation;

use crate::{command, plain, siblings, words};

/// The first bulk string of an answer.
fn bulk(answer: &[u8]) -> Vec<u8> {
    let start = answer
        .iter()
        .position(|byte| *byte == b'$')
        .expect("a bulk string");
    let end = start
        + answer[start..]
            .iter()
            .position(|byte| *byte == b'\r')
            .unwrap();
    let len: usize = std::str::from_utf8(&answer[start + 1..end])
        .unwrap()
        .parse()
        .unwrap();
    answer[end + 2..end + 2 + len].to_vec()
}

#[test]
fn a_context_settles_what_blind_writes_left() {
    let mut world = siblings();
    for value in [b"one", b"two"] {
        world.say(command(&[b"DYNAMO.PUT", b"default", b"k", b"", value]));
    }
    let several = world.tell(words("GET k"));
    assert!(
        several.starts_with("-SIBLINGS the key has 2 concurrent values: DYNAMO.GET"),
        "{several}"
    );
    assert!(world.tell(words("GETDEL k")).starts_with("-SIBLINGS "));
    assert!(world.tell(words("STRLEN k")).starts_with("-SIBLINGS "));
    assert_eq!(world.tell(words("EXISTS k")), ":1\r\n");

    let got = world.say(words("DYNAMO.GET default k"));
    assert!(got.starts_with(b"*2\r\n$") && got.ends_with(b"*2\r\n$3\r\none\r\n$3\r\ntwo\r\n"));
    let context = bulk(&got);
    let put = world.say(command(&[
        b"DYNAMO.PUT",
        b"default",
        b"k",
        &context,
        b"both",
    ]));
    assert_eq!(world.tell(words("GET k")), "$4\r\nboth\r\n");

    // Each write's context is good for the next.
    let next = bulk(&put);
    world.say(command(&[
        b"DYNAMO.PUT",
        b"default",
        b"k",
        &next,
        b"more",
        b"W",
        b"3",
    ]));
    assert_eq!(world.tell(words("GET k")), "$4\r\nmore\r\n");

    // One that has not seen all does not settle it, and says so.
    let stale = world.say(command(&[b"DYNAMO.PUT", b"default", b"k", &next, b"late"]));
    assert_eq!(stale, b"$-1\r\n");
    assert!(world.tell(words("GET k")).starts_with("-SIBLINGS "));

    // SET is over what is there.
    assert_eq!(world.tell(words("SET k last")), "+OK\r\n");
    assert_eq!(world.tell(words("GET k")), "$4\r\nlast\r\n");
}

#[test]
fn a_write_beside_a_delete_is_read_alone_and_shown_with_it() {
    let mut world = siblings();
    world.say(words("SET k v"));
    let seen = bulk(&world.say(words("DYNAMO.GET default k")));
    world.say(command(&[b"DYNAMO.PUT", b"default", b"k", &seen, b"new"]));
    let late = world.say(command(&[b"DYNAMO.DEL", b"default", b"k", &seen]));
    assert_eq!(late, b"$-1\r\n");
    assert_eq!(world.tell(words("GET k")), "$3\r\nnew\r\n");
    let got = world.say(words("DYNAMO.GET default k"));
    assert!(got.ends_with(b"*2\r\n$3\r\nnew\r\n$-1\r\n"));

    assert!(world.say(words("DYNAMO.DEL default k")).starts_with(b"$"));
    let got = world.say(words("DYNAMO.GET default k"));
    assert!(got.ends_with(b"\r\n*0\r\n"));
    assert_eq!(world.tell(words("EXISTS k")), ":0\r\n");
}

#[test]
fn a_delete_is_of_what_was_read() {
    let mut world = siblings();
    world.say(words("SET k old"));
    for verb in ["GETDEL k", "DEL k"] {
        world.is_prompt = false;
        world.say(words(verb));
        world.answer(0).unwrap();
        // Somebody else writes between the two steps.
        let delete = world.asks.pop().unwrap();
        assert!(matches!(
            &delete.operation,
            Operation::Put {
                mode: Mode::Context(_),
                ..
            }
        ));
        world.is_prompt = true;
        let between = world.asks.len();
        world.say(command(&[b"DYNAMO.PUT", b"default", b"k", b"", b"new"]));
        world.asks.insert(between, delete);
        world.answer(0).unwrap();
        world.out.clear();
        assert_eq!(world.tell(words("GET k")), "$3\r\nnew\r\n", "{verb}");
    }
}

#[test]
fn buckets_of_other_types_are_kept_in_their_way() {
    let mut world = plain();
    for value in [b"one", b"two"] {
        world.say(command(&[b"DYNAMO.PUT", b"carts/c", b"k", b"", value]));
        world.say(command(&[b"DYNAMO.PUT", b"c", b"k", b"", value]));
    }
    let carts = world.say(words("DYNAMO.GET carts/c k"));
    assert!(carts.ends_with(b"*2\r\n$3\r\none\r\n$3\r\ntwo\r\n"));
    let plain = world.say(words("DYNAMO.GET c k"));
    assert!(plain.ends_with(b"*1\r\n$3\r\ntwo\r\n"));
}

#[test]
fn a_context_of_another_key_is_refused() {
    let mut world = siblings();
    world.say(words("SET k v"));
    let context = bulk(&world.say(words("DYNAMO.GET default k")));
    for (context, key) in [
        (&context[..], &b"other"[..]),
        (b"junk", b"k"),
        (b"\x07", b"k"),
    ] {
        let refused = world.say(command(&[b"DYNAMO.PUT", b"default", key, context, b"v"]));
        let refused = String::from_utf8_lossy(&refused);
        assert!(refused.starts_with("-BADCONTEXT "), "{refused}");
    }
}
