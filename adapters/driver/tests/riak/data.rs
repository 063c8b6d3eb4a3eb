//! Data types.

use dynamo_proto::Bucket;
use dynamo_proto::version::{DataType, Policy};

use crate::desk::World;
use crate::message::{Message, zigzag};
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
