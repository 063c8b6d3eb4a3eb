//! Data types.

use dynamo_proto::Bucket;
use dynamo_proto::version::{DataType, Policy};

use crate::desk::World;
use crate::message::{Message, frames, zigzag};
use crate::{ask, refused};

const FETCH: u8 = 80;
const UPDATE: u8 = 82;

const COUNTER: u64 = 1;
const SET: u64 = 2;
const REGISTER: u64 = 3;
const FLAG: u64 = 4;
const MAP: u64 = 5;

fn world() -> World {
    let mut world = crate::world();
    for kind in DataType::ALL {
        let bucket = Bucket {
            policy: Policy::Data(kind),
            ..Bucket::default()
        };
        let types = &mut world.buckets.types;
        types.insert(kind.name().as_bytes().to_vec(), bucket);
    }
    world
}

fn of(bucket_type: &str) -> Message {
    Message::of("b", "k").run(3, bucket_type)
}

fn op(number: u64, op: &Message) -> Message {
    Message::new().within(number, op)
}

fn update(world: &mut World, bucket_type: &str, change: &Message) -> Message {
    let (code, updated) = ask(world, UPDATE, &of(bucket_type).within(5, change).set(9, 1));
    assert_eq!(code, 83, "{updated:?}");
    updated
}

fn fetch(world: &mut World, bucket_type: &str) -> (Message, Vec<u8>) {
    let (code, data) = ask(world, FETCH, &of(bucket_type));
    assert_eq!(code, 81);
    let value = data.messages(3).pop().unwrap_or_default();
    (value, data.runs(1).concat())
}

fn adds(elements: &[&str]) -> Message {
    elements
        .iter()
        .fold(Message::new(), |set, element| set.run(1, element))
}

#[test]
fn a_counter_counts_and_is_deleted_by_counting_down() {
    let mut world = world();
    let count = |by| op(1, &Message::new().set(1, zigzag(by)));
    let (_, nothing) = ask(&mut world, FETCH, &of("counter"));
    assert_eq!(nothing, Message::new().set(2, 1), "its type, and no value");
    assert_eq!(update(&mut world, "counter", &count(7)).signed(3), Some(7));
    assert_eq!(
        update(&mut world, "counter", &count(-9)).signed(3),
        Some(-2)
    );
    let once = op(1, &Message::new());
    assert_eq!(update(&mut world, "counter", &once).signed(3), Some(-1));
    let (value, context) = fetch(&mut world, "counter");
    assert_eq!((value.signed(1), context.len()), (Some(-1), 0));
    let plain = Message::of("b", "k").run(13, "counter");
    let (_, got) = ask(&mut world, 9, &plain);
    assert_eq!(got.messages(1)[0].text(2), "application/riak_counter");
    assert_eq!(ask(&mut world, 13, &plain).0, 14);
    assert_eq!(ask(&mut world, 9, &plain), (10, Message::new()));
    assert_eq!(fetch(&mut world, "counter").0.signed(1), Some(0));
}

#[test]
fn a_set_loses_what_its_client_has_seen() {
    let mut world = world();
    update(&mut world, "set", &op(2, &adds(&["x", "y"])));
    let (_, context) = fetch(&mut world, "set");
    update(&mut world, "set", &op(2, &adds(&["y", "z"])));
    let removes = adds(&[]).run(2, "x").run(2, "y").run(2, "z");
    let asked = of("set")
        .run(4, context)
        .within(5, &op(2, &removes))
        .set(9, 1);
    let (_, updated) = ask(&mut world, UPDATE, &asked);
    assert_eq!(
        updated.texts(4),
        ["y", "z"],
        "y was added again, z came later"
    );
    assert!(!updated.runs(2).is_empty());
    let both = op(2, &adds(&["z"]).run(2, "z"));
    assert_eq!(
        update(&mut world, "set", &both).texts(4),
        ["y", "z"],
        "adds win"
    );
    let gone = op(2, &Message::new().run(2, "q"));
    let text = refused(&mut world, UPDATE, &of("set").within(5, &gone));
    assert_eq!(text, "{precondition,{not_present,<<\"q\">>}}");
    let y = op(2, &Message::new().run(2, "y"));
    assert_eq!(update(&mut world, "set", &y).texts(4), ["z"]);
    let without = of("set").set(11, 0);
    let (_, data) = ask(&mut world, FETCH, &without);
    assert!(data.runs(1).is_empty() && !data.runs(3).is_empty());
}

