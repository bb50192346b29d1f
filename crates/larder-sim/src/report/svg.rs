//! A chart of ratios over capacities, as SVG inside a page.
//!
//! Colours are classes, which the page's style gives for light and dark. Points carry titles,
//! which browsers show, so nothing needs a script.

use std::fmt::Write as _;

use super::{capacity, grouped};
use crate::size::bytes;
use crate::{Contender, Outcome, Results, Unit};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 430.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 742.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 374.0;

/// The least distance between two names at the right edge.
const NAME_HEIGHT: f64 = 15.0;

/// How many capacities are written below the chart, about.
const TICKS: usize = 8;

/// The chart of one ratio; empty where there is nothing to draw.
pub(super) fn chart(results: &Results, title: &str, ratio: impl Fn(&Outcome) -> f64) -> String {
    let mut rows: Vec<_> = results.rows.iter().collect();
    rows.sort_by_key(|row| row.capacity);
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return String::new() };
    let across = Scale::new(first.capacity, last.capacity);
    let ratios = || rows.iter().flat_map(|row| row.outcomes.iter().map(&ratio));
    let top = (ratios().fold(0.0, f64::max) * 10.0).ceil().clamp(1.0, 10.0) / 10.0;
    let down = |ratio: f64| BOTTOM - ratio / top * (BOTTOM - TOP);

    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n");
    frame(&mut svg, top, first.unit, &across);
    let mut names = Vec::new();
    // The first named is drawn last, above the others.
    for (column, contender) in results.contenders.iter().enumerate().rev() {
        let points: Vec<_> = rows
            .iter()
            .map(|row| (across.place(row.capacity), down(ratio(&row.outcomes[column]))))
            .collect();
        let line: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let class = class(*contender, column);
        let _ = writeln!(svg, "<g class=\"{class}\"><polyline points=\"{}\"/>", line.join(" "));
        for ((x, y), row) in points.iter().zip(&rows) {
            let outcome = &row.outcomes[column];
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"><title>{contender}, {}: {:.1} %\
                 </title></circle>",
                capacity(row),
                ratio(outcome) * 100.0
            );
        }
        svg.push_str("</g>\n");
        names.push((points.last().map_or(BOTTOM, |point| point.1), contender, class));
    }
    // Names at one height stay in the order that was asked for.
    names.reverse();
    apart(&mut names);
    for (y, contender, class) in names {
        let _ = writeln!(
            svg,
            "<text class=\"name {class}\" x=\"{:.1}\" y=\"{:.1}\">{contender}</text>",
            RIGHT + 46.0,
            y + 4.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// The class of a contender's colour, by its place.
pub(super) fn class(contender: Contender, column: usize) -> String {
    match contender {
        Contender::Belady => "best".to_owned(),
        Contender::Policy(_) => format!("c{}", column % 10),
    }
}

/// Lines and numbers behind the curves: hits on the left, misses on the right.
fn frame(svg: &mut String, top: f64, unit: Unit, across: &Scale) {
    let step = if top > 0.5 { 0.2 } else { 0.1 };
    let steps = (top / step + 0.01) as u32;
    for ratio in (0..=steps).map(|at| f64::from(at) * step) {
        let y = BOTTOM - ratio / top * (BOTTOM - TOP);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{:.0}</text>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{:.0}</text>",
            LEFT - 8.0,
            y + 4.0,
            ratio * 100.0,
            RIGHT + 8.0,
            y + 4.0,
            100.0 - ratio * 100.0,
        );
    }
    for (x, capacity) in across.ticks() {
        let text = match unit {
            Unit::Entries => grouped(capacity),
            Unit::Bytes => bytes(capacity),
        };
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{BOTTOM}\" y2=\"{:.1}\"/>\
             <text class=\"tick middle\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>",
            BOTTOM + 5.0,
            BOTTOM + 20.0,
        );
    }
    let what = match unit {
        Unit::Entries => "entries",
        Unit::Bytes => "bytes",
    };
    let _ = writeln!(
        svg,
        "<text class=\"tick end\" x=\"{:.1}\" y=\"{y:.1}\">hit %</text>\
         <text class=\"tick\" x=\"{:.1}\" y=\"{y:.1}\">miss %</text>\
         <text class=\"tick middle\" x=\"{:.1}\" y=\"{:.1}\">size of the cache, {what}</text>",
        LEFT - 8.0,
        RIGHT + 8.0,
        (LEFT + RIGHT) / 2.0,
        BOTTOM + 44.0,
        y = TOP - 16.0,
    );
}

/// Moves names apart that would stand on each other.
fn apart<T>(names: &mut [(f64, T, String)]) {
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut below = TOP;
    for name in names.iter_mut() {
        name.0 = name.0.max(below);
        below = name.0 + NAME_HEIGHT;
    }
    let mut above = HEIGHT - NAME_HEIGHT;
    for name in names.iter_mut().rev() {
        name.0 = name.0.min(above);
        above = name.0 - NAME_HEIGHT;
    }
}

/// Capacities on a logarithmic scale.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    fn new(least: u64, most: u64) -> Self {
        let log = |capacity: u64| (capacity.max(1) as f64).ln();
        Self { least: log(least), most: log(most) }
    }

    fn place(&self, capacity: u64) -> f64 {
        let span = self.most - self.least;
        if span <= 0.0 {
            return (LEFT + RIGHT) / 2.0;
        }
        let part = ((capacity.max(1) as f64).ln() - self.least) / span;
        LEFT + part * (RIGHT - LEFT)
    }

    /// Round capacities, few enough to be read, and their places.
    fn ticks(&self) -> Vec<(f64, u64)> {
        let within = |capacity: &u64| {
            let log = (*capacity as f64).ln();
            log >= self.least - 1e-9 && log <= self.most + 1e-9
        };
        let powers = || (0..19).map(|power| 10_u64.pow(power));
        let round = |parts: &[u64]| -> Vec<u64> {
            let all = powers().flat_map(|power| parts.iter().map(move |part| part * power));
            all.filter(within).collect()
        };
        let mut ticks = round(&[1]);
        for parts in [&[1, 3][..], &[1, 2, 5]] {
            let more = round(parts);
            if more.len() <= TICKS {
                ticks = more;
            }
        }
        ticks.into_iter().map(|capacity| (self.place(capacity), capacity)).collect()
    }
}
