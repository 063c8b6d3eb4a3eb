//! Lines and points on two axes, as SVG.

use std::fmt::Write as _;

/// What is shown.
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
    /// A level that is not to be exceeded, and what it is called.
    pub(crate) goal: Option<(f64, String)>,
    /// A stretch of the horizontal axis, and what happens in it.
    pub(crate) band: Option<(f64, f64, String)>,
}

pub(crate) struct Axis {
    pub(crate) name: String,
    pub(crate) is_logarithmic: bool,
    /// What is shown at least.
    pub(crate) shows: Vec<f64>,
}

pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) has_line: bool,
    pub(crate) has_shapes: bool,
}

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 380.0;
/// Told apart by shade and by the shape of their points as well.
const COLOURS: [&str; 6] = [
    "#1c6e9c", "#b3450e", "#4d7a1f", "#6a3d9a", "#a8862b", "#555555",
];

impl Axis {
    pub(crate) fn new(name: &str, is_logarithmic: bool) -> Self {
        Self {
            name: name.into(),
            is_logarithmic,
            shows: Vec::new(),
        }
    }
}

impl Plot {
    pub(crate) fn to_svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        let points = || self.series.iter().flat_map(|it| &it.points);
        let xs = Scale::of(&self.x, points().map(|it| it.0), LEFT, RIGHT);
        let goal = self.goal.iter().map(|(level, _)| *level);
        let ys = Scale::of(&self.y, points().map(|it| it.1).chain(goal), BOTTOM, TOP);
        let middle = (LEFT + RIGHT) / 2.0;
        text(
            &mut svg,
            [middle, 20.0],
            "middle\" font-size=\"15",
            &self.title,
        );
        if let Some((from, to, name)) = &self.band {
            let (from, to) = (xs.place(*from), xs.place(*to));
            let _ = writeln!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#f3ecd8\"/>",
                to - from,
                BOTTOM - TOP
            );
            text(&mut svg, [(from + to) / 2.0, BOTTOM - 8.0], "middle", name);
        }
        for at in ys.marks() {
            let y = ys.place(at);
            line(&mut svg, [LEFT, y, RIGHT, y], "#ddd");
            text(&mut svg, [LEFT - 8.0, y + 4.0], "end", &number(at));
        }
        for at in xs.marks() {
            let x = xs.place(at);
            line(&mut svg, [x, BOTTOM, x, BOTTOM + 5.0], "#222");
            text(&mut svg, [x, BOTTOM + 20.0], "middle", &number(at));
        }
        line(&mut svg, [LEFT, TOP, LEFT, BOTTOM], "#222");
        line(&mut svg, [LEFT, BOTTOM, RIGHT, BOTTOM], "#222");
        text(&mut svg, [middle, BOTTOM + 44.0], "middle", &self.x.name);
        text(
            &mut svg,
            [LEFT - 8.0, TOP - 12.0],
            "start\" dx=\"-50",
            &self.y.name,
        );
        if let Some((level, name)) = &self.goal {
            let y = ys.place(*level);
            line(
                &mut svg,
                [LEFT, y, RIGHT, y],
                "#c00\" stroke-dasharray=\"6 4",
            );
            text(
                &mut svg,
                [RIGHT + 8.0, y + 4.0],
                "start\" fill=\"#c00",
                name,
            );
        }
        for (at, series) in self.series.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let places: Vec<_> = (series.points.iter())
                .map(|(x, y)| (xs.place(*x), ys.place(*y)))
                .collect();
            if series.has_line {
                let path: Vec<_> = places
                    .iter()
                    .map(|(x, y)| format!("{x:.1},{y:.1}"))
                    .collect();
                let _ = writeln!(
                    svg,
                    "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                    path.join(" ")
                );
            }
            let y = TOP + 10.0 + 22.0 * at as f64;
            if series.has_shapes {
                for place in &places {
                    shape(&mut svg, at, *place, colour);
                }
                shape(&mut svg, at, (RIGHT + 24.0, y), colour);
            } else {
                let sample = [RIGHT + 14.0, y, RIGHT + 32.0, y];
                line(&mut svg, sample, &format!("{colour}\" stroke-width=\"2"));
            }
            text(&mut svg, [RIGHT + 36.0, y + 4.0], "start", &series.name);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

struct Scale {
    is_logarithmic: bool,
    first: f64,
    last: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn of(axis: &Axis, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let values: Vec<f64> = values.chain(axis.shows.iter().copied()).collect();
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (first, last) = if axis.is_logarithmic {
            let first = lowest.max(1e-9).log10().floor();
            (first, highest.max(1e-9).log10().ceil().max(first + 1.0))
        } else {
            let step = step(highest - lowest.min(0.0));
            (lowest.min(0.0), (highest / step).ceil() * step)
        };
        Self {
            is_logarithmic: axis.is_logarithmic,
            first,
            last,
            from,
            to,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic {
            value.max(1e-9).log10()
        } else {
            value
        };
        self.from + (value - self.first) / (self.last - self.first) * (self.to - self.from)
    }

    fn marks(&self) -> Vec<f64> {
        if self.is_logarithmic {
            let decades = self.first as i32..=self.last as i32;
            return decades.map(|decade| 10_f64.powi(decade)).collect();
        }
        let step = step(self.last - self.first);
        let count = ((self.last - self.first) / step).round() as u32;
        (0..=count)
            .map(|at| self.first + f64::from(at) * step)
            .collect()
    }
}

/// A round number of which some five fit.
fn step(range: f64) -> f64 {
    let rough = (range / 5.0).max(1e-9);
    let decade = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .find(|it| it * decade >= rough);
    factor.unwrap_or(10.0) * decade
}

fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if value >= 10_000.0 {
        format!("{}k", value / 1000.0)
    } else {
        text.into()
    }
}

fn shape(svg: &mut String, at: usize, (x, y): (f64, f64), colour: &str) {
    let _ = match at % 4 {
        0 => writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>"
        ),
        1 => {
            let (x, y) = (x - 4.0, y - 4.0);
            writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"8\" height=\"8\" fill=\"{colour}\"/>"
            )
        }
        2 => writeln!(
            svg,
            "<path d=\"M{x:.1} {:.1}l5 9h-10z\" fill=\"{colour}\"/>",
            y - 5.0
        ),
        _ => writeln!(
            svg,
            "<path d=\"M{x:.1} {:.1}l5 5l-5 5l-5-5z\" fill=\"{colour}\"/>",
            y - 5.0
        ),
    };
}

fn line(svg: &mut String, [x1, y1, x2, y2]: [f64; 4], colour: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
    );
}

/// `anchor` may go on with other attributes.
fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}
