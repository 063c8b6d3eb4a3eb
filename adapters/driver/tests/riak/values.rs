//! Values: put, got, deleted.

use std::time::Duration;

use dynamo_proto::WallTime;
use dynamo_proto::node::Mode;

use crate::desk::World;
use crate::message::Message;
use crate::{ask, refused, world};

const GET: u8 = 9;
const PUT: u8 = 11;
const DELETE: u8 = 13;

fn content(value: &str) -> Message {
    Message::new().run(1, value)
}

fn put(value: &str) -> Message {
    Message::of("b", "k").within(4, &content(value))
}

/// Of the type that keeps siblings.
fn cart(value: &str) -> Message {
    put(value).run(16, "carts")
}

fn get(world: &mut World, bucket_type: &str) -> (Vec<String>, Vec<u8>) {
    let (code, got) = ask(world, GET, &Message::of("b", "k").run(13, bucket_type));
    assert_eq!(code, 10);
    let mut values: Vec<_> = got.messages(1).iter().map(|it| it.text(1)).collect();
    values.sort_unstable();
    (values, got.runs(2).concat())
}

#[test]
fn the_type_default_shows_the_last_value() {
    let mut world = world();
    assert_eq!(get(&mut world, "default"), (Vec::new(), Vec::new()));
    assert_eq!(ask(&mut world, PUT, &put("tea")), (12, Message::new()));
    let (values, early) = get(&mut world, "default");
    assert_eq!(values, ["tea"]);
    ask(&mut world, PUT, &put("coffee"));
    assert_eq!(get(&mut world, "default").0, ["coffee"]);
    ask(&mut world, PUT, &put("cocoa").run(3, &early)); // stale, and later
    assert_eq!(get(&mut world, "default").0, ["cocoa"]);
}

#[test]
fn the_last_of_concurrent_values_is_shown_and_none_is_lost() {
    let mut world = world();
    world.is_prompt = false;
    for value in ["tea", "coffee"] {
        world.feed(put(value).frame(PUT)).unwrap();
        let ask = &mut world.asks[0];
        if let dynamo_proto::node::Operation::Put { mode, .. } = &mut ask.operation {
            assert_eq!(*mode, Mode::Overwrite);
            *mode = Mode::Blind; // as if each coordinator had not heard of the other
        }
        world.answer(0).unwrap();
        world.wall = WallTime::from_micros(world.wall.as_micros() + 1_000_000);
    }
    world.out.clear();
    world.is_prompt = true;
    assert_eq!(get(&mut world, "default").0, ["coffee"]);
    let record = world.records.values().next().unwrap();
    assert_eq!(record.siblings().values().len(), 2);
    ask(&mut world, PUT, &put("cocoa"));
    let record = world.records.values().next().unwrap();
    assert_eq!(record.siblings().values().len(), 1);
}

#[test]
fn siblings_are_kept_until_who_has_seen_them_writes() {
    let mut world = world();
    ask(&mut world, PUT, &cart("tea"));
    let (_, seen) = get(&mut world, "carts");
    ask(&mut world, PUT, &cart("tea").run(3, &seen));
    ask(&mut world, PUT, &cart("tea").run(3, &seen)); // the same bytes are another write
    let (values, seen) = get(&mut world, "carts");
    assert_eq!(values, ["tea", "tea"]);
    assert_eq!(
        get(&mut world, "carts").1,
        seen,
        "equal states, equal bytes"
    );
    let (_, put) = ask(&mut world, PUT, &cart("both").run(3, &seen).set(7, 1));
    assert_eq!(put.messages(1)[0].text(1), "both");
    assert_ne!(put.runs(2).concat(), seen);
    assert_eq!(get(&mut world, "carts").0, ["both"]);
}

