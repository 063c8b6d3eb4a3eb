//! Many seeds at the level of bytes.

use std::process::ExitCode;

use dynamo_sim::{Count, Counters, bytes};

/// One of so many seeds is run twice.
const TWICE: u64 = 10;

/// What has to happen in a hundred seeds, so that the checks of it show anything: about a third of what does.
const LEAST: &[(Count, u64)] = &[
    (Count::Acked, 100_000),
    (Count::Read, 80_000),
    (Count::Unknown, 100),
    (Count::SiblingsRead, 5_000),
    (Count::TextAnswer, 500_000),
    (Count::Cut, 100),
    (Count::HalfOpened, 20),
    (Count::ConnectionLost, 20),
    (Count::Killed, 50),
    (Count::Paused, 20),
    (Count::Clogged, 2_000),
];

pub(crate) fn run((first, last): (u64, u64)) -> ExitCode {
    let mut counters = Counters::default();
    let mut wrong = 0;
    for seed in first..last {
        let report = bytes::run(seed);
        counters.add_all(&report.counters);
        if let Some(violation) = &report.violation {
            wrong += 1;
            println!("seed {seed} {violation}");
        } else if seed.is_multiple_of(TWICE) && bytes::run(seed).digest != report.digest {
            wrong += 1;
            println!("seed {seed} ran differently the second time");
        }
    }
    let seeds = last.saturating_sub(first);
    for (count, least) in LEAST {
        let happened = counters.of(*count);
        println!("{happened:>12} {}", count.label());
        if seeds >= 20 && happened * 100 < least * seeds {
            wrong += 1;
            println!("too seldom: at least {least} in 100 seeds");
        }
    }
    println!("seeds {seeds}, violations {wrong}");
    ExitCode::from(u8::from(wrong > 0))
}
