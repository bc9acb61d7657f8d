//! Labels that a model was not trained for: as hypotheses that a text entails, or by how near they are to it.

use super::labels::{LabelScore, Scoring};
use super::numbers::{cosine, softmax};
use super::{Cut, Document, Head, Rows, TaskError, TaskModel, Wanted};

/// What cosines are divided by before they become probabilities: those of texts lie close together.
const NEARNESS: f32 = 0.05;

/// A text and what it may entail, a hypothesis for each label.
pub struct Hypotheses {
    labels: Vec<String>,
    is_multiple: bool,
}

impl Hypotheses {
    /// Puts each label into the template. Where several labels may be right, each is judged by itself.
    ///
    /// # Errors
    /// When the template has no place (`{}`) for a label, or a hypothesis alone is too long.
    pub fn new(
        model: &TaskModel,
        text: &str,
        labels: &[String],
        template: &str,
        is_multiple: bool,
    ) -> Result<(Self, Vec<Document>), TaskError> {
        let hypotheses = filled(template, labels)?;
        let documents: Result<Vec<Document>, TaskError> = hypotheses
            .iter()
            .map(|hypothesis| model.document(text, Some(hypothesis), Cut::First, Wanted::Scores))
            .collect();
        Ok((Self { labels: labels.to_vec(), is_multiple }, documents?))
    }

    /// The labels, the likeliest first.
    pub fn finish(self, model: &TaskModel, rows: &[Rows]) -> Vec<LabelScore> {
        let entails = model.entailment().unwrap_or(model.labels().len().saturating_sub(1));
        let contradicts = if entails == 0 { model.labels().len().saturating_sub(1) } else { 0 };
        let scores = if self.is_multiple || self.labels.len() == 1 {
            let judged = |row: &Rows| softmax(&[row.first()[contradicts], row.first()[entails]])[1];
            rows.iter().map(judged).collect()
        } else {
            softmax(&rows.iter().map(|row| row.first()[entails]).collect::<Vec<_>>())
        };
        Scoring::Plain.ranked(&scores, &self.labels, None)
    }
}

impl TaskModel {
    /// Which of its labels says that one text entails another; none where it was not trained on such pairs.
    pub fn entailment(&self) -> Option<usize> {
        let is_classifier = matches!(self.head(), Head::Labels(count) if count > 1);
        let entails = |label: &String| label.to_lowercase().starts_with("entail");
        self.labels().iter().position(entails).filter(|_| is_classifier)
    }
}

/// The labels by the cosine of their states with those of a text, the nearest first: as probabilities of which one is right (a softmax
/// of cosines divided by 0.05), or each by itself, from 0 for opposite to 1 for equal.
pub fn similarity_scores(text: &[f32], labels: &[String], states: &[&[f32]], is_multiple: bool) -> Vec<LabelScore> {
    let cosines: Vec<f32> = states.iter().map(|state| cosine(text, state)).collect();
    let scores = if is_multiple || labels.len() == 1 {
        cosines.iter().map(|cosine| f32::midpoint(1.0, *cosine).clamp(0.0, 1.0)).collect()
    } else {
        softmax(&cosines.iter().map(|cosine| cosine / NEARNESS).collect::<Vec<_>>())
    };
    Scoring::Plain.ranked(&scores, labels, None)
}

/// A template with each label in its place.
///
/// # Errors
/// When the template has no place (`{}`) for a label.
pub fn filled(template: &str, labels: &[String]) -> Result<Vec<String>, TaskError> {
    if !template.contains("{}") {
        return Err(TaskError::Template { template: template.to_owned() });
    }
    Ok(labels.iter().map(|label| template.replacen("{}", label, 1)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_labels_come_first() {
        let labels = ["far", "near", "opposite"].map(str::to_owned);
        let states: [&[f32]; 3] = [&[0.0, 2.0], &[3.0, 0.0], &[-1.0, 0.0]];
        let one = similarity_scores(&[1.0, 0.0], &labels, &states, false);
        assert_eq!(one.iter().map(|found| found.label.as_str()).collect::<Vec<_>>(), ["near", "far", "opposite"]);
        assert!((one.iter().map(|found| found.score).sum::<f32>() - 1.0).abs() < 1e-6 && one[0].score > 0.99);
        let each = similarity_scores(&[1.0, 0.0], &labels, &states, true);
        assert_eq!(each.iter().map(|found| found.score).collect::<Vec<_>>(), [1.0, 0.5, 0.0]);
    }

    #[test]
    fn templates_have_a_place() {
        let labels = ["a {} b".to_owned()];
        assert_eq!(filled("It is {}. {}", &labels).unwrap(), ["It is a {} b. {}"]);
        assert!(filled("It is so.", &labels).is_err());
    }
}
