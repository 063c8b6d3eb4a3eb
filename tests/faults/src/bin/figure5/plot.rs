//! Two lines over time, on a logarithmic scale, as SVG.

use std::fmt::Write as _;
use std::time::Duration;

/// What is shown.
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) x: String,
    pub(crate) series: [Series; 2],
    /// Below it.
    pub(crate) notes: Vec<String>,
}

/// A line.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<Duration>,
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 840.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 360.0;
/// Told apart by shape and shade as well.
const COLOURS: [&str; 2] = ["#b3450e", "#1c6e9c"];

impl Plot {
    pub(crate) fn to_svg(&self) -> String {
        let height = BOTTOM + 70.0 + 18.0 * self.notes.len() as f64;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        text(
            &mut svg,
            WIDTH / 2.0,
            28.0,
            "middle\" font-size=\"15",
            &self.title,
        );
        let scale = Scale::of(self.series.iter().flat_map(|it| &it.points));
        for decade in scale.first..=scale.last {
            let y = scale.y(10_f64.powi(decade));
            line(&mut svg, [LEFT, y, RIGHT, y], "#ddd");
            let label = format!("{} ms", 10_f64.powi(decade));
            text(&mut svg, LEFT - 8.0, y + 4.0, "end", &label);
        }
        line(&mut svg, [LEFT, TOP, LEFT, BOTTOM], "#222");
        line(&mut svg, [LEFT, BOTTOM, RIGHT, BOTTOM], "#222");
        text(
            &mut svg,
            (LEFT + RIGHT) / 2.0,
            BOTTOM + 40.0,
            "middle",
            &self.x,
        );
        for (series, colour) in self.series.iter().zip(COLOURS) {
            series.draw(&mut svg, &scale, colour);
        }
        for (index, note) in self.notes.iter().enumerate() {
            let y = BOTTOM + 66.0 + 18.0 * index as f64;
            text(&mut svg, LEFT, y, "start\" fill=\"#555", note);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Series {
    fn draw(&self, svg: &mut String, scale: &Scale, colour: &str) {
        let step = (RIGHT - LEFT) / self.points.len().max(1) as f64;
        let points: Vec<_> = (self.points.iter().enumerate())
            .map(|(index, point)| (LEFT + step * (index as f64 + 0.5), scale.y(millis(point))))
            .collect();
        let path: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for (x, y) in &points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
        let mut sorted = self.points.clone();
        sorted.sort_unstable();
        let highest = points.iter().map(|(_, y)| *y).fold(BOTTOM, f64::min);
        if let Some(median) = sorted.get(sorted.len() / 2) {
            let label = format!("{}: median {:.3} ms", self.name, millis(median));
            let at = format!("start\" font-weight=\"bold\" fill=\"{colour}");
            text(
                svg,
                LEFT + 12.0,
                (highest - 10.0).max(TOP - 8.0),
                &at,
                &label,
            );
        }
    }
}

/// Whole decades of milliseconds.
struct Scale {
    first: i32,
    last: i32,
}

impl Scale {
    fn of<'a>(points: impl Iterator<Item = &'a Duration>) -> Self {
        let logarithms: Vec<_> = points.map(|point| millis(point).log10()).collect();
        let lowest = logarithms.iter().copied().fold(0.0, f64::min);
        let highest = logarithms.iter().copied().fold(0.0, f64::max);
        Self {
            first: lowest.floor() as i32,
            // Room for a line's name above it.
            last: (highest + 0.3).ceil() as i32,
        }
    }

    fn y(&self, millis: f64) -> f64 {
        let decades = f64::from(self.last - self.first).max(1.0);
        BOTTOM - (millis.log10() - f64::from(self.first)) / decades * (BOTTOM - TOP)
    }
}

fn millis(duration: &Duration) -> f64 {
    // The scale has no place for nothing.
    duration.as_secs_f64().max(1e-7) * 1e3
}

fn line(svg: &mut String, [x1, y1, x2, y2]: [f64; 4], colour: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
    );
}

/// `anchor` may go on with other attributes.
fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}
