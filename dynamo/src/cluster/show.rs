//! A cluster as an operator reads it.

use std::fmt::Write as _;

use dynamo_driver::admin::Command;
use serde_json::Value;

/// How wide a bar is.
const BAR: u64 = 20;

/// What came of a command.
pub(super) fn answer(command: &Command, answer: &Value) -> String {
    match command {
        Command::Status => status(answer),
        Command::Plan => plan(answer),
        Command::Commit { .. } => format!(
            "committed: epoch {}. How far it has come: dynamo cluster status --wait\n",
            text(&answer["epoch"])
        ),
        Command::Unstage => "nothing is staged any more\n".into(),
        _ => {
            let mut said = String::from("staged:\n");
            for change in list(&answer["staged"]) {
                let _ = writeln!(said, "  {}", text(change)); // a String takes all
            }
            said + "What would come of it: dynamo cluster plan\n"
        }
    }
}

fn status(status: &Value) -> String {
    let mut said = format!("epoch {}: {}\n\n", text(&status["epoch"]), progress(status));
    said += &nodes(&status["nodes"]);
    if status["drained"] == true {
        said += "\nthis node has given away all it held: it may be removed, and stopped\n";
    }
    let removed = list(&status["removed"]);
    if !removed.is_empty() {
        let removed: Vec<_> = removed.iter().map(text).collect();
        let _ = writeln!(said, "\nremoved  {}", removed.join(" "));
    }
    let held = &status["held"];
    if held["copies"] != 0 {
        let _ = writeln!(
            said,
            "\nthis node holds {} copies ({} bytes) for nodes that are away or move",
            held["copies"], held["bytes"]
        );
    }
    let (keys, level, retired) = (&status["keys"], &status["level"], &status["retired"]);
    let _ = writeln!(
        said,
        "\nthis node has records of {keys} keys, and has agreed on {} of {} stretches with who is to have \
         the same, {} s ago at most; it has seen all that {} of {} retired boots wrote",
        level["agreed"],
        level["stretches"],
        level["oldest_seconds"],
        retired["seen"],
        retired["boots"]
    );
    let staged = list(&status["staged"]);
    if !staged.is_empty() {
        said += "\nstaged, and not committed:\n";
        for change in staged {
            let _ = writeln!(said, "  {}", text(change));
        }
    }
    let voided = list(&status["voided"]);
    if !voided.is_empty() {
        said += "\ncommitted, and without effect, since others were committed first:\n";
        for it in voided {
            let _ = writeln!(said, "  {} ({})", text(&it["why"]), text(&it["commit"]));
        }
    }
    let asking = |node: &&Value| node["is"] == "asks to join";
    if let Some(node) = list(&status["nodes"]).iter().find(asking) {
        let _ = writeln!(
            said,
            "\nLet in who asks: dynamo cluster join {}, then plan and commit",
            text(&node["node"])
        );
    }
    said
}

fn nodes(nodes: &Value) -> String {
    let mut rows = vec![
        [
            "node", "", "at", "zone", "host", "weight", "copies", "reached",
        ]
        .map(String::from),
    ];
    for node in list(nodes) {
        let reached = match (&node["connected"], &node["suspected"]) {
            (_, Value::Bool(true)) => "not by its neighbours",
            _ if node["this"] == true => "this node",
            (Value::Bool(true), _) => "yes",
            _ => "not from here",
        };
        rows.push([
            text(&node["node"]),
            text(&node["is"]),
            text(&node["address"]),
            text(&node["zone"]),
            text(&node["host"]),
            text(&node["weight"]),
            text(&node["copies"]),
            reached.into(),
        ]);
    }
    table(&rows)
}

/// How far all nodes have come with what was decided last.
pub(super) fn progress(status: &Value) -> String {
    if status["settled"] == true {
        return "all that was decided is carried out".into();
    }
    let steps = list(&status["steps"]).iter().map(|step| {
        let (done, of) = (number(&step["nodes"]), number(&step["of"]));
        let full = (BAR * done).checked_div(of).unwrap_or(0) as usize;
        let empty = BAR as usize - full.min(BAR as usize);
        let bar = "#".repeat(full) + &".".repeat(empty);
        format!("{} [{bar}] {done}/{of}", text(&step["step"]))
    });
    steps.collect::<Vec<_>>().join("  ")
}

fn plan(plan: &Value) -> String {
    let mut said = format!("at epoch {}:\n", text(&plan["epoch"]));
    for change in list(&plan["changes"]) {
        let _ = writeln!(said, "  {}", text(change));
    }
    said += "\n";
    let mut rows = vec![["node", "copies", "then", "gains", "gives"].map(String::from)];
    for node in list(&plan["nodes"]) {
        let parts = ["node", "before", "after", "gains", "gives"];
        rows.push(parts.map(|part| text(&node[part])));
    }
    said += &table(&rows);
    let moved = plan["moved"].as_f64().unwrap_or_default();
    let _ = writeln!(
        said,
        "\nCopies are of partitions. What is moved is {:.1} % of all keys.",
        100.0 * moved
    );
    if let Some(warning) = plan["warning"].as_str() {
        let _ = writeln!(said, "Warning: {warning}.");
    }
    said + "Do it: dynamo cluster commit\n"
}

/// Where a key lives, and why.
pub(super) fn place(key: &str, bucket: &str, place: &Value) -> String {
    let kept = &place["bucket"];
    let mut said = format!(
        "{key} in {bucket}: token {}, in partition {} of {}, by the ring of epoch {}\nn={} r={} w={}, {}, {}\n\n",
        text(&place["token"]),
        place["partition"],
        place["partitions"],
        text(&place["epoch"]),
        kept["n"],
        kept["r"],
        kept["w"],
        text(&kept["conflicts"]),
        text(&kept["durability"]),
    );
    let mut rows = vec![["", "node", "at", "zone", "host", ""].map(String::from)];
    for node in list(&place["nodes"]) {
        let reached = match node["connected"] == true && node["suspected"] != true {
            true => "",
            false => "not reached",
        };
        rows.push([
            text(&node["duty"]),
            text(&node["node"]),
            text(&node["address"]),
            text(&node["zone"]),
            text(&node["host"]),
            reached.into(),
        ]);
    }
    said += &table(&rows);
    said += "\nPrimaries hold it. Fallbacks stand in for primaries that are away, in this order.\n";
    if place["settled"] != true {
        said +=
            "Partitions are moving: until all nodes have switched, earlier owners are asked too.\n";
    }
    said
}

fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max();
    let widths: Vec<_> = (0..N).map(|at| width(at).unwrap_or(0)).collect();
    let mut said = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
        let line: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let _ = writeln!(said, "{}", line.join("  ").trim_end());
    }
    said
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        value => value.to_string(),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
