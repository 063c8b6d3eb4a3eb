//! Latencies as a picture: how long so many of all requests took at most.
//!
//! To the right the last ones are drawn apart, a tenth of what is left with each step; upwards each
//! step is ten times as long.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::report::short;
use super::tally::Tally;
use super::workload::Kind;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;

/// How many nines are drawn.
const NINES: f64 = 4.0;

/// Points of a line for each nine.
const POINTS: u32 = 40;

const COLOURS: [&str; 3] = ["#1f6feb", "#d9480f", "#5c940d"];

pub(super) fn svg(what: &str, tally: &Tally) -> String {
    let kinds = Kind::ALL.into_iter().zip(COLOURS);
    let drawn: Vec<_> = kinds
        .map(|(kind, colour)| (kind.name(), colour, tally.latencies(kind)))
        .filter(|(_, _, latencies)| !latencies.is_empty())
        .collect();
    let lowest = drawn
        .iter()
        .map(|(_, _, it)| it.value_at_quantile(0.01).max(1));
    let highest = drawn
        .iter()
        .map(|(_, _, it)| it.value_at_quantile(quantile(NINES)));
    let lowest = (lowest.min().unwrap_or(1) as f64).log10().floor();
    let highest = (highest.max().unwrap_or(10) as f64).log10().ceil();
    let scale = Scale {
        lowest,
        highest: highest.max(lowest + 1.0),
    };

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"14\">Latency of {what}, by share of requests</text>\n"
    );
    scale.grid(&mut svg);
    for (name, colour, latencies) in drawn {
        scale.line(&mut svg, name, colour, latencies);
    }
    svg.push_str("</svg>\n");
    svg
}

/// The share of requests that is left of so many nines.
fn quantile(nines: f64) -> f64 {
    1.0 - 10_f64.powf(-nines)
}

/// Powers of ten, in nanoseconds.
struct Scale {
    lowest: f64,
    highest: f64,
}

impl Scale {
    fn x(nines: f64) -> f64 {
        LEFT + nines / NINES * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, nanos: f64) -> f64 {
        let part = (nanos.max(1.0).log10() - self.lowest) / (self.highest - self.lowest);
        HEIGHT - BOTTOM - part.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let mut rule = |x1: f64, y1: f64, x2: f64, y2: f64| {
            let _ = writeln!(
                svg,
                "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#ddd\"/>"
            );
        };
        for power in self.lowest as i32..=self.highest as i32 {
            let y = self.y(10_f64.powi(power));
            rule(LEFT, y, right, y);
        }
        for nines in 0..=NINES as i32 {
            let x = Self::x(nines.into());
            rule(x, TOP, x, bottom);
        }
        for power in self.lowest as i32..=self.highest as i32 {
            let (x, y) = (LEFT - 8.0, self.y(10_f64.powi(power)) + 4.0);
            let label = short(10_u64.saturating_pow(power.max(0) as u32));
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{label}</text>"
            );
        }
        for nines in 0..=NINES as i32 {
            let (x, y) = (Self::x(nines.into()), bottom + 20.0);
            let label = match nines {
                0 => "0 %".to_owned(),
                _ => format!("{} %", 100.0 - 10_f64.powi(2 - nines)),
            };
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{label}</text>"
            );
        }
    }

    fn line(&self, svg: &mut String, name: &str, colour: &str, latencies: &Histogram<u64>) {
        svg.push_str("<polyline fill=\"none\" stroke-width=\"2\" points=\"");
        let mut end = (0.0, 0.0);
        // Not further right than there are requests to tell.
        let most = (latencies.len() as f64).log10().min(NINES);
        for point in 0..=POINTS * NINES as u32 {
            let nines = f64::from(point) / f64::from(POINTS);
            if nines > most {
                break;
            }
            let nanos = latencies.value_at_quantile(quantile(nines).max(0.001));
            end = (Self::x(nines), self.y(nanos as f64));
            let _ = write!(svg, "{:.1},{:.1} ", end.0, end.1);
        }
        let _ = writeln!(svg, "\" stroke=\"{colour}\"/>");
        let (x, y) = (end.0 + 8.0, end.1 + 4.0);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\">{name}</text>"
        );
    }
}
