//! The feed-forward layer: widen, bend, narrow.

use bantam_kernels::activation::Activation;
use bantam_kernels::encoder::FeedForwardLayer;
use bantam_kernels::gemm::grouped::GatedLayer;
use bantam_tensor::{Matrix, Tensor};

use super::{Norm, bias, borrowed, width_axis};
use crate::pass::Pass;
use crate::schema::{Axis, Initial, MatrixId, Schema, VectorId};
use crate::weights::Weights;

/// Names of the matrices in files, without `.weight`.
#[derive(Debug, Clone, Copy)]
pub enum FeedForwardNames<'a> {
    /// `up`, then `down`: no gate.
    Plain {
        /// Widens.
        up: &'a str,
        /// Narrows.
        down: &'a str,
    },
    /// `act(gate(x)) * up(x)`, two matrices in files (Llama).
    Gated {
        /// Decides.
        gate: &'a str,
        /// Widens.
        up: &'a str,
        /// Narrows.
        down: &'a str,
    },
    /// The same with gate and up as one matrix in files, gate first (ModernBERT).
    Fused {
        /// Gate above up.
        both: &'a str,
        /// Narrows.
        down: &'a str,
    },
}

/// Sizes and circumstances of a feed-forward layer.
#[derive(Debug, Clone, Copy)]
pub struct FeedForwardConfig<'a> {
    /// Numbers per token in the residual stream.
    pub width: usize,
    /// Numbers per token between the two matrices.
    pub channels: usize,
    /// Whether the matrices have biases.
    pub bias: bool,
    /// Standard deviations at initialisation: widening and narrowing.
    pub deviations: [f32; 2],
    /// Prefix of this layer's axes.
    pub axes: &'a str,
}

/// One feed-forward layer.
#[derive(Debug, Clone)]
pub struct FeedForward {
    input: MatrixId,
    input_bias: Option<VectorId>,
    output: MatrixId,
    output_bias: Option<VectorId>,
    activation: Activation,
    gated: bool,
}

impl FeedForward {
    /// Declares the layer's weights.
    pub fn new(
        schema: &mut Schema,
        names: FeedForwardNames,
        activation: Activation,
        config: FeedForwardConfig,
    ) -> Self {
        let channels = Axis::new(format!("{}.channels", config.axes), config.channels);
        let doubled = Axis::new(format!("{}.gate_and_up", config.axes), 2 * config.channels);
        let (parts, down) = match names {
            FeedForwardNames::Plain { up, down } => (vec![(up, channels.clone())], down),
            FeedForwardNames::Gated { gate, up, down } => {
                (vec![(gate, channels.clone()), (up, channels.clone())], down)
            }
            FeedForwardNames::Fused { both, down } => (vec![(both, doubled)], down),
        };
        let with = |suffix: &str| -> Vec<(String, Axis)> {
            parts.iter().map(|(name, axis)| (format!("{name}.{suffix}"), axis.clone())).collect()
        };
        let (matrix_parts, bias_parts) = (with("weight"), with("bias"));
        let [inner, outer] = config.deviations.map(Initial::Normal);
        Self {
            input: schema.fused_matrix(&borrowed(&matrix_parts), width_axis(config.width), inner),
            input_bias: bias(schema, config.bias, &bias_parts),
            output: schema.matrix(&format!("{down}.weight"), width_axis(config.width), channels, outer),
            output_bias: bias(schema, config.bias, &[(format!("{down}.bias"), width_axis(config.width))]),
            activation,
            gated: !matches!(names, FeedForwardNames::Plain { .. }),
        }
    }

    /// `residual` and what the channels add to it: all `[tokens, width]`.
    pub fn forward(&self, weights: &Weights, x: &Tensor, residual: &Tensor, pass: &mut Pass) -> Tensor {
        if let Some(layer) = self.fused_gated(weights, x, pass) {
            return x.gated_layer(&layer, residual, pass.first_prompt_row);
        }
        let bias = |id: Option<VectorId>| id.map(|id| weights.vector(id));
        let wide = pass.linear_rounded(x, weights, self.input, bias(self.input_bias));
        let bent = if self.gated { wide.gated(self.activation) } else { wide.activation(self.activation) };
        pass.linear_onto(residual, &bent, weights, self.output, bias(self.output_bias))
    }

    /// The form for layers that normalise after themselves: `norm(x + feed_forward(x))`.
    pub fn forward_normed(&self, weights: &Weights, norm: &Norm, x: &Tensor, pass: &mut Pass) -> Tensor {
        match self.fused(weights, norm, x, pass) {
            Some(layer) => x.feed_forward_layer(&layer),
            None => norm.forward(weights, &self.forward(weights, x, x, pass)),
        }
    }

    /// The layer without norm as one kernel, where there is one for it.
    fn fused_gated<'a>(&self, weights: &'a Weights, x: &Tensor, pass: &Pass) -> Option<GatedLayer<'a>> {
        let (Matrix::Grouped(gate_up), Matrix::Grouped(down)) =
            (weights.matrix(self.input), weights.matrix(self.output))
        else {
            return None;
        };
        let layer = GatedLayer { gate_up, activation: self.activation, down };
        let has_bias = self.input_bias.is_some() || self.output_bias.is_some();
        (pass.is_quiet() && !x.is_tracked() && self.gated && !has_bias && layer.fits()).then_some(layer)
    }

    /// The layer as one kernel, where there is one for it.
    fn fused<'a>(&self, weights: &'a Weights, norm: &Norm, x: &Tensor, pass: &Pass) -> Option<FeedForwardLayer<'a>> {
        let (Matrix::Packed(up), Matrix::Packed(down)) = (weights.matrix(self.input), weights.matrix(self.output))
        else {
            return None;
        };
        let bias = |id: Option<VectorId>| id.map(|id| weights.vector(id).data());
        let layer = FeedForwardLayer {
            up,
            up_bias: bias(self.input_bias),
            activation: self.activation,
            down,
            down_bias: bias(self.output_bias),
            norm: norm.at_end(weights)?,
        };
        (pass.is_plain() && !x.is_tracked() && !self.gated && layer.fits()).then_some(layer)
    }

    /// The matrix whose inputs are the channels: what their importance is measured on.
    pub fn output(&self) -> MatrixId {
        self.output
    }
}
