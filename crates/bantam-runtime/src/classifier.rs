//! A model with all that it needs to read text.

use bantam_kernels::pool::with_threads;
use bantam_model::architectures::Classifier;
use bantam_model::{Pass, TextEncoder, Weights};

/// Products below which a pass is computed by the calling thread: waking others would take longer than they save.
const ALONE: usize = 1 << 27;

/// Texts in, scores out.
pub struct TextClassifier {
    /// What is computed.
    pub architecture: Box<dyn Classifier>,
    /// With which numbers.
    pub weights: Weights,
    /// Text to what the model reads.
    pub encoder: TextEncoder,
    /// Names of the columns of the scores.
    pub labels: Vec<String>,
}

impl TextClassifier {
    /// For each text one score per label, in one batch.
    pub fn logits(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        if texts.is_empty() {
            return Vec::new();
        }
        let batch = self.encoder.batch(texts.iter().copied());
        let compute = || self.architecture.classify(&self.weights, &batch, &mut Pass::plain()).logits;
        let products = batch.tokens().len().saturating_mul(self.parameters());
        let logits = if products < ALONE { with_threads(1, compute) } else { compute() };
        logits.data().chunks(logits.width()).map(<[f32]>::to_vec).collect()
    }

    /// Numbers in the model.
    pub fn parameters(&self) -> usize {
        self.architecture.schema().parameters()
    }
}
