//! The results, as text and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::Load;
use super::cpu::Used;
use super::tally::Tally;
use super::workload::Kind;

const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

/// What was found out, and under which load.
pub(super) struct Results<'a> {
    what: &'a str,
    load: &'a Load,
    tally: &'a Tally,
    used: &'a [Used],
}

impl<'a> Results<'a> {
    pub(super) fn new(what: &'a str, load: &'a Load, tally: &'a Tally, used: &'a [Used]) -> Self {
        Self {
            what,
            load,
            tally,
            used,
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{:<8}{:>12}{:>11}{:>11}{:>11}{:>11}\n",
            self.what, "per second", "p50", "p99", "p99.9", "max"
        );
        for (name, latencies) in self.rows() {
            let _ = write!(text, "{name:<8}{:>12.0}", self.per_second(latencies.len()));
            for (_, quantile) in QUANTILES {
                let _ = write!(text, "{:>11}", short(latencies.value_at_quantile(quantile)));
            }
            let _ = writeln!(text, "{:>11}", short(latencies.max()));
        }
        let _ = writeln!(text, "errors  {}", self.tally.errors_in_words());
        if let Some(micros) = self.cpu_micros() {
            let _ = writeln!(text, "server CPU per operation  {micros:.1} µs");
            for used in self.used {
                let share = used.time.as_secs_f64() / self.tally.took.as_secs_f64();
                let _ = writeln!(
                    text,
                    "  process {:<8} {:>5.1} % of a core",
                    used.pid,
                    share * 100.0
                );
            }
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let Load {
            clients,
            pipeline,
            rate,
            keys,
            size,
            seed,
            ..
        } = self.load;
        let kinds = self.rows().into_iter().map(|(name, latencies)| {
            let mut row = json!({
                "done": latencies.len(),
                "per_second": self.per_second(latencies.len()),
                "max_us": micros(latencies.max()),
            });
            for (quantile, at) in QUANTILES {
                row[format!("{quantile}_us")] = micros(latencies.value_at_quantile(at)).into();
            }
            (name.to_owned(), row)
        });
        let processes = self
            .used
            .iter()
            .map(|used| json!({ "pid": used.pid, "cpu_seconds": used.time.as_secs_f64() }));
        json!({
            "what": self.what,
            "load": {
                "clients": clients,
                "pipeline": pipeline,
                "rate": rate,
                "mix": format!("{:?}", self.load.mix),
                "skew": format!("{:?}", self.load.skew),
                "keys": keys,
                "size": size,
                "seed": seed,
            },
            "seconds": self.tally.took.as_secs_f64(),
            "kinds": kinds.collect::<serde_json::Map<_, _>>(),
            "errors": self.tally.errors(),
            "done_in_each_second": self.tally.seconds,
            "processes": processes.collect::<Vec<_>>(),
            "server_cpu_us_per_operation": self.cpu_micros(),
        })
    }

    /// Kinds that were asked for; all together where there are several.
    fn rows(&self) -> Vec<(&'static str, Histogram<u64>)> {
        let kinds = Kind::ALL.into_iter();
        let mut rows: Vec<_> = kinds
            .map(|kind| (kind.name(), self.tally.latencies(kind).clone()))
            .filter(|(_, latencies)| !latencies.is_empty())
            .collect();
        if rows.len() != 1 {
            rows.push(("all", self.tally.all()));
        }
        rows
    }

    fn per_second(&self, done: u64) -> f64 {
        done as f64 / self.tally.took.as_secs_f64()
    }

    fn cpu_micros(&self) -> Option<f64> {
        let all: Duration = self.used.iter().map(|used| used.time).sum();
        let is_known = !self.used.is_empty();
        is_known.then(|| all.as_secs_f64() * 1e6 / self.tally.answered() as f64)
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

/// A time as people read it.
pub(super) fn short(nanos: u64) -> String {
    match nanos {
        0..10_000 => format!("{:.1} µs", nanos as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} µs", nanos as f64 / 1e3),
        1_000_000..10_000_000 => format!("{:.2} ms", nanos as f64 / 1e6),
        10_000_000..1_000_000_000 => format!("{:.0} ms", nanos as f64 / 1e6),
        _ => format!("{:.2} s", nanos as f64 / 1e9),
    }
}
