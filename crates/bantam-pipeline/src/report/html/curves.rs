//! Training over its steps: the loss above, the quality on validation texts below, on one axis of steps.

use crate::report::number::{fixed, significant};
use crate::report::{Curve, Report};

use super::escape::escape;
use super::scale::Scale;
use super::svg::{Drawing, WIDTH};

const LEFT: f64 = 40.0;
const TOP: f64 = 34.0;
const LOSS_BOTTOM: f64 = 160.0;
const VALIDATION_TOP: f64 = 204.0;
const VALIDATION_BOTTOM: f64 = 274.0;
/// Places that a curve is drawn through; more would be thinner than a line.
const DRAWN: usize = 180;

/// One drawing per curve that has anything to show.
pub(super) fn figures(report: &Report) -> String {
    report.curves.iter().filter_map(figure).collect()
}

fn figure(curve: &Curve) -> Option<String> {
    let losses = thinned(&curve.losses);
    let validations = Validation::of(&finite(&curve.validations));
    if losses.len() < 2 && validations.points.is_empty() {
        return None;
    }
    let bottom = if validations.points.is_empty() { LOSS_BOTTOM } else { VALIDATION_BOTTOM };
    let right = WIDTH - 14.0;
    let steps = losses.iter().chain(&validations.points).map(|point| point.0);
    let last = steps.fold(1.0, f64::max);
    let horizontal = Scale::linear([0.0, last], 4, (LEFT, right));
    let title = if curve.name.is_empty() { &curve.stage } else { &curve.name };
    let mut drawing = Drawing::new(bottom + 42.0, title, &description(&losses, &validations));
    let draw = |drawing: &mut Drawing, points: &[(f64, f64)], scale: &Scale, name: &str, class: &str| {
        let decimals = scale.decimals(1.0);
        drawing.vertical(scale, (LEFT, right), name, |tick| fixed(tick, decimals));
        let places: Vec<(f64, f64)> = points.iter().map(|(x, y)| (horizontal.place(*x), scale.place(*y))).collect();
        drawing.path(class, &places);
        places
    };
    if !losses.is_empty() {
        let scale = Scale::linear(losses.iter().map(|point| point.1).chain([0.0]), 4, (LOSS_BOTTOM, TOP));
        draw(&mut drawing, &losses, &scale, "training loss", "curve loss");
    }
    if !validations.points.is_empty() {
        let scale =
            Scale::linear(validations.points.iter().map(|point| point.1), 3, (VALIDATION_BOTTOM, VALIDATION_TOP));
        let places = draw(&mut drawing, &validations.points, &scale, validations.name, "curve validation");
        for (place, (step, value)) in places.iter().zip(&validations.points) {
            drawing.dot("point validation", *place, 2.6, &format!("step {}: {}", fixed(*step, 0), significant(*value)));
        }
    }
    drawing.horizontal(&horizontal, (LEFT, right), bottom, "steps", |tick| fixed(tick, 0));
    let mut caption = format!("<b>{}.</b>", escape(&capitalised(title)));
    if let Some((_, loss)) = losses.last() {
        caption.push_str(&format!(" Loss at the end: {}.", significant(*loss)));
    }
    if let Some((_, value)) = validations.points.last() {
        caption.push_str(&format!(
            " On validation texts: {} {}{}.",
            validations.word,
            significant(*value),
            validations.unit
        ));
    }
    Some(drawing.figure(&caption))
}

/// What was measured on validation texts. Trainers want more of it, so that a loss comes with its sign turned.
struct Validation {
    name: &'static str,
    word: &'static str,
    unit: &'static str,
    points: Vec<(f64, f64)>,
}

impl Validation {
    fn of(points: &[(f64, f64)]) -> Self {
        let with = |name, word, unit, factor: f64| Self {
            name,
            word,
            unit,
            points: points.iter().map(|(step, value)| (*step, factor * value)).collect(),
        };
        let all_in = |low: f64, high: f64| points.iter().all(|(_, value)| (low..=high).contains(value));
        if all_in(0.0, 1.0) {
            with("accuracy on validation texts, %", "accuracy", " %", 100.0)
        } else if all_in(f64::NEG_INFINITY, 0.0) {
            with("loss on validation texts", "loss", "", -1.0)
        } else {
            with("quality on validation texts", "quality", "", 1.0)
        }
    }
}

fn description(losses: &[(f64, f64)], validations: &Validation) -> String {
    let ends = |points: &[(f64, f64)]| Some((points.first()?.1, points.last()?.1));
    let mut text = String::new();
    if let Some((first, last)) = ends(losses) {
        text.push_str(&format!("The loss goes from {} to {}. ", significant(first), significant(last)));
    }
    if let Some((first, last)) = ends(&validations.points) {
        let (word, unit) = (validations.word, validations.unit);
        let (first, last) = (significant(first), significant(last));
        text.push_str(&format!("The {word} on validation texts goes from {first}{unit} to {last}{unit}."));
    }
    text
}

fn finite(points: &[(usize, f64)]) -> Vec<(f64, f64)> {
    points.iter().filter(|point| point.1.is_finite()).map(|(step, value)| (*step as f64, *value)).collect()
}

/// The finite points, neighbours averaged so that few remain.
fn thinned(points: &[(usize, f64)]) -> Vec<(f64, f64)> {
    let points = finite(points);
    let size = points.len().div_ceil(DRAWN).max(1);
    let mean = |part: &[(f64, f64)]| {
        let sum = part.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / part.len() as f64, sum.1 / part.len() as f64)
    };
    points.chunks(size).map(mean).collect()
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
