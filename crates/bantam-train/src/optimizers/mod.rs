//! How weights follow their gradients.

use bantam_kernels::memory::Buffer;
use bantam_kernels::optimizer::{AdamW, adamw};
use bantam_model::Weights;
use bantam_model::schema::{Entry, Kind};
use bantam_tensor::Gradients;
use serde::{Deserialize, Serialize};

mod muon;

/// The numbers of an optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerPlan {
    /// Peak learning rate of AdamW.
    pub learning_rate: f32,
    /// Peak learning rate of Muon on the matrices inside layers; 0 leaves them to AdamW.
    pub muon_rate: f32,
    /// Learning rate of tables as a multiple of the others'.
    pub table_rate: f32,
    /// Decoupled weight decay of matrices; tables, gains and biases have none.
    pub weight_decay: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
}

impl Default for OptimizerPlan {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            muon_rate: 0.0,
            table_rate: 1.0,
            weight_decay: 0.01,
            beta1: 0.9,
            beta2: 0.98,
            epsilon: 1e-8,
        }
    }
}

/// AdamW (Loshchilov and Hutter 2019), with Muon (Jordan et al. 2024) on the matrices where the plan asks for it.
pub(crate) struct Optimizer {
    plan: OptimizerPlan,
    /// First and second moment of each weight; Muon keeps only the first.
    moments: Vec<(Buffer, Buffer)>,
    steps: usize,
}

impl Optimizer {
    /// An optimiser that has seen no gradient yet.
    pub(crate) fn new(plan: OptimizerPlan, weights: &Weights) -> Self {
        let zeros = |entry: &Entry| {
            let second = if is_muon(&plan, entry) { 0 } else { entry.len() };
            (Buffer::zeroed(entry.len()), Buffer::zeroed(second))
        };
        let moments = weights.schema().entries().iter().map(zeros).collect();
        Self { plan, moments, steps: 0 }
    }

    /// Moves every weight that has a gradient; rows of tables that no text of the step used stay. `share` is the schedule's share of the peak rate,
    /// and gradients are multiplied by `scale` first (clipping and averaging over micro-batches).
    pub(crate) fn step(&mut self, weights: &mut Weights, gradients: &mut Gradients, share: f32, scale: f32) {
        self.steps += 1;
        for ((entry, tensor), (first, second)) in weights.tensors_mut().zip(&mut self.moments) {
            let Some(gradient) = gradients.take(tensor) else { continue };
            let numbers = tensor.data_mut();
            if is_muon(&self.plan, entry) {
                let settings = muon::Muon {
                    learning_rate: self.plan.muon_rate * share,
                    weight_decay: self.plan.weight_decay,
                    gradient_scale: scale,
                    momentum: 0.95,
                };
                muon::step(entry, numbers, &gradient, first, &settings);
                continue;
            }
            let is_table = entry.kind == Kind::Table;
            let settings = AdamW {
                learning_rate: self.plan.learning_rate * share * if is_table { self.plan.table_rate } else { 1.0 },
                beta1: self.plan.beta1,
                beta2: self.plan.beta2,
                epsilon: self.plan.epsilon,
                weight_decay: if entry.kind == Kind::Matrix { self.plan.weight_decay } else { 0.0 },
                step: self.steps as u32,
                gradient_scale: scale,
            };
            let width = entry.columns.as_ref().map(|axis| axis.size).filter(|_| is_table);
            adamw(numbers, &gradient, first, second, width, &settings);
        }
    }

    /// The moments, weight by weight, for a checkpoint.
    pub(crate) fn moments(&self) -> &[(Buffer, Buffer)] {
        &self.moments
    }

    /// Continues where a checkpoint stood; `false`, and nothing changed, when the moments have other lengths.
    pub(crate) fn restore(&mut self, steps: usize, moments: &[(Vec<f32>, Vec<f32>)]) -> bool {
        let fits = moments.len() == self.moments.len()
            && moments.iter().zip(&self.moments).all(|(a, b)| a.0.len() == b.0.len() && a.1.len() == b.1.len());
        if fits {
            self.steps = steps;
            self.moments = moments.iter().map(|(a, b)| (Buffer::from_slice(a), Buffer::from_slice(b))).collect();
        }
        fits
    }
}

/// Muon is for the hidden matrices: not for tables, vectors, or the matrix that ends in labels or tokens.
fn is_muon(plan: &OptimizerPlan, entry: &Entry) -> bool {
    let last = |name: &str| name.contains("classifier") || name.contains("lm_head");
    plan.muon_rate > 0.0 && entry.kind == Kind::Matrix && !last(entry.name())
}
