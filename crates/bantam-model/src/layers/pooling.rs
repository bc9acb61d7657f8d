//! Tokens of a document to one vector.

use bantam_tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;

/// How the vectors of a document's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The first token's vector (`[CLS]`), as BERT does.
    #[serde(rename = "cls")]
    First,
    /// The mean over the tokens.
    Mean,
}

impl Pooling {
    /// `[tokens, width]` to `[documents, width]`.
    pub fn forward(self, hidden: &Tensor, batch: &Batch) -> Tensor {
        match self {
            Self::First => hidden.first_pool(batch.starts()),
            Self::Mean => hidden.mean_pool(batch.starts()),
        }
    }
}
