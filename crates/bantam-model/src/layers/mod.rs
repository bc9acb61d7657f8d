//! The parts that architectures are made of. A layer declares its weights in its constructor and computes in `forward`.

mod attention;
mod embedding;
mod feature_bag;
mod feed_forward;
mod norm;
mod pooling;

pub use attention::{Attention, AttentionConfig, AttentionNorms};
pub use embedding::Embedding;
pub use feature_bag::FeatureBag;
pub use feed_forward::{FeedForward, FeedForwardConfig, FeedForwardNames};
pub use norm::{Norm, NormKind};
pub use pooling::Pooling;

use crate::schema::{Axis, Initial, Schema, VectorId};

/// The axis of the residual stream, shared by all layers of a model.
pub(crate) fn width_axis(width: usize) -> Axis {
    Axis::new("width", width)
}

/// The axis of the vocabulary, shared by embedding and head.
pub(crate) fn vocabulary_axis(size: usize) -> Axis {
    Axis::new("vocabulary", size)
}

/// Declares a bias beside a matrix when the architecture has biases.
fn bias(schema: &mut Schema, wanted: bool, parts: &[(String, Axis)]) -> Option<VectorId> {
    wanted.then(|| schema.fused_vector(&borrowed(parts), Initial::Zeros))
}

fn borrowed(parts: &[(String, Axis)]) -> Vec<(&str, Axis)> {
    parts.iter().map(|(name, axis)| (name.as_str(), axis.clone())).collect()
}
