//! Whether confidences can be taken at their word: accuracy against confidence, before and after the temperature.

use crate::report::number::{count, fixed, percent};
use crate::report::{ReliabilityBin, Report};

use super::scale::Scale;
use super::svg::{Drawing, WIDTH};

const LEFT: f64 = 44.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 340.0;

/// The drawing with what was set on validation texts beside it; empty where neither is there.
pub(super) fn figures(report: &Report) -> String {
    let drawing = figure(report).unwrap_or_default();
    drawing + &thresholds(report)
}

fn figure(report: &Report) -> Option<String> {
    let (before, after) = (finite(&report.reliability.before), finite(&report.reliability.after));
    if before.is_empty() && after.is_empty() {
        return None;
    }
    let right = WIDTH - 12.0;
    // Confidences of a good model crowd at the top: the lower part is left out where nothing stands in it.
    let all = before.iter().chain(&after).flat_map(|bin| [bin.confidence, bin.accuracy]);
    let least = all.fold(1.0, f64::min);
    let low = if least > 0.55 { 0.5 } else { 0.0 };
    let horizontal = Scale::linear([low, 1.0], 5, (LEFT, right));
    let vertical = Scale::linear([low, 1.0], 5, (BOTTOM, TOP));
    let (error_before, error_after) = (calibration_error(&before), calibration_error(&after));
    let description = format!(
        "Mean distance of confidence and accuracy: {} before, {} after.",
        fixed(error_before, 3),
        fixed(error_after, 3)
    );
    let mut drawing = Drawing::new(BOTTOM + 42.0, "Accuracy against confidence", &description);
    let show = |tick: f64| fixed(tick * 100.0, 0);
    drawing.vertical(&vertical, (LEFT, right), "answers that are right, %", show);
    drawing.horizontal(&horizontal, (LEFT, right), BOTTOM, "confidence, %", show);
    let corner = |share: f64| (horizontal.place(share), vertical.place(share));
    drawing.line("ideal", corner(low), corner(1.0));
    for (class, bins) in [("before", &before), ("after", &after)] {
        let place = |bin: &ReliabilityBin| (horizontal.place(bin.confidence), vertical.place(bin.accuracy));
        let places: Vec<(f64, f64)> = bins.iter().map(place).collect();
        drawing.path(&format!("curve {class}"), &places);
        for (at, bin) in places.iter().zip(bins) {
            let hint = format!(
                "{class}: {} % sure, {} % right, {} answers",
                percent(bin.confidence),
                percent(bin.accuracy),
                count(bin.count as u64)
            );
            drawing.dot(&format!("point {class}"), *at, 3.4, &hint);
        }
    }
    let legend = [("before", "as trained", &before), ("after", "with the temperature", &after)];
    let mut y = BOTTOM - 32.0;
    for (class, name, _) in legend.iter().filter(|entry| !entry.2.is_empty()) {
        let x = right - 164.0;
        drawing.line(&format!("curve {class}"), (x, y - 4.0), (x + 22.0, y - 4.0));
        drawing.dot(&format!("point {class}"), (x + 11.0, y - 4.0), 3.4, name);
        drawing.text("name", (x + 30.0, y), "start", name);
        y += 18.0;
    }
    let caption = format!(
        "<b>Reliability of what ships.</b> On the diagonal, “80 % sure” is right 80 times of 100. Mean distance from it: {} as trained, {} with the temperature.",
        fixed(error_before, 3),
        fixed(error_after, 3)
    );
    Some(drawing.figure(&caption))
}

fn thresholds(report: &Report) -> String {
    let Some(thresholds) = &report.thresholds else { return String::new() };
    let precision = percent(thresholds.precision).trim_end_matches(".0").to_owned();
    let mut text = format!(
        "<div class=\"prose\">\n<p>Scores are divided by a temperature of <b>{}</b>, fitted on validation texts.</p>\n",
        fixed(thresholds.temperature, 2)
    );
    match thresholds.threshold.filter(|threshold| threshold.is_finite()) {
        Some(threshold) => {
            text.push_str(&format!(
                "<p>Requests are answered without a person from a confidence of <b>{}\u{202f}%</b> on: the least that keeps the promised {precision}\u{202f}% of answers right.",
                percent(threshold)
            ));
            if let Some(share) = report.shipped().and_then(|row| row.containment).filter(|share| share.is_finite()) {
                let outside = report.data.out_of_scope_test;
                let included = if outside > 0 { ", those out of scope included" } else { "" };
                text.push_str(&format!(
                    " On the test texts that answers <b>{}\u{202f}%</b> of all requests{included}; the rest go to a person.",
                    percent(share)
                ));
            }
            if let Some(right) = report.shipped().and_then(|row| row.containment_precision).filter(|right| right.is_finite()) {
                text.push_str(&format!(" Of the answers given, {}\u{202f}% are right.", percent(right)));
            }
            if let Some(share) = rightly_answered(report).filter(|share| share.is_finite()) {
                text.push_str(&format!(
                    " Of the requests in scope, {}\u{202f}% are answered without a person, and rightly.",
                    percent(share)
                ));
            }
            text.push_str("</p>\n");
        }
        None => text.push_str(&format!(
            "<p class=\"bad\">No confidence keeps the promised {precision}\u{202f}% of answers right: every request goes to a person.</p>\n"
        )),
    }
    text + "</div>\n"
}

/// The share of the in-scope test texts that are answered without a person, and rightly; only an answer in scope is right.
fn rightly_answered(report: &Report) -> Option<f64> {
    let (shipped, data) = (report.shipped()?, &report.data);
    if data.out_of_scope_test == 0 {
        return None;
    }
    let all = (data.test + data.out_of_scope_test) as f64;
    Some(shipped.containment? * shipped.containment_precision? * all / data.test as f64)
}

fn finite(bins: &[ReliabilityBin]) -> Vec<ReliabilityBin> {
    bins.iter().filter(|bin| bin.confidence.is_finite() && bin.accuracy.is_finite()).copied().collect()
}

/// The mean distance of confidence and accuracy, by mass; not a number without an answer.
fn calibration_error(bins: &[ReliabilityBin]) -> f64 {
    let all: f64 = bins.iter().map(|bin| bin.count as f64).sum();
    bins.iter().map(|bin| bin.count as f64 * (bin.confidence - bin.accuracy).abs()).sum::<f64>() / all
}
