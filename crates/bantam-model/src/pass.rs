//! How one forward pass is run: with or without noise, watched or not. Architectures hand it down and never ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use bantam_tensor::{Noise, Tensor};

use crate::batch::Batch;
use crate::layers::Pooling;
use crate::past::{Past, Pasts};
use crate::schema::MatrixId;
use crate::weights::Weights;

/// The circumstances of one forward pass.
pub struct Pass {
    /// Dropout between the layers; [`Noise::none`] leaves everything as it is.
    pub noise: Noise,
    activity: Option<Activity>,
    wanted: Wanted,
    /// The first row that is a prompt's; all from there on are.
    pub(crate) first_prompt_row: usize,
    /// Where the documents of the batch go on from, if they do.
    pub(crate) pasts: Option<Pasts>,
}

/// The tokens of which the last states of a pass are wanted: what others become in the last layer may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All.
    All,
    /// The first of each document, where the head reads no other: only an answer for each document is wanted.
    First,
    /// These, counted over the whole batch.
    Rows(Arc<[u32]>),
}

/// How strongly each input of each matrix was used over all tokens seen: the importance that pruning ranks by
/// (Minitron, Muralidharan et al. 2024, section 2.2).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Activity {
    squares: BTreeMap<MatrixId, Vec<f64>>,
}

impl Activity {
    /// Sum of squares of each input column of `matrix`; `None` when the matrix never ran.
    pub fn squares(&self, matrix: MatrixId) -> Option<&[f64]> {
        self.squares.get(&matrix).map(Vec::as_slice)
    }

    /// [`Activity::squares`] of every matrix that ran.
    pub fn iter(&self) -> impl Iterator<Item = (MatrixId, &[f64])> {
        self.squares.iter().map(|(&matrix, squares)| (matrix, squares.as_slice()))
    }

    fn record(&mut self, matrix: MatrixId, input: &Tensor) {
        let width = input.width();
        let sums = self.squares.entry(matrix).or_insert_with(|| vec![0.0; width]);
        for row in input.data().chunks(width) {
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
    }
}

impl Pass {
    /// A plain pass: inference.
    pub fn plain() -> Self {
        Self::noisy(Noise::none())
    }

    /// A plain pass of which only the answer for each document is wanted: [`Pass::answering`].
    pub fn answer() -> Self {
        Self::plain().answering()
    }

    /// The same pass, of which only the answer for each document is wanted, by a head that reads it through [`Pass::pooled`]: what other
    /// tokens than the first become in the last layer may be left out where the head does not read them.
    #[must_use]
    pub fn answering(self) -> Self {
        Self { wanted: Wanted::First, ..self }
    }

    /// The same pass, of which only the states of some tokens are wanted, counted over the whole batch: [`Pass::states_of_rows`] has them.
    #[must_use]
    pub fn of_rows(self, rows: &[u32]) -> Self {
        Self { wanted: Wanted::Rows(rows.into()), ..self }
    }

    /// A pass with dropout: training.
    pub fn noisy(noise: Noise) -> Self {
        Self { noise, activity: None, wanted: Wanted::All, first_prompt_row: usize::MAX, pasts: None }
    }

    /// A pass that measures how much each matrix input is used: calibration.
    pub fn watched(activity: Activity) -> Self {
        Self { activity: Some(activity), ..Self::plain() }
    }

    /// A pass in which each document of the batch goes on where its past ends: generation. The batch is made by
    /// [`Batch::continuing`](crate::Batch::continuing), and the architecture is a decoder.
    pub fn continuing(pasts: Vec<Past>) -> Self {
        Self { pasts: Some(Pasts::new(pasts)), ..Self::plain() }
    }

    /// The same pass, of whose tokens those from `row` on are of prompts: there are many at a time, and nobody waits for each. With AMX they are read
    /// in another way than answers ([`Tensor::linear_prompt`], [`Text::is_prompt`](bantam_kernels::attention::Text)), which is the same however many
    /// are read together.
    #[must_use]
    pub fn reading_from(self, row: usize) -> Self {
        Self { first_prompt_row: row, ..self }
    }

    /// The pasts of a continuing pass, with its tokens.
    pub fn into_pasts(self) -> Vec<Past> {
        self.pasts.map(Pasts::finish).unwrap_or_default()
    }

    /// What a watched pass measured, added to what it was given.
    pub fn into_activity(self) -> Option<Activity> {
        self.activity
    }

    /// What a head reads of each document, from the last states, which an answer's pass may have for the first tokens only.
    pub fn pooled(&self, pooling: Pooling, last: &Tensor, batch: &Batch) -> Tensor {
        let is_pooled = self.wanted == Wanted::First && pooling == Pooling::First && last.rows() == batch.documents();
        if is_pooled { last.clone() } else { pooling.forward(last, batch) }
    }

    /// The last states of the tokens that [`Pass::of_rows`] named, which may be the only ones that are there.
    pub fn states_of_rows(&self, last: &Tensor, batch: &Batch) -> Tensor {
        match &self.wanted {
            Wanted::Rows(rows) if last.rows() == batch.tokens().len() => last.select_rows(rows),
            _ => last.clone(),
        }
    }

    /// The tokens of which the last states are wanted.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Whether nothing is added, measured or gone on from, so that a layer may be computed as one kernel.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_quiet() && self.pasts.is_none()
    }

    /// Whether nothing is added or measured, so that what does not look at pasts may be computed as one kernel.
    pub(crate) fn is_quiet(&self) -> bool {
        self.noise.is_none() && self.activity.is_none()
    }

    fn record(&mut self, matrix: MatrixId, input: &Tensor) {
        if let Some(activity) = &mut self.activity {
            activity.record(matrix, input);
        }
    }

    /// `x` times a matrix of the model, plus `bias`. Every layer multiplies through here.
    pub fn linear(&mut self, x: &Tensor, weights: &Weights, matrix: MatrixId, bias: Option<&Tensor>) -> Tensor {
        self.record(matrix, x);
        x.linear_prompt(weights.matrix(matrix), bias, None, self.first_prompt_row)
    }

    /// [`Pass::linear`] whose result stays within its layer: rounded to bf16 where the model is trained in it.
    pub fn linear_rounded(&mut self, x: &Tensor, weights: &Weights, matrix: MatrixId, bias: Option<&Tensor>) -> Tensor {
        self.record(matrix, x);
        x.linear_rounded(weights.matrix(matrix), bias, self.first_prompt_row)
    }

    /// `residual` and [`Pass::linear`] on top of it, with noise between the two: how every layer returns to the residual stream.
    pub fn linear_onto(
        &mut self,
        residual: &Tensor,
        x: &Tensor,
        weights: &Weights,
        matrix: MatrixId,
        bias: Option<&Tensor>,
    ) -> Tensor {
        if !self.noise.is_none() {
            let product = self.linear(x, weights, matrix, bias);
            return residual.add(&product.dropout(&mut self.noise));
        }
        self.record(matrix, x);
        x.linear_prompt(weights.matrix(matrix), bias, Some(residual), self.first_prompt_row)
    }

    /// Keeps a state of the residual stream beside those before it, or alone where the pass goes on from pasts or does not want all states.
    pub(crate) fn keep(&self, states: &mut Vec<Tensor>, state: &Tensor) {
        if self.pasts.is_some() || self.wanted != Wanted::All {
            states.clear();
        }
        states.push(state.clone());
    }
}
