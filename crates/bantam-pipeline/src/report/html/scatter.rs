//! Quality against what it costs: every model as a point, its interval as a line, the way from teacher to bundle drawn.

use crate::report::number::{bytes, microseconds, percent};
use crate::report::{Report, Role, Row};

use super::escape::{escape, shortened};
use super::labels::{Area, arrange};
use super::scale::Scale;
use super::svg::{Drawing, WIDTH};

const HEIGHT: f64 = 330.0;
const LEFT: f64 = 36.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = HEIGHT - 42.0;
/// Models this much worse than the best would press the others together; the caption names them instead.
const FAR_BELOW: f64 = 0.2;

/// Characters of a name that are shown; the hint has all.
const SHOWN: usize = 26;

/// What is drawn to the right.
struct Axis {
    name: &'static str,
    title: &'static str,
    value: fn(&Row) -> f64,
    show: fn(f64) -> String,
}

const AXES: [Axis; 2] = [
    Axis {
        name: "size, logarithmic",
        title: "Accuracy against size",
        value: |row| row.bytes as f64,
        show: |value| bytes(value as u64),
    },
    Axis {
        name: "latency p50, logarithmic",
        title: "Accuracy against latency",
        value: |row| row.latency_p50_microseconds,
        show: microseconds,
    },
];

/// Both drawings; empty where nothing can be drawn.
pub(super) fn figures(report: &Report) -> String {
    AXES.iter().filter_map(|axis| figure(report, axis)).collect()
}

fn figure(report: &Report, axis: &Axis) -> Option<String> {
    let drawable = |row: &&Row| row.accuracy.is_finite() && (axis.value)(row).is_finite() && (axis.value)(row) > 0.0;
    let rows: Vec<&Row> = report.rows.iter().filter(drawable).collect();
    let best = rows.iter().map(|row| row.accuracy).fold(f64::NEG_INFINITY, f64::max);
    let (near, far): (Vec<&Row>, Vec<&Row>) = rows.into_iter().partition(|row| row.accuracy >= best - FAR_BELOW);
    if near.is_empty() {
        return None;
    }
    let right = WIDTH - 14.0;
    let ends = near.iter().flat_map(|row| [row.accuracy, row.accuracy_low, row.accuracy_high]);
    let vertical = Scale::linear(ends, 5, (BOTTOM, TOP));
    let horizontal = Scale::log(near.iter().map(|row| (axis.value)(row)), (LEFT, right));
    let spoken: Vec<String> = near.iter().map(|row| hint(row, axis)).collect();
    let mut drawing = Drawing::new(HEIGHT, axis.title, &format!("{}.", spoken.join("; ")));
    let decimals = vertical.decimals(100.0);
    drawing.vertical(&vertical, (LEFT, right), "accuracy, %", |tick| format!("{:.decimals$}", tick * 100.0));
    drawing.horizontal(&horizontal, (LEFT, right), BOTTOM, axis.name, |tick| (axis.show)(tick).replace(".0 ", " "));

    let at = |row: &Row| (horizontal.place((axis.value)(row)), vertical.place(row.accuracy));
    let mut obstacles: Vec<Area> = Vec::new();
    for row in near.iter().filter(|row| row.accuracy_low.is_finite() && row.accuracy_high.is_finite()) {
        let (x, low, high) = (at(row).0, vertical.place(row.accuracy_low), vertical.place(row.accuracy_high));
        drawing.line(&format!("interval {}", row.role.word()), (x, low), (x, high));
        obstacles.push([x - 2.0, high, x + 2.0, low]);
    }
    let way: Vec<(f64, f64)> = near.iter().filter(|row| row.role != Role::Baseline).map(|row| at(row)).collect();
    drawing.path("way", &way);
    for pair in way.windows(2) {
        let between = |share: f64| {
            let (x, y) = (pair[0].0 + share * (pair[1].0 - pair[0].0), pair[0].1 + share * (pair[1].1 - pair[0].1));
            [x - 3.0, y - 3.0, x + 3.0, y + 3.0]
        };
        obstacles.extend((1..20).map(|part| between(f64::from(part) / 20.0)));
    }
    // What ships is named first, so that it gets the best place.
    let order: Vec<&Row> = near.iter().rev().copied().collect();
    let names: Vec<String> = order.iter().map(|row| shortened(&row.name, SHOWN)).collect();
    let named: Vec<((f64, f64), &str)> = order.iter().zip(&names).map(|(row, name)| (at(row), name.as_str())).collect();
    let places = arrange(&named, &obstacles, [LEFT, 16.0, right, BOTTOM - 2.0]);
    for (row, place) in order.iter().zip(&places) {
        if let Some(end) = place.leader {
            drawing.line("leader", at(row), end);
        }
    }
    for ((row, name), place) in order.iter().zip(&names).zip(&places) {
        let radius = if row.role == Role::Bundle { 6.0 } else { 4.5 };
        drawing.dot(&format!("mark {}", row.role.word()), at(row), radius, &hint(row, axis));
        drawing.text(&format!("name {}", row.role.word()), place.at, "start", name);
    }
    Some(drawing.figure(&caption(axis, &far)))
}

fn hint(row: &Row, axis: &Axis) -> String {
    format!("{}: {} % at {}", row.name, percent(row.accuracy), (axis.show)((axis.value)(row)))
}

fn caption(axis: &Axis, far: &[&Row]) -> String {
    let mut caption = format!(
        "<b>{}.</b> Upper left is better. Vertical lines are 95 % intervals; the thin line leads from the teacher to what ships.",
        axis.title
    );
    for row in far {
        caption.push_str(&format!(" Below the drawing: {} ({} %).", escape(&row.name), percent(row.accuracy)));
    }
    caption
}
