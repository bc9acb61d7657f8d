//! What a classifier answered on labelled texts: the plain data that metrics are made of.

/// Answers, probabilities and confidences beside the truth, one entry per text.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcomes {
    classes: usize,
    labels: Vec<Option<usize>>,
    probabilities: Vec<Vec<f32>>,
    answers: Vec<usize>,
    confidences: Vec<f32>,
}

impl Outcomes {
    /// Turns scores into probabilities (softmax of score / temperature). The answer is the likeliest of the first `classes`
    /// columns (the first of equals), its probability the confidence.
    ///
    /// # Panics
    /// When lengths disagree, a row has fewer than `classes` scores, or a label is no class.
    pub fn new(classes: usize, labels: &[Option<usize>], scores: &[Vec<f32>], temperature: f64) -> Self {
        assert_eq!(labels.len(), scores.len(), "{} labels and {} rows of scores", labels.len(), scores.len());
        let mut probabilities = Vec::with_capacity(scores.len());
        let mut answers = Vec::with_capacity(scores.len());
        for (label, row) in labels.iter().zip(scores) {
            assert!(row.len() >= classes && classes > 0, "a row of {} scores for {classes} classes", row.len());
            assert!(label.is_none_or(|label| label < classes), "label {label:?} of {classes} classes");
            let row = softmax(row, temperature);
            answers.push((1..classes).fold(0, |best, class| if row[class] > row[best] { class } else { best }));
            probabilities.push(row);
        }
        let confidences = answers.iter().zip(&probabilities).map(|(&answer, row)| row[answer]).collect();
        Self { classes, labels: labels.to_vec(), probabilities, answers, confidences }
    }

    /// The same answers with another measure of confidence (an energy, a distance): higher means surer.
    ///
    /// # Panics
    /// When there is not one per text.
    pub fn with_confidences(self, confidences: Vec<f32>) -> Self {
        assert_eq!(confidences.len(), self.len(), "{} confidences for {} texts", confidences.len(), self.len());
        Self { confidences, ..self }
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The true class of each text; `None` is out of scope.
    pub fn labels(&self) -> &[Option<usize>] {
        &self.labels
    }

    /// Probabilities per text: one per class, and one more where the model has a score for "none of these".
    pub fn probabilities(&self) -> &[Vec<f32>] {
        &self.probabilities
    }

    /// The answered class of each text.
    pub fn answers(&self) -> &[usize] {
        &self.answers
    }

    /// How sure each answer is.
    pub fn confidences(&self) -> &[f32] {
        &self.confidences
    }

    /// Whether each answer is right; an answer to an out-of-scope text never is.
    pub fn right(&self) -> Vec<bool> {
        self.labels.iter().zip(&self.answers).map(|(label, answer)| *label == Some(*answer)).collect()
    }

    /// The texts that have a class: their numbers and classes.
    pub fn in_scope(&self) -> impl Iterator<Item = (usize, usize)> {
        self.labels.iter().enumerate().filter_map(|(index, label)| Some((index, (*label)?)))
    }

    /// The numbers of the texts that have no class.
    pub fn out_of_scope(&self) -> impl Iterator<Item = usize> {
        self.labels.iter().enumerate().filter(|(_, label)| label.is_none()).map(|(index, _)| index)
    }
}

fn softmax(scores: &[f32], temperature: f64) -> Vec<f32> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = scores.iter().map(|&score| (f64::from(score - top) / temperature).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| (power / sum) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_answers_and_confidences_by_hand() {
        // exp(ln 3) = 3 against 1 gives 3/4; at temperature 1/2 it is 9 against 1.
        let scores = [vec![0.0, 3f32.ln()], vec![1.0, 1.0]];
        let outcomes = Outcomes::new(2, &[Some(1), None], &scores, 1.0);
        assert_eq!(outcomes.answers(), [1, 0]);
        assert!((outcomes.confidences()[0] - 0.75).abs() < 1e-6);
        assert_eq!(outcomes.right(), [true, false]);
        let sharper = Outcomes::new(2, &[Some(1), None], &scores, 0.5);
        assert!((sharper.confidences()[0] - 0.9).abs() < 1e-6);
    }

    #[test]
    fn a_score_for_none_of_these_takes_probability_and_is_never_the_answer() {
        let outcomes = Outcomes::new(2, &[None], &[vec![1.0, 0.0, 9.0]], 1.0);
        assert_eq!(outcomes.answers(), [0]);
        assert!(outcomes.confidences()[0] < 0.001);
    }
}
