//! The session that every adapter plays, on a clock that is invented. It is kept as it is answered
//! here: `UPDATE_SESSION=1 cargo test -p dynamo-driver --profile ci --test driver session`.

use std::{env, fs};

use dynamo_behaviour::session::{self, Wires};
use dynamo_driver::Bounds;
use dynamo_driver::driver::Lane;

use crate::world::{Line, World};

struct Pipes(World, Vec<Line>);

impl Wires for Pipes {
    fn say(&mut self, node: usize, bytes: &[u8]) {
        let Self(world, lines) = self;
        world.say(lines[node], bytes);
        world.settle();
    }

    fn hear(&mut self, node: usize) -> Vec<u8> {
        let Self(world, lines) = self;
        world.hear_all(lines[node])
    }
}

#[test]
fn the_session_of_all_adapters_is_answered_as_it_is_there() {
    let mut world = World::of(session::NODES, Bounds::default());
    let nodes = 0..session::NODES as usize;
    let lines = nodes.map(|at| world.resp(at, Lane::Clients)).collect();
    let heard = session::play(&mut Pipes(world, lines));
    if env::var_os("UPDATE_SESSION").is_some() {
        fs::write("../behaviour/src/session.txt", heard).unwrap();
    } else {
        session::check(&heard);
    }
}
