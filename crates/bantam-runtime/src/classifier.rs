//! A model with all that it needs to read text.

use bantam_kernels::pool::with_threads;
use bantam_model::architectures::{Classification, Classifier};
use bantam_model::{Batch, Pass, TextEncoder, Weights};
use bantam_tensor::Tensor;

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
        self.classify(texts).map_or_else(Vec::new, |(found, _)| rows(&found.logits))
    }

    /// For each text the numbers that the labels are decided by, in one batch, and the tokens of all texts together.
    pub fn embeddings(&self, texts: &[&str]) -> (Vec<Vec<f32>>, usize) {
        self.classify(texts).map_or_else(Default::default, |(found, tokens)| (rows(&found.pooled), tokens))
    }

    fn classify(&self, texts: &[&str]) -> Option<(Classification, usize)> {
        if texts.is_empty() {
            return None;
        }
        let batch = self.encoder.batch(texts.iter().copied());
        Some((self.classify_batch(&batch), batch.tokens().len()))
    }

    /// What the model answers to texts that were encoded before.
    pub fn classify_batch(&self, batch: &Batch) -> Classification {
        let products = batch.tokens().len().saturating_mul(self.parameters());
        compute(products, || self.architecture.classify(&self.weights, batch, &mut Pass::answer()))
    }

    /// Numbers in the model.
    pub fn parameters(&self) -> usize {
        self.architecture.schema().parameters()
    }
}

/// Computes about so many products, on all threads where that pays.
pub(crate) fn compute<T>(products: usize, work: impl FnOnce() -> T) -> T {
    if products < ALONE { with_threads(1, work) } else { work() }
}

fn rows(matrix: &Tensor) -> Vec<Vec<f32>> {
    matrix.data().chunks(matrix.width()).map(<[f32]>::to_vec).collect()
}
