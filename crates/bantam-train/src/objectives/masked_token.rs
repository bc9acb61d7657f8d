//! Predicting tokens that were hidden, from both sides: how an encoder learns a domain from unlabelled text
//! (Devlin et al. 2019; the higher rate and masks only, as in ModernBERT, Warner et al. 2024).

use bantam_model::architectures::TokenPredictor;
use bantam_model::{Batch, Pass, Random, Weights};
use bantam_tensor::{Noise, Tensor};

use super::Order;
use crate::trainer::{Objective, StepContext};

/// Masked-token prediction over documents.
pub struct MaskedToken<'a> {
    model: &'a dyn TokenPredictor,
    documents: &'a [Vec<u32>],
    validation: &'a [Vec<u32>],
    mask: u32,
    /// Tokens that are never hidden: begin, end and the like.
    kept: &'a [u32],
    rate: f32,
    order: Order,
    dropout: f32,
}

/// The choices of masked-token prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Masking<'a> {
    /// The id that stands for a hidden token.
    pub mask: u32,
    /// Ids that are never hidden.
    pub kept: &'a [u32],
    /// Share of tokens that are hidden, 0..1.
    pub rate: f32,
}

impl<'a> MaskedToken<'a> {
    /// Learns from `documents`, `batch` at a time; `validation` may be empty.
    pub fn new(
        model: &'a dyn TokenPredictor,
        documents: &'a [Vec<u32>],
        validation: &'a [Vec<u32>],
        masking: Masking<'a>,
        batch: usize,
        dropout: f32,
        seed: u64,
    ) -> Self {
        let order = Order::new(documents.len(), batch, seed);
        let Masking { mask, kept, rate } = masking;
        Self { model, documents, validation, mask, kept, rate, order, dropout }
    }

    fn mean_loss(&self, weights: &Weights, documents: &[&[u32]], random: &mut Random, noise: Noise) -> Tensor {
        let mut hidden_rows = Vec::new();
        let mut targets = Vec::new();
        let mut seen = 0;
        let masked: Vec<Vec<u32>> = documents
            .iter()
            .map(|document| {
                let open: Vec<usize> =
                    (0..document.len()).filter(|&place| !self.kept.contains(&document[place])).collect();
                // One token at least: a batch of short texts must not end without any loss.
                let forced = if open.is_empty() { usize::MAX } else { open[random.below(open.len())] };
                let mut masked = document.to_vec();
                for place in open {
                    if place == forced || random.uniform() < self.rate {
                        hidden_rows.push((seen + place) as u32);
                        targets.push(document[place]);
                        masked[place] = self.mask;
                    }
                }
                seen += document.len();
                masked
            })
            .collect();
        if hidden_rows.is_empty() {
            return Tensor::zeros([1].as_slice());
        }
        let batch = Batch::new(masked.iter().map(Vec::as_slice));
        let mut pass = Pass::noisy(noise).of_rows(&hidden_rows);
        let states = self.model.hidden(weights, &batch, &mut pass);
        let last = pass.states_of_rows(states.last().expect("there is always the embedding"), &batch);
        let state = self.model.before_head(weights, &last, &mut pass);
        state.linear_cross_entropy(&self.model.head(weights), &targets, 0.0, None)
    }
}

impl Objective for MaskedToken<'_> {
    fn loss(&self, weights: &Weights, context: &mut StepContext) -> Tensor {
        let indices = self.order.batch(context.micro_batch);
        let documents: Vec<&[u32]> = indices.into_iter().map(|index| self.documents[index].as_slice()).collect();
        let noise = if self.dropout > 0.0 { Noise::new(self.dropout, context.random.next()) } else { Noise::none() };
        self.mean_loss(weights, &documents, &mut context.random, noise)
    }

    fn tokens_per_step(&self) -> usize {
        self.order.batch(0).iter().map(|&index| self.documents[index].len()).sum()
    }

    fn validate(&self, weights: &Weights) -> Option<f64> {
        if self.validation.is_empty() {
            return None;
        }
        // The same masks every time, so that validations of one run can be compared.
        let mut random = Random::new(0, 0);
        let documents: Vec<&[u32]> = self.validation.iter().map(Vec::as_slice).collect();
        let losses: Vec<f64> = documents
            .chunks(64)
            .map(|chunk| f64::from(self.mean_loss(weights, chunk, &mut random, Noise::none()).item()))
            .collect();
        Some(-losses.iter().sum::<f64>() / losses.len() as f64)
    }
}