#[test]
fn what_is_said_of_a_value_comes_back() {
    let mut world = world();
    let pair = |key, value: &str| Message::new().run(1, key).run(2, value);
    let link = Message::of("other", "key").run(3, "next");
    let said = content("<p>")
        .run(2, "text/html")
        .run(3, "utf-8")
        .run(4, "identity")
        .run(5, "my own tag")
        .within(6, &link)
        .set(7, 12)
        .within(9, &pair("origin", "web"))
        .within(9, &pair("empty", ""))
        .within(10, &pair("age_int", "7"));
    let (code, put) = ask(
        &mut world,
        PUT,
        &Message::of("b", "k").within(4, &said).set(11, 1),
    );
    assert_eq!(
        (code, put.messages(1)[0].text(1)),
        (12, String::new()),
        "head only"
    );
    let (_, got) = ask(&mut world, GET, &Message::of("b", "k"));
    let content = got.messages(1).remove(0);
    for (number, text) in [(1, "<p>"), (2, "text/html"), (3, "utf-8"), (4, "identity")] {
        assert_eq!(content.text(number), text);
    }
    assert_ne!(content.text(5), "my own tag");
    assert_eq!(content.messages(6), [link]);
    assert_eq!(content.number(7), Some(1_000_000_000));
    assert_eq!(
        content.messages(9),
        [pair("origin", "web"), pair("empty", "")]
    );
    assert_eq!(content.messages(10), [pair("age_int", "7")]);
    let (_, head) = ask(&mut world, GET, &Message::of("b", "k").set(8, 1));
    assert_eq!(head.messages(1)[0].text(1), "");
    assert_eq!(head.messages(1)[0].text(2), "text/html");
}

#[test]
fn a_key_is_made_up_for_what_has_none() {
    let mut world = world();
    let asked = Message::new().run(1, "b").within(4, &content("tea"));
    let (_, put) = ask(&mut world, PUT, &asked);
    let key = put.text(3);
    assert_eq!(key.len(), 27);
    let (_, got) = ask(&mut world, GET, &Message::of("b", &key));
    assert_eq!(got.messages(1)[0].text(1), "tea");
    let (_, other) = ask(&mut world, PUT, &asked.set(7, 1));
    assert_ne!(other.text(3), key);
    assert_eq!(other.messages(1)[0].text(1), "tea");
}

#[test]
fn conditions_are_answered_in_words_that_clients_know() {
    let mut world = world();
    let text = refused(&mut world, PUT, &put("tea").set(9, 1));
    assert_eq!(text, "modified", "there is nothing to compare with");
    assert_eq!(ask(&mut world, PUT, &put("tea").set(10, 1)).0, 12);
    assert_eq!(
        refused(&mut world, PUT, &put("tea").set(10, 1)),
        "match_found"
    );
    let (_, seen) = get(&mut world, "default");
    let unless_changed = put("coffee").run(3, &seen).set(9, 1);
    assert_eq!(ask(&mut world, PUT, &unless_changed).0, 12);
    assert_eq!(refused(&mut world, PUT, &unless_changed), "modified");
    let (_, seen) = get(&mut world, "default");
    let if_modified = Message::of("b", "k").run(7, &seen);
    let (_, got) = ask(&mut world, GET, &if_modified);
    assert_eq!(got, Message::new().set(3, 1));
    ask(&mut world, PUT, &put("cocoa"));
    let (_, got) = ask(&mut world, GET, &if_modified);
    assert_eq!(got.messages(1)[0].text(1), "cocoa");
}

#[test]
fn a_delete_takes_what_was_read_and_can_be_followed() {
    let mut world = world();
    assert_eq!(
        ask(&mut world, DELETE, &Message::of("b", "k")),
        (14, Message::new())
    );
    assert!(
        world.records[world.records.keys().next().unwrap()]
            .siblings()
            .is_absent()
    );
    ask(&mut world, PUT, &cart("tea"));
    let cart_key = Message::of("b", "k").run(13, "carts");
    assert_eq!(ask(&mut world, DELETE, &cart_key).0, 14);
    let (_, got) = ask(&mut world, GET, &cart_key);
    assert_eq!(got, Message::new());
    let (_, got) = ask(&mut world, GET, &cart_key.clone().set(9, 1));
    assert!(got.messages(1).is_empty());
    let tombstone = got.runs(2).concat();
    ask(&mut world, PUT, &cart("blind"));
    let (_, got) = ask(&mut world, GET, &cart_key);
    let siblings = got.messages(1);
    assert_eq!(siblings.len(), 2);
    let deleted: Vec<_> = siblings.iter().map(|it| it.number(11)).collect();
    assert!(deleted.contains(&Some(1)) && deleted.contains(&None));
    ask(&mut world, DELETE, &cart_key.clone().run(4, tombstone)); // it never saw the blind one
    assert_eq!(get(&mut world, "carts").0, ["", "blind"]);
    ask(&mut world, DELETE, &cart_key);
    assert!(get(&mut world, "carts").0.is_empty());
}

