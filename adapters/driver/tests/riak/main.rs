//! Riak's Protocol Buffers: requests in, answers out.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../desk/mod.rs"]
mod desk;

mod both;
mod data;
mod few;
mod frames;
mod message;
mod values;

use desk::World;
use dynamo_driver::riak::Riak;
use dynamo_proto::version::Policy;
use message::Message;

/// A connection to a cluster whose type `carts` keeps siblings.
fn world() -> World {
    World::new(Riak::new(), Policy::Siblings)
}

/// The one answer to a request.
fn ask(world: &mut World, code: u8, request: &Message) -> (u8, Message) {
    let mut answers = message::frames(&world.say(request.frame(code)));
    assert_eq!(answers.len(), 1, "one answer to one request");
    answers.remove(0)
}

/// The text of the error that a request is answered with.
fn refused(world: &mut World, code: u8, request: &Message) -> String {
    let (code, answer) = ask(world, code, request);
    assert_eq!(
        (code, answer.number(2)),
        (0, Some(0)),
        "an error: {answer:?}"
    );
    answer.text(1)
}
