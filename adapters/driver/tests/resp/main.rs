//! RESP: commands in, answers out.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../desk/mod.rs"]
mod desk;

mod allocations;
mod commands;
mod data;
mod hostile;
mod order;
mod reading;
mod siblings;

use desk::World;
use dynamo_driver::resp::Resp;
use dynamo_proto::version::Policy;

/// A connection to buckets where the last write wins.
fn plain() -> World {
    World::new(Resp::new(), desk::last_write_wins())
}

/// A connection to buckets that keep siblings.
fn siblings() -> World {
    World::new(Resp::new(), Policy::Siblings)
}

/// A command as clients send it.
fn command(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A line of words as such a command.
fn words(line: &str) -> Vec<u8> {
    let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
    command(&words)
}
