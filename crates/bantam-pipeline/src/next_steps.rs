//! What the figures of a run say should be tried next.

use std::path::Path;

use crate::report::{Report, Standing};

/// Below this many training texts per label, more of them help most.
const FEW_PER_LABEL: usize = 40;

/// Steps for the person who made the bundle, the first to talk to it. `threshold` is the bundle's, if any confidence kept
/// the promise.
pub(crate) fn of(report: &Report, threshold: Option<f32>, bundle: &Path) -> Vec<String> {
    let bundle = bundle.display();
    let mut steps = vec![format!("Talk to it: `bantam chat {bundle}`, or on a page: `bantam serve {bundle}`")];
    steps.extend(against_baseline(report));
    if let Some(pair) = report.confusions.first() {
        steps.push(format!(
            "`{}` was taken for `{}` in {} of {} test texts: read the examples, and merge the labels or write texts that tell them apart.",
            pair.truth, pair.answer, pair.count, pair.of
        ));
    }
    let per_label = report.data.train / report.data.labels.max(1);
    if per_label < FEW_PER_LABEL {
        steps.push(format!("There are about {per_label} training texts per label; more of them help most."));
    }
    if report.data.unlabelled == 0 {
        steps.push(
            "Give unlabelled texts of your domain (data.unlabelled): the student learns from them, too.".to_owned(),
        );
    }
    if report.rows.iter().all(|row| row.out_of_scope_auroc.is_none()) {
        steps.push("Give requests that belong to no label (data.out_of_scope_train and _test), so that it learns to hand over.".to_owned());
    }
    if threshold.is_none() {
        steps.push(
            "No confidence keeps the promised precision: lower evaluate.quality.precision, or give more data."
                .to_owned(),
        );
    }
    steps
}

/// What to do where the bundle is not better than its trivial baseline: it depends on whether its teacher is.
fn against_baseline(report: &Report) -> Option<String> {
    let (name, best) = report.baseline().map(|row| (&row.name, row.accuracy))?;
    let teacher_wins = report.teacher().is_some_and(|teacher| teacher.accuracy > best);
    let learn = if teacher_wins {
        "its teacher does better, so let the student learn longer (student.training.epochs) or be larger (student.model and student.prune)"
    } else {
        "its teacher does no better, so let it learn longer (teacher.training.epochs) or answer together with a linear model (teacher.with_linear = true)"
    };
    match report.standing() {
        Standing::Loses => {
            Some(format!("Before you ship it, make it better than {name}: {learn}, and give more texts."))
        }
        Standing::Level if best >= 1.0 => Some(format!(
            "Nothing is left to tell it from {name}, which answers all test texts right: give more of them, and harder ones."
        )),
        Standing::Level => Some(format!(
            "Whether it is better than {name} these {} test texts cannot tell: give more of them. To make it better: {learn}.",
            report.data.test
        )),
        Standing::Wins | Standing::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn steps(accuracy: f64, teacher: f64) -> String {
        let mut report = sample::report();
        report.rows[2].accuracy = teacher;
        let shipped = report.rows.last_mut().unwrap();
        (shipped.accuracy, shipped.accuracy_low, shipped.accuracy_high) = (accuracy, accuracy - 0.01, accuracy + 0.01);
        of(&report, Some(0.5), Path::new("a.bantam")).join("\n")
    }

    #[test]
    fn a_loss_says_what_to_do_and_where() {
        // The best baseline is right in 91.2 %.
        assert!(!steps(0.95, 0.96).contains("TF-IDF"));
        let loses = steps(0.85, 0.948);
        assert!(loses.contains("Before you ship it") && loses.contains("student.training.epochs"), "{loses}");
        let both = steps(0.85, 0.87);
        assert!(both.contains("teacher.with_linear = true") && !both.contains("student.training"), "{both}");
        let level = steps(0.905, 0.948);
        assert!(level.contains("these 1560 test texts cannot tell"), "{level}");
        let mut perfect = sample::report();
        perfect.rows.iter_mut().for_each(|row| row.accuracy = 1.0);
        let perfect = of(&perfect, Some(0.5), Path::new("a.bantam")).join("\n");
        assert!(perfect.contains("harder ones") && !perfect.contains("epochs"), "{perfect}");
        assert!(loses.starts_with("Talk to it: `bantam chat a.bantam`"), "{loses}");
    }
}
