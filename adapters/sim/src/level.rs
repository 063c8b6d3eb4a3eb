//! Measures what replicas that compare what they have say to each other, and writes it as a page.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use dynamo_sim::measure::away::{self, Absence};
use dynamo_sim::measure::level::{self, Gap};
use dynamo_sim::{Talk, Word};

use crate::availability::Failed;

const EXCHANGE_EVERY: Duration = Duration::from_secs(60);

pub(crate) fn draw(keys: usize, writes: usize, into: &Path) -> Result<(), Failed> {
    let mut page = format!(
        "# Replicas that differ

`cargo run --release -p dynamo-sim -- level --keys {keys} --writes {writes}`

{} nodes, N = 3, and nobody reads, writes or holds anything for others: replicas are made equal because
every two compare what they have, here every {} s ([why so](../decisions/0015-entropy.md)). Bytes are those of
all messages about that, by all nodes, with their frames.

## Of {keys} keys some lack a replica

*Missing* are the bytes of the lacking copies, with their keys and clocks. *Said* is all until every two
nodes have found that they are equal, *in step* the same once more, when nothing differs. There are 8 bytes
of a root in it for each stretch of the ring that two nodes have in common.

| keys that lack a copy | value | missing | copies moved | said | times what was missing | said in step | stretches | bytes for each |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
",
        level::NODES,
        EXCHANGE_EVERY.as_secs(),
    );
    let mut talks = Vec::new();
    for (missing, value_bytes) in [(1, 64), (keys / 100, 1024)] {
        let levelled = level::measure(&Gap {
            keys,
            missing,
            value_bytes,
        })?;
        let (said, in_step) = (levelled.said.bytes(), levelled.said_in_step.bytes());
        let _ = writeln!(
            page,
            "| {missing} | {value_bytes} B | {} B | {} | {said} B | {:.2} | {in_step} B | {} | {:.0} |",
            levelled.missing_bytes,
            levelled.copies,
            said as f64 / levelled.missing_bytes as f64,
            levelled.stretches,
            in_step as f64 / levelled.stretches as f64,
        );
        talks.push((format!("{missing} missing"), levelled.said));
        if missing == 1 {
            talks.push(("in step".to_owned(), levelled.said_in_step));
        }
    }
    let value_bytes = 1024;
    let returned = away::measure(&Absence {
        writes,
        value_bytes,
        latency: (Duration::from_micros(200), Duration::from_micros(100)),
        disk: Duration::from_micros(100),
        exchange_every: Some(EXCHANGE_EVERY),
    })?;
    let data = (writes * value_bytes) as u64;
    let _ = write!(
        page,
        "
## A node missed {writes} writes, and no hint was held

As [when hints are held](away.md), with values of {value_bytes} bytes, 0.2 + 0.1 ms from node to node and 0.1 ms
for a store's command, but hints are refused. From the node's start until all replicas of all keys are
equal, byte by byte: {:.2} s. Stretches for which a hint was refused are compared first, so it does not take
the {} s. {} copies were moved, {} were held: two who have a copy may both send it. {} B of values came with
{} B of all that was said.

## What was said

Messages, and bytes.

| |",
        returned.took.as_secs_f64(),
        EXCHANGE_EVERY.as_secs(),
        returned.levelled,
        returned.copies,
        data,
        returned.said.bytes(),
    );
    talks.push((format!("{writes} writes missed"), returned.said));
    table(&mut page, &talks);
    print!("{page}");
    std::fs::create_dir_all(into)
        .and_then(|()| std::fs::write(into.join("level.md"), page))
        .map_err(|error| format!("cannot write to {}: {error}", into.display()))?;
    Ok(())
}

/// The rest of a table whose head is begun.
fn table(page: &mut String, talks: &[(String, Talk)]) {
    for (name, _) in talks {
        let _ = write!(page, " {name} | |");
    }
    page.push_str("\n| --- |");
    page.push_str(&" ---: | ---: |".repeat(talks.len()));
    for word in Word::ALL {
        let _ = write!(page, "\n| `{word:?}` |");
        for (_, talk) in talks {
            let (messages, bytes) = talk.of(word);
            let _ = write!(page, " {messages} | {bytes} |");
        }
    }
    page.push('\n');
}
