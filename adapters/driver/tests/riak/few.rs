//! Where few nodes are left, and where time is short.

use std::time::Duration;

use dynamo_driver::http::Http;
use dynamo_proto::node::{Failure, Operation, Options, Response};
use dynamo_proto::version::{DataType, Policy};
use dynamo_proto::{Bucket, Instant};

use crate::desk::World;
use crate::message::{Message, frames, zigzag};
use crate::{ask, refused, world};

const GET: u8 = 9;
const PUT: u8 = 11;
const DELETE: u8 = 13;
const LIST_KEYS: u8 = 17;
const UPDATE_COUNTER: u8 = 50;

fn put() -> Message {
    Message::of("b", "k").within(4, &Message::new().run(1, "tea"))
}

fn too_few(need: u8, got: u8) -> Option<Response> {
    Some(Response::Failed(Failure::TooFew { need, got }))
}

/// How the node is asked by this request.
fn asked(world: &mut World, code: u8, request: &Message) -> Options {
    world.is_prompt = false;
    world.feed(request.frame(code)).unwrap();
    let options = world.asks[0].options;
    world.answer(0).unwrap();
    world.out.clear();
    options
}

/// The text of the only error that was told.
fn told(world: &mut World) -> String {
    let answers = frames(&world.out.split());
    assert_eq!((answers.len(), answers[0].0), (1, 0), "{answers:?}");
    answers[0].1.text(1)
}

#[test]
fn a_put_reads_from_no_more_nodes_than_have_to_write_it() {
    let mut world = world();
    let usual = asked(&mut world, PUT, &put());
    assert_eq!((usual.r, usual.w, usual.pr), (Some(2), Some(2), Some(0)));
    let one = asked(&mut world, PUT, &put().set(5, 1));
    assert_eq!((one.r, one.w), (Some(1), Some(1)));
    let all = asked(&mut world, PUT, &put().set(5, 3));
    assert_eq!((all.r, all.w), (Some(2), Some(3)));
    let new = put().set(5, 1).set(10, 1);
    assert_eq!(
        asked(&mut world, PUT, &new).r,
        Some(2),
        "a condition is looked up"
    );
}

#[test]
fn a_put_reads_from_no_more_nodes_than_are_there() {
    let mut world = world();
    world.lose_peers(3); // one of those on duty is left, and one that is not
    assert_eq!(asked(&mut world, PUT, &put()).r, Some(1));
    assert_eq!(asked(&mut world, PUT, &put().set(5, 3)).r, Some(1));
    let key = Message::of("b", "k");
    let get = asked(&mut world, GET, &key);
    assert_eq!(get.r, Some(2), "who reads says from how many");
}

