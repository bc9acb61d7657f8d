//! What is settled on validation texts before the test texts are looked at.

use crate::{Classifier, EvaluationOptions, Examples, Outcomes, scores_of, temperature, thresholds};

/// How a classifier's scores become confidences, and which confidences are enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// The divisor of its scores, above 0.
    pub temperature: f64,
    /// The least confidence that is answered without a person; `None` when no confidence keeps the precision.
    pub threshold: Option<f32>,
    /// The confidence below which a request is refused as out of scope, at a small cost of in-scope accuracy; `None` where unknown.
    pub refusal: Option<f32>,
}

impl Calibration {
    /// Fits all three on validation texts.
    ///
    /// # Panics
    /// When the classifier's rows are shorter than `classes`, or a label is no class.
    pub fn new(
        classifier: &dyn Classifier,
        classes: usize,
        validation: &Examples,
        options: &EvaluationOptions,
    ) -> Self {
        let scores = scores_of(classifier, &validation.texts());
        let temperature = temperature::fit(classes, validation.labels(), &scores);
        Self::of_outcomes(&Outcomes::new(classes, validation.labels(), &scores, temperature), temperature, options)
    }

    /// Chooses the thresholds for answers that a temperature was applied to already.
    pub fn of_outcomes(validation: &Outcomes, temperature: f64, options: &EvaluationOptions) -> Self {
        Self {
            temperature,
            threshold: thresholds::for_precision(validation, options.precision),
            refusal: thresholds::for_accuracy_loss(validation, options.accuracy_loss),
        }
    }
}