#[test]
fn a_map_keeps_what_is_updated_while_it_is_removed() {
    let mut world = world();
    let field = |name, kind| Message::new().run(1, name).set(2, kind);
    let updated = |name, kind| Message::new().within(1, &field(name, kind));
    let inner = Message::new().within(2, &updated("s", SET).within(3, &adds(&["deep"])));
    let change = Message::new()
        .within(
            2,
            &updated("c", COUNTER).within(2, &Message::new().set(1, zigzag(5))),
        )
        .within(2, &updated("s", SET).within(3, &adds(&["x"])))
        .within(2, &updated("r", REGISTER).run(4, "text"))
        .within(2, &updated("f", FLAG).set(5, 1))
        .within(2, &updated("m", MAP).within(6, &inner));
    let shown = update(&mut world, "map", &op(3, &change)).messages(5);
    let names: Vec<_> = shown.iter().map(|it| it.messages(1)[0].text(1)).collect();
    assert_eq!(names, ["c", "s", "r", "f", "m"]);
    assert_eq!(shown[0].signed(2), Some(5));
    assert_eq!(shown[2].text(4), "text");
    assert_eq!(shown[3].number(5), Some(1));
    assert_eq!(shown[4].messages(6)[0].texts(3), ["deep"]);
    let (_, context) = fetch(&mut world, "map");
    let change = Message::new()
        .within(
            2,
            &updated("c", COUNTER).within(2, &Message::new().set(1, zigzag(2))),
        )
        .within(2, &updated("f", FLAG).set(5, 2))
        .within(1, &field("c", COUNTER))
        .within(1, &field("m", MAP));
    let asked = of("map")
        .run(4, context)
        .within(5, &op(3, &change))
        .set(9, 1);
    let (_, shown) = ask(&mut world, UPDATE, &asked);
    let shown = shown.messages(5);
    let names: Vec<_> = shown.iter().map(|it| it.messages(1)[0].text(1)).collect();
    assert_eq!(names, ["c", "s", "r"]);
    assert_eq!(shown[0].signed(2), Some(2));
}

#[test]
fn sketches_and_sets_that_grow_take_elements() {
    let mut world = world();
    let elements = adds(&["a", "b", "c", "b"]);
    assert_eq!(
        update(&mut world, "sketch", &op(4, &elements)).number(6),
        Some(3)
    );
    assert_eq!(
        update(&mut world, "grow-set", &op(5, &elements)).texts(7),
        ["a", "b", "c"]
    );
    let (code, updated) = ask(
        &mut world,
        UPDATE,
        &Message::new()
            .run(1, "b")
            .run(3, "set")
            .within(5, &op(2, &elements)),
    );
    assert_eq!((code, updated.text(1).len()), (83, 27), "a key was made up");
}

#[test]
fn what_does_not_fit_is_refused_in_words_that_clients_know() {
    let mut world = world();
    let set = op(2, &adds(&["x"]));
    let text = refused(&mut world, UPDATE, &of("counter").within(5, &set));
    assert_eq!(
        text,
        "Operation type is `set` but  bucket type is `counter`."
    );
    let text = refused(&mut world, FETCH, &of("none"));
    assert_eq!(text, "Error no bucket type `<<\"none\">>`");
    let text = refused(&mut world, FETCH, &of("carts"));
    assert_eq!(text, "`undefined` is not a supported type");
    let count = Message::of("b", "k").set(3, zigzag(1));
    let text = refused(&mut world, 50, &count);
    assert_eq!(text, "Counters require bucket property 'allow_mult=true'");
}