#[test]
fn who_asks_for_more_than_a_node_that_is_alone_is_told_so_at_once() {
    let mut world = world();
    let get = Message::of("b", "k").set(4, 2);
    assert_eq!(
        refused(&mut world, PUT, &put().set(8, 4)),
        "{n_val_violation,3}"
    );
    assert_eq!(ask(&mut world, PUT, &put().set(8, 2)).0, 12);
    world.lose_peers(4);
    let alone = "{insufficient_vnodes,1,need,2}";
    assert_eq!(refused(&mut world, PUT, &put()), alone);
    assert_eq!(ask(&mut world, PUT, &put().set(5, 1)).0, 12);
    let text = refused(&mut world, PUT, &put().set(8, 2));
    assert_eq!(text, "{pw_val_unsatisfied,2,1}");
    assert_eq!(refused(&mut world, GET, &get), "{pr_val_unsatisfied,2,1}");
    let delete = Message::of("b", "k").set(8, 2);
    assert_eq!(refused(&mut world, DELETE, &delete), text);
    let value = "/buckets/b/keys/k";
    world.front = Box::new(Http::new());
    for (request, text) in [
        (format!("GET {value}?pr=2"), "PR-value unsatisfied: 1/2\n"),
        (
            format!("DELETE {value}?pw=2"),
            "PW-value unsatisfied: 1/2\n",
        ),
        (format!("PUT {value}"), "{insufficient_vnodes,1,need,2}\n"),
    ] {
        let said = world.tell(format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert!(
            said.starts_with("HTTP/1.1 503 ") && said.ends_with(text),
            "{said}"
        );
    }
}

#[test]
fn a_put_goes_over_what_its_coordinator_has_where_no_more_can_be_read() {
    let mut world = world();
    world.is_prompt = false;
    world.feed(put().frame(PUT)).unwrap();
    world.fails = too_few(2, 1);
    world.answer(0).unwrap();
    assert_eq!((world.asks.len(), world.asks[0].options.r), (1, Some(1)));
    world.fails = None;
    world.answer(0).unwrap();
    assert_eq!(frames(&world.out.split())[0].0, 12);
    assert_eq!(
        world.records.values().next().unwrap().siblings().values()[0]
            .value
            .content
            .body()
            .unwrap(),
        "tea"
    );
}

#[test]
fn a_put_that_too_few_can_do_says_so_of_writing() {
    let mut world = world();
    world.fails = too_few(1, 0);
    assert_eq!(refused(&mut world, PUT, &put()), "{dw_val_unsatisfied,2,0}");
    let primaries = put().set(8, 3);
    assert_eq!(
        refused(&mut world, PUT, &primaries),
        "{pw_val_unsatisfied,3,0}"
    );
    world.fails = too_few(2, 1);
    let new = put().set(10, 1);
    assert_eq!(refused(&mut world, PUT, &new), "{r_val_unsatisfied,2,1}");
    let key = Message::of("b", "k");
    assert_eq!(refused(&mut world, DELETE, &key), "{r_val_unsatisfied,2,1}");
}

#[test]
fn a_delete_of_what_was_read_is_a_put() {
    let mut world = world();
    ask(&mut world, PUT, &put());
    let key = Message::of("b", "k");
    let (_, got) = ask(&mut world, GET, &key);
    let read = key.clone().run(4, got.runs(2).concat());
    world.fails = too_few(1, 0);
    assert_eq!(
        refused(&mut world, DELETE, &read),
        "{dw_val_unsatisfied,2,0}"
    );
    world.is_prompt = false;
    world.fails = too_few(2, 1);
    world.feed(read.frame(DELETE)).unwrap();
    assert_eq!(world.asks[0].options.r, Some(2));
    world.answer(0).unwrap();
    assert_eq!(world.asks[0].options.r, Some(1));
    world.fails = None;
    world.answer(0).unwrap();
    world.answer(0).unwrap();
    assert_eq!(frames(&world.out.split()), [(14, Message::new())]);
    world.is_prompt = true;
    assert_eq!(ask(&mut world, GET, &key), (10, Message::new()));
}

#[test]
fn what_a_put_returns_has_seen_what_was_put() {
    let mut world = world();
    for (request, code) in [
        (put().set(5, 1).set(7, 1), PUT),
        (put().run(16, "carts").set(5, 1).set(11, 1), PUT),
        // Beside the one before: there is no context, but a receipt.
        (put().run(16, "carts").set(5, 1).set(7, 1), PUT),
    ] {
        world.is_prompt = false;
        world.feed(request.frame(code)).unwrap();
        world.answer(0).unwrap();
        let ask = &world.asks[0];
        assert_eq!((ask.options.r, ask.options.pr), (Some(1), Some(0)));
        let Operation::Get { seen, .. } = &ask.operation else {
            panic!("a read");
        };
        assert_eq!(seen.len(), 1);
        world.answer(0).unwrap();
        let (code, put) = frames(&world.out.split()).remove(0);
        assert_eq!(code, 12);
        assert!(!put.messages(1).is_empty() && !put.runs(2).is_empty());
    }
    // The write is done, whatever becomes of the read.
    for failure in [Failure::Stale, Failure::Overloaded] {
        world.feed(put().set(7, 1).frame(PUT)).unwrap();
        world.answer(0).unwrap();
        world.fails = Some(Response::Failed(failure));
        world.answer(0).unwrap();
        world.fails = None;
        assert_eq!(told(&mut world), "timeout");
    }
}

#[test]
fn what_a_counter_comes_to_has_seen_what_was_counted() {
    let mut world = world();
    let counter = Bucket {
        policy: Policy::Data(DataType::Counter),
        ..Bucket::default()
    };
    world.buckets.types.insert(b"counter".to_vec(), counter);
    let allow_mult = Message::new().set(2, 1);
    let set = Message::new().run(1, "b").within(2, &allow_mult);
    world.feed(set.frame(21)).unwrap();
    world.note();
    world.out.clear();
    world.is_prompt = false;
    let count = Message::of("b", "k").set(3, zigzag(4)).set(4, 1).set(7, 1);
    world.feed(count.frame(UPDATE_COUNTER)).unwrap();
    world.answer(0).unwrap();
    assert_eq!(world.asks[0].options.r, Some(1));
    let Operation::Get { seen, .. } = &world.asks[0].operation else {
        panic!("a read");
    };
    assert_eq!(seen.len(), 1);
    world.answer(0).unwrap();
    let (code, counted) = frames(&world.out.split()).remove(0);
    assert_eq!((code, counted.signed(1)), (51, Some(4)));
}

#[test]
fn what_runs_out_of_its_time_says_so() {
    let mut world = world();
    world.is_prompt = false;
    let second = Duration::from_secs(1);
    for (code, request) in [
        (GET, Message::of("b", "k").set(10, 1000)),
        (LIST_KEYS, Message::new().run(1, "b").set(2, 1000)),
    ] {
        world.feed(request.frame(code)).unwrap();
        assert_eq!(world.asks[0].options.timeout, Some(second));
        world.fails = too_few(2, 1);
        world.answer(0).unwrap();
        assert_eq!(told(&mut world), "{r_val_unsatisfied,2,1}");
        world.fails = None;
        world.feed(request.frame(code)).unwrap();
        world.mono = world.mono + second;
        world.fails = too_few(2, 1);
        world.answer(0).unwrap();
        assert_eq!(told(&mut world), "timeout");
        world.fails = None;
    }
}

#[test]
fn the_steps_of_a_request_have_one_time_together() {
    let mut world = world();
    world.is_prompt = false;
    let request = put().set(7, 1).set(12, 1000);
    world.feed(request.frame(PUT)).unwrap();
    world.mono = Instant::from_nanos(300_000_000);
    world.answer(0).unwrap();
    let left = Duration::from_millis(700);
    assert_eq!(world.asks[0].options.timeout, Some(left));
}

#[test]
fn what_is_not_said_is_as_the_bucket_has_it() {
    let mut world = world();
    for (dw, w) in [(0, 2), (1, 2), (3, 3)] {
        let asked = asked(&mut world, PUT, &put().set(6, dw));
        assert_eq!(asked.w, Some(w), "dw {dw}");
    }
    assert_eq!(asked(&mut world, PUT, &put().set(5, 1)).w, Some(1));
    // A property that says "default" says nothing.
    let default = u64::from(u32::MAX - 4);
    let props = Message::new().set(15, default).set(17, default);
    world.buckets.default.notes = props.bytes();
    let usual = asked(&mut world, PUT, &put());
    assert_eq!((usual.r, usual.w), (Some(2), Some(2)));
}

/// Fewer replicas than the bucket type has are for single keys: where all keys are wanted, all that
/// there are have to be asked.
#[test]
fn a_listing_asks_for_all_replicas_whatever_n_clients_have_set() {
    let mut world = world();
    world.buckets.default.notes = Message::new().set(1, 1).bytes();
    let get = asked(&mut world, GET, &Message::of("b", "k"));
    assert_eq!((get.n, get.r), (Some(1), Some(1)));
    let list = asked(&mut world, LIST_KEYS, &Message::new().run(1, "b"));
    assert_eq!((list.n, list.r), (None, None));
}
