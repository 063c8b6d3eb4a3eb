//! What a command allocates: its key, which it has to keep.

use allocation_counter::measure;

use crate::{plain, words};

const COMMANDS: usize = 1000;

#[test]
fn a_command_allocates_its_key_and_nothing_else() {
    for said in [
        "GET some-key",
        "SET some-key some-value",
        "DYNAMO.GET b some-key",
    ] {
        let mut world = plain();
        world.is_prompt = false;
        world.room = COMMANDS;
        let said = words(said).repeat(COMMANDS);
        world.input.reserve(said.len());
        let used = measure(|| world.feed(&said).unwrap());
        assert_eq!(world.asks.len(), COMMANDS);
        // The tables of what is under way grow by doubling.
        let most = COMMANDS as u64 + 64;
        assert!(used.count_total <= most, "{used:?}");
    }
}

#[test]
fn what_is_answered_at_once_allocates_nothing() {
    let mut world = plain();
    let said = [words("PING"), words("ECHO some-words"), words("SELECT 0")]
        .concat()
        .repeat(COMMANDS);
    world.input.reserve(said.len());
    world.out.reserve(2 * said.len());
    let used = measure(|| world.feed(&said).unwrap());
    assert!(used.count_total <= 8, "{used:?}");
}
