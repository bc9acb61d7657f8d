//! Token ids to vectors.

use bantam_tensor::Tensor;

use super::{vocabulary_axis, width_axis};
use crate::schema::{Axis, Initial, Schema, TableId};
use crate::weights::Weights;

/// A table with one row per token of the vocabulary, and one per position where positions are learned.
#[derive(Debug, Clone)]
pub struct Embedding {
    tokens: TableId,
    positions: Option<TableId>,
}

impl Embedding {
    /// Declares the table `name`.
    pub fn new(schema: &mut Schema, name: &str, vocabulary: usize, width: usize, deviation: f32) -> Self {
        let tokens = schema.table(name, vocabulary_axis(vocabulary), width_axis(width), Initial::Normal(deviation));
        Self { tokens, positions: None }
    }

    /// Adds a learned vector per position, for up to `limit` positions.
    #[must_use]
    pub fn with_positions(self, schema: &mut Schema, name: &str, limit: usize, width: usize, deviation: f32) -> Self {
        let positions =
            schema.table(name, Axis::new("positions", limit), width_axis(width), Initial::Normal(deviation));
        Self { positions: Some(positions), ..self }
    }

    /// Ids `[tokens]` to `[tokens, width]`.
    pub fn forward(&self, weights: &Weights, tokens: &[u32], positions: &[u32]) -> Tensor {
        let embedded = weights.table(self.tokens).gather(tokens);
        match self.positions {
            Some(table) => embedded.add(&weights.table(table).gather(positions)),
            None => embedded,
        }
    }

    /// The token table, which a tied head multiplies with.
    pub fn tokens(&self) -> TableId {
        self.tokens
    }
}