#[test]
fn quorums_are_numbers_or_words_and_no_more_than_there_are() {
    let mut world = world();
    ask(&mut world, PUT, &put("tea"));
    for field in [3, 4, 14] {
        let text = refused(&mut world, GET, &Message::of("b", "k").set(field, 4));
        assert_eq!(text, "{n_val_violation,3}");
    }
    for field in [5, 6, 8, 17] {
        assert_eq!(
            refused(&mut world, PUT, &put("tea").set(field, 4)),
            "{n_val_violation,3}"
        );
    }
    for field in [3, 5, 6, 7, 8, 9] {
        let delete = Message::of("b", "k").set(field, 4);
        assert_eq!(refused(&mut world, DELETE, &delete), "{n_val_violation,3}");
    }
    let two_of_two = Message::of("b", "k").set(12, 2).set(3, 3);
    assert_eq!(refused(&mut world, GET, &two_of_two), "{n_val_violation,2}");
    world.is_prompt = false;
    let all = u64::from(u32::MAX - 3);
    world
        .feed(Message::of("b", "k").set(3, all).set(10, 1500).frame(GET))
        .unwrap();
    let options = world.asks[0].options;
    assert_eq!((options.r, options.pr), (Some(3), Some(0)));
    assert_eq!(options.timeout, Some(Duration::from_millis(1500)));
    world.answer(0).unwrap();
    world
        .feed(Message::of("b", "k").set(11, 0).set(14, 3).frame(GET))
        .unwrap();
    let options = world.asks[0].options;
    assert_eq!(
        (options.r, options.pr),
        (Some(3), Some(3)),
        "nobody stands in"
    );
}

#[test]
fn failures_are_told_apart() {
    use dynamo_proto::node::{Failure, Response};
    let mut world = world();
    let told = [
        (Response::Failed(Failure::Overloaded), "overload"),
        (Response::Failed(Failure::Expired), "timeout"),
        (Response::Unknown, "timeout"),
        (
            Response::Failed(Failure::TooFew { need: 2, got: 1 }),
            "{r_val_unsatisfied,2,1}",
        ),
    ];
    for (response, text) in told {
        world.fails = Some(response);
        assert_eq!(refused(&mut world, GET, &Message::of("b", "k")), text);
    }
    world.is_prompt = false;
    world
        .feed(Message::of("b", "k").set(6, 0).frame(GET))
        .unwrap();
    world.fails = Some(Response::Failed(Failure::TooFew { need: 2, got: 2 }));
    world.answer(0).unwrap();
    assert_eq!(world.asks[0].options.absent_counts, Some(true));
    world.fails = None;
    world.answer(0).unwrap();
    assert_eq!(world.out.split()[..], [0, 0, 0, 1, 10], "not found");
    world.is_prompt = true;
    let pr = Message::of("b", "k").set(4, 3);
    world.fails = Some(Response::Failed(Failure::TooFew { need: 3, got: 2 }));
    assert_eq!(refused(&mut world, GET, &pr), "{pr_val_unsatisfied,3,2}");
    assert_eq!(
        refused(&mut world, GET, &Message::of("b", "k").set(10, 0)),
        "timeout"
    );
    world.fails = None;
    let len = world.config.limits.value_bytes + 1;
    let text = refused(&mut world, PUT, &put(&"v".repeat(len)));
    assert_eq!(text, format!("{{too_large,{len}}}"));
}

#[test]
fn a_vclock_that_is_none_of_this_key_is_refused_and_the_connection_goes_on() {
    let mut world = world();
    ask(&mut world, PUT, &cart("tea"));
    let (_, seen) = get(&mut world, "carts");
    let other = Message::of("b", "other").within(4, &content("tea"));
    let other = other.run(16, "carts").run(3, &seen);
    assert!(refused(&mut world, PUT, &other).contains("read the key again"));
    for garbage in ["no context", "\u{1}", "\u{7f}"] {
        for request in [
            cart("tea").run(3, garbage),
            put("tea").run(3, garbage).set(9, 1),
        ] {
            refused(&mut world, PUT, &request);
        }
        let delete = Message::of("b", "k").run(13, "carts").run(4, garbage);
        refused(&mut world, DELETE, &delete);
        let known = Message::of("b", "k").run(13, "carts").run(7, garbage);
        assert_eq!(ask(&mut world, GET, &known).0, 10);
    }
    assert_eq!(get(&mut world, "carts").0, ["tea"]);
}
