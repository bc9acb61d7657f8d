//! What a model has to be able to do to be measured.

/// A model that gives each class a score.
pub trait Classifier {
    /// What the report calls it.
    fn name(&self) -> &str;

    /// How many numbers it has learned.
    fn parameters(&self) -> u64;

    /// How many bytes it takes as shipped.
    fn bytes(&self) -> u64;

    /// For each text one row of scores: margins, logits or log-probabilities, one per class, all rows of one length. The softmax
    /// of a row, after a fitted temperature, is taken for its probabilities.
    ///
    /// A row may be longer than the number of classes. What stands beyond says "none of these": it takes its share of the
    /// probability and is never the answer.
    fn scores(&self, texts: &[&str]) -> Vec<Vec<f32>>;
}
