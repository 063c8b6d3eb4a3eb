//! Clusters of whole drivers on the invented network, at the level of bytes.
//!
//! More seeds run in CI: `dynamo-sim bytes`.

use dynamo_behaviour::session::{self, Wires};
use dynamo_sim::{Count, Counters, bytes};

#[test]
fn promises_are_kept_whatever_pieces_arrive_and_whoever_reads_slowly() {
    let mut counters = Counters::default();
    for seed in 1_000..1_006 {
        let report = bytes::run(seed);
        assert_eq!(report.violation, None, "seed {seed}");
        counters.add_all(&report.counters);
    }
    for count in [
        Count::Acked,
        Count::TextAnswer,
        Count::Cut,
        Count::Killed,
        Count::Paused,
    ] {
        assert!(counters.of(count) > 0, "no {}", count.label());
    }
}

struct Simulated(bytes::Session);

impl Wires for Simulated {
    fn say(&mut self, node: usize, bytes: &[u8]) {
        self.0.say(node, bytes);
    }

    fn hear(&mut self, node: usize) -> Vec<u8> {
        self.0.hear(node)
    }
}

#[test]
fn the_session_of_all_adapters_is_answered_as_it_is_there() {
    let cluster = bytes::Session::new(session::NODES as usize);
    session::check(&session::play(&mut Simulated(cluster)));
}
