//! Charts as SVG, drawn by hand: no script, no library, and text that a screen reader finds.

use super::page::escape;
use super::{Curve, ReliabilityBin};

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
/// Left, right, top and bottom of the plot inside the picture.
const FRAME: (f64, f64, f64, f64) = (56.0, 16.0, 14.0, 42.0);

/// An axis from data to the plot.
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    from: f64,
    to: f64,
}

impl Axis {
    fn horizontal(low: f64, high: f64, logarithmic: bool) -> Self {
        Self { low, high, logarithmic, from: FRAME.0, to: WIDTH - FRAME.1 }
    }

    fn vertical(low: f64, high: f64) -> Self {
        Self { low, high, logarithmic: false, from: HEIGHT - FRAME.3, to: FRAME.2 }
    }

    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.logarithmic { value.max(1e-12).ln() } else { value };
        let (low, high) = (scale(self.low), scale(self.high));
        let share = if high > low { (scale(value) - low) / (high - low) } else { 0.5 };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Round numbers along the axis.
    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let powers = (self.low.log10().floor() as i32)..=(self.high.log10().ceil() as i32);
            let ticks = powers.map(|power| 10f64.powi(power));
            return ticks.filter(|tick| *tick >= self.low * 0.999 && *tick <= self.high * 1.001).collect();
        }
        let rough = (self.high - self.low) / 5.0;
        if rough <= 0.0 || !rough.is_finite() {
            return vec![self.low];
        }
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= rough).unwrap_or(rough);
        let first = (self.low / step).ceil() as i64;
        (first..)
            .map(|index| index as f64 * step)
            .take_while(|tick| *tick <= self.high + step * 1e-6)
            .take(20)
            .collect()
    }
}

fn picture(
    title: &str,
    x: &Axis,
    y: &Axis,
    names: (&str, &str),
    format: (fn(f64) -> String, fn(f64) -> String),
    inside: &str,
) -> String {
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\"><title>{}</title>",
        escape(title),
        escape(title)
    );
    for tick in y.ticks() {
        let place = y.place(tick);
        svg += &format!(
            "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{place:.1}\" y2=\"{place:.1}\"/><text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            x.from,
            x.to,
            x.from - 7.0,
            place + 4.0,
            format.1(tick)
        );
    }
    for tick in x.ticks() {
        let place = x.place(tick);
        svg += &format!(
            "<line class=\"grid\" x1=\"{place:.1}\" x2=\"{place:.1}\" y1=\"{}\" y2=\"{}\"/><text class=\"tick\" x=\"{place:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            y.from,
            y.to,
            HEIGHT - FRAME.3 + 17.0,
            format.0(tick)
        );
    }
    svg += &format!(
        "<text class=\"name\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text><text class=\"name\" transform=\"translate(13 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        (x.from + x.to) / 2.0,
        HEIGHT - 6.0,
        escape(names.0),
        (y.from + y.to) / 2.0,
        escape(names.1)
    );
    svg + inside + "</svg>"
}

/// A named point: its name, its place, and whether it is the one that ships.
pub(super) struct Point<'a> {
    pub(super) name: &'a str,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) ships: bool,
}

/// Named points over a logarithmic axis; accuracy upwards.
pub(super) fn scatter(title: &str, x_name: &str, x_format: fn(f64) -> String, points: &[Point]) -> String {
    let points: Vec<&Point> = points.iter().filter(|point| point.x > 0.0 && (point.x * point.y).is_finite()).collect();
    if points.is_empty() {
        return String::new();
    }
    let (low_x, high_x) = range(points.iter().map(|point| point.x));
    let (low_y, high_y) = range(points.iter().map(|point| 100.0 * point.y));
    // Whole powers of ten at both ends, so that there are ticks to read.
    let x = Axis::horizontal(10f64.powf(low_x.log10().floor()), 10f64.powf((high_x * 1.01).log10().ceil()), true);
    let margin = ((high_y - low_y) * 0.15).max(0.5);
    let y = Axis::vertical((low_y - margin).max(0.0), (high_y + margin).min(100.5));
    let mut inside = String::new();
    let mut labels: Vec<(f64, f64, f64)> = Vec::new();
    for point in &points {
        let (left, top) = (x.place(point.x), y.place(100.0 * point.y));
        let class = if point.ships { "ships" } else { "dot" };
        inside += &format!(
            "<circle class=\"{class}\" cx=\"{left:.1}\" cy=\"{top:.1}\" r=\"{}\"/>",
            if point.ships { 6 } else { 4 }
        );
        let length = 6.4 * point.name.chars().count() as f64;
        let is_right = left + length + 12.0 > WIDTH - FRAME.1;
        let start = if is_right { left - 9.0 - length } else { left + 9.0 };
        // The nearest line for the name that no earlier name stands on.
        let offsets = [4.0, -10.0, 18.0, -24.0, 32.0, -38.0, 46.0];
        let fits = |offset: &&f64| {
            labels.iter().all(|&(a, b, line)| (line - (top + **offset)).abs() > 12.0 || start > b || start + length < a)
        };
        let line = top + offsets.iter().find(fits).copied().unwrap_or(4.0);
        labels.push((start, start + length, line));
        let (anchor, at) = if is_right { ("end", left - 9.0) } else { ("start", left + 9.0) };
        inside += &format!(
            "<text class=\"label\" x=\"{at:.1}\" y=\"{line:.1}\" text-anchor=\"{anchor}\">{}</text>",
            escape(point.name)
        );
    }
    picture(title, &x, &y, (x_name, "accuracy, %"), (x_format, |tick| format!("{tick:.0}")), &inside)
}

/// A run's loss over its steps.
pub(super) fn loss(curve: &Curve) -> String {
    let points = || curve.losses.iter().filter(|(_, loss)| loss.is_finite());
    if points().count() < 2 {
        return String::new();
    }
    let (_, last) = range(points().map(|(step, _)| *step as f64));
    let (low, high) = range(points().map(|(_, loss)| *loss));
    let (x, y) = (Axis::horizontal(0.0, last, false), Axis::vertical((low * 0.95).min(low), high));
    let path: Vec<String> =
        points().map(|(step, loss)| format!("{:.1},{:.1}", x.place(*step as f64), y.place(*loss))).collect();
    let inside = format!("<polyline class=\"curve\" points=\"{}\"/>", path.join(" "));
    let title = format!("Loss of {}", curve.name);
    picture(&title, &x, &y, ("step", "loss"), (|tick| format!("{tick:.0}"), |tick| format!("{tick:.2}")), &inside)
}

/// Confidence against accuracy, before and after the temperature; on the diagonal confidence can be believed.
pub(super) fn reliability(before: &[ReliabilityBin], after: &[ReliabilityBin]) -> String {
    if after.is_empty() {
        return String::new();
    }
    let (x, y) = (Axis::horizontal(0.0, 1.0, false), Axis::vertical(0.0, 1.0));
    let mut inside = format!(
        "<line class=\"ideal\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        x.place(0.0),
        y.place(0.0),
        x.place(1.0),
        y.place(1.0)
    );
    for (class, bins) in [("before", before), ("curve", after)] {
        let points: Vec<String> = bins
            .iter()
            .filter(|bin| bin.confidence.is_finite() && bin.accuracy.is_finite())
            .map(|bin| format!("{:.1},{:.1}", x.place(bin.confidence), y.place(bin.accuracy)))
            .collect();
        inside += &format!("<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }
    let share = |tick: f64| format!("{tick:.1}");
    picture("Confidence against accuracy", &x, &y, ("confidence", "share that is right"), (share, share), &inside)
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}
