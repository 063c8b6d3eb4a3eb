//! What does not depend on any key.

use dynamo_driver::front::Goodbye;

use crate::message::{Message, frames};
use crate::{ask, refused, world};

#[test]
fn a_client_says_hello() {
    let mut world = world();
    assert_eq!(ask(&mut world, 1, &Message::new()), (2, Message::new()));
    let (code, info) = ask(&mut world, 7, &Message::new());
    assert_eq!((code, info.text(1)), (8, "dynamo@0000000000000001".into()));
    let version = info.text(2);
    let numbers: Vec<u32> = version.split('.').map(|it| it.parse().unwrap()).collect();
    assert!(numbers.len() == 3 && numbers > vec![2, 1, 0], "{version}");
    assert_eq!(ask(&mut world, 3, &Message::new()).1.runs(1), [[0; 4]]);
    assert_eq!(ask(&mut world, 5, &Message::new().run(1, "me")).0, 6);
    assert_eq!(ask(&mut world, 3, &Message::new()).1.text(1), "me");
}

#[test]
fn requests_that_come_together_are_answered_in_turn_however_they_are_cut() {
    let mut world = world();
    let mut bytes = Vec::new();
    for _ in 0..5 {
        bytes.extend(Message::new().frame(1));
        bytes.extend(Message::of("b", "k").frame(9));
    }
    let codes = |bytes: &[u8]| {
        frames(bytes)
            .iter()
            .map(|(code, _)| *code)
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(&world.say(&bytes)), [2, 10].repeat(5));
    let mut answers = Vec::new();
    for byte in bytes {
        answers.extend(world.say([byte]));
    }
    assert_eq!(codes(&answers), [2, 10].repeat(5));
}

#[test]
fn what_is_not_known_is_refused_and_the_connection_goes_on() {
    let mut world = world();
    for code in [0, 23, 25, 27, 40, 54, 70, 90, 128, 253] {
        let text = refused(&mut world, code, &Message::new());
        assert_eq!(text, format!("Unknown message code: {code}"));
    }
    let text = refused(&mut world, 255, &Message::new());
    assert_eq!(text, "Security not enabled; STARTTLS not allowed.");
    assert_eq!(ask(&mut world, 1, &Message::new()).0, 2);
}

#[test]
fn what_is_too_long_is_dropped_and_said_so() {
    let mut world = world();
    let longest = world.config.limits.value_bytes + world.config.limits.metadata_bytes;
    let len = longest + (64 << 10) + 1;
    let mut bytes = (len as u32).to_be_bytes().to_vec();
    bytes.resize(4 + len, 11);
    bytes.extend(Message::new().frame(1));
    let answers = frames(&world.say(bytes));
    assert_eq!(answers[0].1.text(1), format!("{{too_large,{len}}}"));
    assert_eq!(answers[1].0, 2);
}

#[test]
fn what_cannot_be_decoded_ends_the_connection() {
    let ends = |bytes: Vec<u8>| {
        let (said, goodbye) = world().last_words(bytes);
        assert!(matches!(goodbye, Goodbye::Senseless(_)));
        said
    };
    assert_eq!(ends(vec![0; 4]), "");
    assert!(ends(Message::new().run(1, "b").frame(9)).contains("required"));
    assert!(ends(vec![0, 0, 0, 3, 9, 0x0a, 9]).contains("ends too early"));
}

#[test]
fn nobody_speaks_of_nothing() {
    let mut world = world();
    let text = refused(&mut world, 9, &Message::of("", "k"));
    assert_eq!(text, "Bucket cannot be zero-length");
    let text = refused(&mut world, 9, &Message::of("b", ""));
    assert_eq!(text, "Key cannot be zero-length");
    let text = refused(&mut world, 9, &Message::of("b", "k").run(13, ""));
    assert_eq!(text, "Type cannot be zero-length");
    let text = refused(&mut world, 9, &Message::of("b", "k").run(13, "none"));
    assert_eq!(text, "no_type");
}

#[test]
fn a_bucket_tells_its_ways() {
    let mut world = world();
    let props = |world: &mut _, request: Message| {
        let (code, bucket) = ask(world, 19, &request);
        assert_eq!(code, 20);
        bucket.messages(1).remove(0)
    };
    let usual = props(&mut world, Message::new().run(1, "b"));
    let quorum = u64::from(u32::MAX - 2);
    assert_eq!((usual.number(1), usual.number(2)), (Some(3), Some(0)));
    assert_eq!(
        (usual.number(15), usual.number(14)),
        (Some(quorum), Some(0))
    );
    assert_eq!(
        (usual.number(24), usual.number(28)),
        (Some(3), None),
        "repl, and no write_once, over which old clients stumble"
    );
    let same = Message::new().set(24, 3).set(28, 0);
    let again = Message::new().run(1, "b").within(2, &same);
    assert_eq!(ask(&mut world, 21, &again), (22, Message::new()));
    let repl = Message::new().set(24, 1);
    let text = refused(&mut world, 21, &Message::new().run(1, "b").within(2, &repl));
    assert_eq!(text, "Invalid bucket properties: [{repl,not_supported}]");
    let carts = props(&mut world, Message::new().run(1, "b").run(2, "carts"));
    assert_eq!(carts.number(2), Some(1));
    let text = refused(&mut world, 19, &Message::new().run(1, "b").run(2, "none"));
    assert_eq!(text, "No bucket-type named 'none'");
    assert_eq!(ask(&mut world, 31, &Message::new().run(1, "carts")).0, 20);
    let n_val = |n| {
        Message::new()
            .run(1, "b")
            .within(2, &Message::new().set(1, n))
    };
    for (n, why) in [(0, "not_integer"), (4, "more_than_the_bucket_type_has")] {
        let text = refused(&mut world, 21, &n_val(n));
        assert_eq!(
            text,
            format!("Invalid bucket properties: [{{n_val,{why}}}]")
        );
    }
    let text = refused(
        &mut world,
        32,
        &Message::new().run(1, "default").within(2, &usual),
    );
    assert_eq!(text, "Invalid bucket properties: no_default_update");
    let unchanged = Message::new().run(1, "b");
    assert_eq!(ask(&mut world, 29, &unchanged), (30, Message::new()));
    let text = refused(&mut world, 31, &Message::new().run(1, "none"));
    assert_eq!(text, "Invalid bucket type: <<\"none\">>");
    let (_, list) = ask(&mut world, 33, &Message::of("b", "k"));
    let items = list.messages(1);
    assert_eq!(items.len(), 3);
    assert!(items.iter().all(|it| it.number(3) == Some(1)));
}
