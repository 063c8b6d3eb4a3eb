//! The tables and plots of what was measured.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::{Detection, Measured};
use crate::plot::{Axis, Plot, Series};

/// Writes `scale.md` and its plots into a directory.
pub(crate) fn write(measured: &[Measured], node_days: f64, into: &Path) -> io::Result<()> {
    std::fs::write(into.join("scale.md"), text(measured, node_days))?;
    for (name, plot) in plots(measured) {
        std::fs::write(into.join(name), plot.to_svg())?;
    }
    Ok(())
}

fn text(measured: &[Measured], node_days: f64) -> String {
    let nodes: Vec<_> = measured.iter().map(|it| it.nodes.to_string()).collect();
    let nodes = nodes.join(",");
    let mut page = format!(
        "# Membership at scale

Printed by `cargo run --release -p dynamo-sim -- scale --nodes {nodes} --node-days {node_days}`. The real machines of
[decision 12](decisions/0012-membership.md), so many of them, on an invented network: one message in
twenty is lost, the others take 1 to 20 ms, one in a hundred up to half a second. Bytes are those of
frames, heads included; what TCP adds is not counted, and what it would send again is simply lost. A
round is a second. Same command, same numbers.

## A change spreads

Until every node knows of a change; until every node knows that every node has it on its disk; and
what that costs while it goes on, in bytes for each node and second, beside what is said when nothing
changes.

| nodes | knows: median | p99 | last | settled: p99 | quiet: sent | received | changing: sent | received |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
",
    );
    for it in measured {
        let _ = writeln!(
            page,
            "| {} | {:.1} s | {:.1} s | {:.1} s | {:.1} s | {:.0} | {:.0} | {:.0} | {:.0} |",
            it.nodes,
            at(&it.spread, 0.5),
            at(&it.spread, 0.99),
            at(&it.spread, 1.0),
            at(&it.settled, 0.99),
            it.quiet.sent,
            it.quiet.received,
            it.changing.sent,
            it.changing.received,
        );
    }
    page.push_str(
        "
![rounds](scale-rounds.svg)
![bytes](scale-bytes.svg)

## Failures are found

Neighbours that ping each other, beside SWIM on the same network: seconds from a death until the first
node knows and until 99 in 100 do; how often somebody was taken for dead who was there.

| nodes | | first knows: mean | p99 of all | last of all | false alarms | in node-days | messages a node and second |
| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |
",
    );
    for it in measured {
        let (swim, traffic) = &it.swim;
        for (name, detection, messages) in [
            (
                "neighbours, with all gossip",
                &it.detection,
                it.quiet.messages,
            ),
            ("SWIM", swim, traffic.messages),
        ] {
            let _ = writeln!(
                page,
                "| {} | {name} | {:.1} s | {:.1} s | {:.1} s | {} | {:.1} | {messages:.1} |",
                it.nodes,
                mean(&detection.first),
                at(&detection.all, 0.99),
                at(&detection.all, 1.0),
                detection.false_alarms,
                detection.node_days,
            );
        }
    }
    page.push_str(
        "
![detection](scale-detection.svg)

## What a node keeps

Bytes of one node, as if nothing was shared. The history is that of a cluster born with all its nodes
and changed as often as was measured above.

| nodes | partitions | history | state | roster | the rest | ring |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: |
",
    );
    for it in measured {
        let memory = &it.memory;
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} |",
            it.nodes,
            it.partitions,
            memory.history,
            memory.state,
            memory.roster,
            memory.rest,
            it.ring
        );
    }
    page.push_str("\n![memory](scale-memory.svg)\n");
    page
}

fn plots(measured: &[Measured]) -> [(&'static str, Plot); 4] {
    let series = |name: &str, value: &dyn Fn(&Measured) -> f64| Series {
        name: name.into(),
        points: measured
            .iter()
            .map(|it| (it.nodes as f64, value(it)))
            .collect(),
        has_line: true,
        has_shapes: true,
    };
    let plot = |title: &str, y: Axis, series: Vec<Series>, goal: Option<(f64, &str)>| Plot {
        title: title.into(),
        x: Axis::new("nodes", true),
        y,
        series,
        goal: goal.map(|(level, name)| (level, name.to_owned())),
        band: None,
    };
    let p99 = |detection: &Detection| at(&detection.all, 0.99);
    let memory = |it: &Measured| {
        (it.memory.history + it.memory.state + it.memory.roster + it.memory.rest) as f64
    };
    [
        (
            "scale-rounds.svg",
            plot(
                "Rounds until a change is known, 5 % of messages lost",
                Axis::new("rounds (seconds)", false),
                vec![
                    series("half of all know", &|it| at(&it.spread, 0.5)),
                    series("99 % know", &|it| at(&it.spread, 0.99)),
                    series("99 % know that all do", &|it| at(&it.settled, 0.99)),
                ],
                Some((15.0, "goal for 99 %: 15")),
            ),
        ),
        (
            "scale-bytes.svg",
            plot(
                "Bytes sent by each node in a second",
                Axis::new("bytes", true),
                vec![
                    series("nothing changes", &|it| it.quiet.sent),
                    series("while a change spreads", &|it| it.changing.sent),
                ],
                Some((8192.0, "goal when quiet: 8 KiB")),
            ),
        ),
        (
            "scale-detection.svg",
            plot(
                "Until a death is known, 5 % of messages lost",
                Axis::new("seconds", false),
                vec![
                    series("first node, neighbours", &|it| mean(&it.detection.first)),
                    series("99 % of nodes, neighbours", &|it| p99(&it.detection)),
                    series("first node, SWIM", &|it| mean(&it.swim.0.first)),
                    series("99 % of nodes, SWIM", &|it| p99(&it.swim.0)),
                ],
                None,
            ),
        ),
        (
            "scale-memory.svg",
            plot(
                "Bytes that each node keeps about membership",
                Axis::new("bytes", true),
                vec![
                    series("all but the ring", &memory),
                    series("the ring", &|it| it.ring as f64),
                ],
                None,
            ),
        ),
    ]
}

/// The value that so much of all are not above.
fn at(sorted: &[f64], part: f64) -> f64 {
    let nth = (sorted.len() as f64 * part).ceil() as usize;
    sorted
        .get(nth.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
