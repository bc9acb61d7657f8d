//! Predicting each token from those before it: how a decoder learns a language.

use bantam_model::architectures::TokenPredictor;
use bantam_model::{Batch, Pass, Weights};
use bantam_tensor::{Noise, Tensor};

use super::Order;
use crate::trainer::{Objective, StepContext};

/// The target of a token that has no successor in its row.
const NO_TARGET: u32 = u32::MAX;

/// Next-token prediction over packed rows of tokens.
pub struct NextToken<'a> {
    model: &'a dyn TokenPredictor,
    rows: &'a [Vec<u32>],
    validation: &'a [Vec<u32>],
    order: Order,
    dropout: f32,
}

impl<'a> NextToken<'a> {
    /// Learns from `rows`, each of two tokens or more, `batch` at a time; `validation` may be empty.
    pub fn new(
        model: &'a dyn TokenPredictor,
        rows: &'a [Vec<u32>],
        validation: &'a [Vec<u32>],
        batch: usize,
        dropout: f32,
        seed: u64,
    ) -> Self {
        Self { model, rows, validation, order: Order::new(rows.len(), batch, seed), dropout }
    }

    fn mean_loss(&self, weights: &Weights, rows: &[&[u32]], pass: &mut Pass) -> Tensor {
        let batch = Batch::new(rows.iter().copied());
        let after = |row: &&[u32]| row[1..].iter().copied().chain([NO_TARGET]).collect::<Vec<_>>();
        let targets: Vec<u32> = rows.iter().flat_map(after).collect();
        let hidden = self.model.hidden(weights, &batch, pass);
        let last = hidden.last().expect("there is always the embedding");
        let state = self.model.before_head(weights, last, pass);
        state.linear_cross_entropy(&self.model.head(weights), &targets, 0.0, None)
    }
}

impl Objective for NextToken<'_> {
    fn loss(&self, weights: &Weights, context: &mut StepContext) -> Tensor {
        let rows: Vec<&[u32]> =
            self.order.batch(context.micro_batch).into_iter().map(|index| self.rows[index].as_slice()).collect();
        let noise = if self.dropout > 0.0 { Noise::new(self.dropout, context.random.next()) } else { Noise::none() };
        self.mean_loss(weights, &rows, &mut Pass::noisy(noise))
    }

    fn tokens_per_step(&self) -> usize {
        self.order.batch(0).iter().map(|&index| self.rows[index].len()).sum()
    }

    fn validate(&self, weights: &Weights) -> Option<f64> {
        if self.validation.is_empty() {
            return None;
        }
        let rows: Vec<&[u32]> = self.validation.iter().map(Vec::as_slice).collect();
        let losses = rows.chunks(16).map(|rows| {
            let tokens: usize = rows.iter().map(|row| row.len() - 1).sum();
            let loss = self.mean_loss(weights, rows, &mut Pass::plain());
            (f64::from(loss.item()) * tokens as f64, tokens)
        });
        let (sum, tokens) = losses.fold((0.0, 0), |(sum, count), (loss, tokens)| (sum + loss, count + tokens));
        Some(-sum / tokens as f64)
    }
}