/// A bucket of the type `default` that may have counters of Riak 1.4.
fn counters(world: &mut World) {
    let allow_mult = Message::new().set(2, 1);
    let set = Message::new().run(1, "b").within(2, &allow_mult);
    world.feed(set.frame(21)).unwrap();
    world.note();
    world.out.clear();
}

#[test]
fn a_counter_of_riak_1_4_is_deleted_with_its_key() {
    let mut world = world();
    counters(&mut world);
    let key = Message::of("b", "k");
    ask(&mut world, 50, &key.clone().set(3, zigzag(7)));
    assert_eq!(ask(&mut world, 52, &key).1.signed(1), Some(7));
    assert_eq!(ask(&mut world, 13, &key), (14, Message::new()));
    assert_eq!(ask(&mut world, 52, &key).1.signed(1), Some(0));
    // With a value of the same name.
    ask(&mut world, 50, &key.clone().set(3, zigzag(2)));
    let value = Message::new().run(1, "v");
    ask(&mut world, 11, &key.clone().within(4, &value));
    let (_, got) = ask(&mut world, 9, &key);
    let both = key.clone().run(4, got.runs(2).concat());
    assert_eq!(ask(&mut world, 13, &both), (14, Message::new()));
    assert_eq!(ask(&mut world, 9, &key), (10, Message::new()));
    assert_eq!(ask(&mut world, 52, &key).1.signed(1), Some(0));
    assert_eq!(ask(&mut world, 13, &key), (14, Message::new()));
    let too_many = key.set(5, 4);
    assert_eq!(refused(&mut world, 13, &too_many), "{n_val_violation,3}");
}

#[test]
fn counters_of_riak_1_4_are_listed_with_the_keys_of_their_bucket() {
    let mut world = world();
    counters(&mut world);
    let value = Message::new().run(1, "v");
    let names = |world: &mut World, request: &Message| {
        let answers = frames(&world.say(request.frame(17)));
        let (_, last) = answers.last().unwrap();
        let done = answers.iter().filter(|(_, it)| it.number(2) == Some(1));
        assert_eq!((done.count(), last.number(2)), (1, Some(1)));
        let mut names: Vec<_> = answers.iter().flat_map(|(_, it)| it.texts(1)).collect();
        names.sort_unstable();
        names
    };
    let keys = Message::new().run(1, "b");
    assert!(names(&mut world, &keys).is_empty());
    ask(&mut world, 11, &Message::of("b", "value").within(4, &value));
    ask(
        &mut world,
        50,
        &Message::of("b", "counter").set(3, zigzag(1)),
    );
    assert_eq!(names(&mut world, &keys), ["counter", "value"]);
    let carts = keys.run(3, "carts");
    assert!(names(&mut world, &carts).is_empty());
    // A bucket that may have none has none.
    ask(&mut world, 11, &Message::of("c", "value").within(4, &value));
    world.say(
        of("counter")
            .run(1, "c")
            .within(5, &op(1, &Message::new()))
            .frame(UPDATE),
    );
    assert_eq!(names(&mut world, &Message::new().run(1, "c")), ["value"]);
}

#[test]
fn maps_are_as_deep_as_the_node_keeps_them() {
    let mut world = world();
    let field = |name, kind| Message::new().run(1, name).set(2, kind);
    let deep = |maps| {
        let flag = Message::new().within(1, &field("f", FLAG)).set(5, 1);
        let inmost = Message::new().within(2, &flag);
        (0..maps).fold(inmost, |within: Message, _| {
            let map = Message::new()
                .within(1, &field("m", MAP))
                .within(6, &within);
            Message::new().within(2, &map)
        })
    };
    update(&mut world, "map", &op(3, &deep(7)));
    let (mut shown, _) = fetch(&mut world, "map");
    let mut entry = shown.messages(3).remove(0);
    for _ in 0..7 {
        assert_eq!(entry.messages(1)[0].text(1), "m");
        shown = entry;
        entry = shown.messages(6).remove(0);
    }
    assert_eq!(entry.number(5), Some(1));
    let text = refused(&mut world, UPDATE, &of("map").within(5, &op(3, &deep(8))));
    assert_eq!(text, "maps are nested 8 deep at most");
}
