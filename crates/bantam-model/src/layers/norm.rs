//! Normalisation of the residual stream.

use bantam_kernels::encoder::LayerNorm;
use bantam_tensor::Tensor;

use super::width_axis;
use crate::schema::{Axis, Initial, Schema, VectorId};
use crate::weights::Weights;

/// Which normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Root mean square with a gain (Zhang and Sennrich 2019): the Llama family.
    RootMeanSquare,
    /// Mean and variance with a gain (Ba et al. 2016), without bias: ModernBERT.
    Layer,
    /// Mean and variance with gain and bias: BERT.
    LayerWithBias,
}

/// A normalisation of `width` numbers.
#[derive(Debug, Clone)]
pub struct Norm {
    gain: VectorId,
    bias: Option<VectorId>,
    kind: NormKind,
    epsilon: f32,
}

impl Norm {
    /// Declares `name.weight`, and `name.bias` where the kind has one.
    pub fn new(schema: &mut Schema, name: &str, kind: NormKind, width: usize, epsilon: f32) -> Self {
        Self::over(schema, name, kind, width_axis(width), epsilon)
    }

    /// The same over an axis that is not the residual stream's.
    pub fn over(schema: &mut Schema, name: &str, kind: NormKind, axis: Axis, epsilon: f32) -> Self {
        schema.within(name, |schema| {
            let gain = schema.vector("weight", axis.clone(), Initial::Ones);
            let bias = (kind == NormKind::LayerWithBias).then(|| schema.vector("bias", axis, Initial::Zeros));
            Self { gain, bias, kind, epsilon }
        })
    }

    /// `[tokens, width]` to the same.
    pub fn forward(&self, weights: &Weights, x: &Tensor) -> Tensor {
        let gain = weights.vector(self.gain);
        match self.kind {
            NormKind::RootMeanSquare => x.rms_norm(Some(gain), self.epsilon),
            NormKind::Layer | NormKind::LayerWithBias => {
                x.layer_norm(gain, self.bias.map(|bias| weights.vector(bias)), self.epsilon)
            }
        }
    }

    /// The same for kernels that normalise at their end; `None` where it is another norm.
    pub(crate) fn at_end<'a>(&self, weights: &'a Weights) -> Option<LayerNorm<'a>> {
        let vector = |id| weights.vector(id).data();
        (self.kind != NormKind::RootMeanSquare).then(|| LayerNorm {
            weight: vector(self.gain),
            bias: self.bias.map(vector),
            epsilon: self.epsilon,
        })
    }
}
