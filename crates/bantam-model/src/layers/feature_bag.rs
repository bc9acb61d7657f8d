//! Hashed words, word pairs and character n-grams summed into one vector per document.
//!
//! This is the wide half of a wide-and-deep classifier (Cheng et al. 2016) with the features of fastText (Joulin et al.
//! 2017): it sees spelling and phrases that a small vocabulary cuts apart, and costs a few hundred row additions.

use bantam_tensor::Tensor;

use super::{Norm, NormKind};
use crate::batch::Batch;
use crate::schema::{Axis, Initial, Schema, TableId};
use crate::weights::Weights;

/// A table of hashed features and the normalisation of their sum.
#[derive(Debug, Clone)]
pub struct FeatureBag {
    table: TableId,
    norm: Norm,
}

impl FeatureBag {
    /// Declares `features.table.weight` of `[buckets, width]` and `features.norm.weight`.
    pub fn new(schema: &mut Schema, buckets: usize, width: usize, deviation: f32) -> Self {
        schema.within("features", |schema| {
            let axis = Axis::new("features.width", width);
            let table =
                schema.table("table.weight", Axis::new("features.buckets", buckets), axis, Initial::Normal(deviation));
            Self { table, norm: Norm::over(schema, "norm", NormKind::Layer, Axis::new("features.width", width), 1e-5) }
        })
    }

    /// One vector per document: `[documents, width]`.
    ///
    /// # Panics
    /// When the batch carries no features: a model with a feature table is always fed through its own text encoder.
    pub fn forward(&self, weights: &Weights, batch: &Batch) -> Tensor {
        let features = batch.features().expect("a model with a feature table needs a batch with features");
        let sums = weights.table(self.table).bag(&features.ids, &features.offsets);
        self.norm.forward(weights, &sums)
    }
}
