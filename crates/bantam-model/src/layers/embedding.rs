//! Token ids to vectors.

use bantam_tensor::{Table, Tensor};

use super::{Norm, vocabulary_axis, width_axis};
use crate::pass::Pass;
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

    /// The form for models that normalise what they embed, with rows of one more table where there are kinds of segment.
    pub fn forward_normed(
        &self,
        weights: &Weights,
        tokens: &[u32],
        positions: &[u32],
        kinds: Option<(TableId, &[u32])>,
        norm: &Norm,
        pass: &Pass,
    ) -> Tensor {
        let ids = [Some((self.tokens, tokens)), self.positions.map(|table| (table, positions)), kinds];
        let dense = |(table, ids)| match weights.table(table) {
            Table::Dense(table) if !table.is_tracked() => Some((table, ids)),
            _ => None,
        };
        let tables: Option<Vec<(&Tensor, &[u32])>> = ids.into_iter().flatten().map(dense).collect();
        if let (Some(tables), Some(norm), true) = (tables, norm.at_end(weights), pass.is_plain()) {
            return Tensor::embedding_layer(&tables, &norm);
        }
        let mut embedded = self.forward(weights, tokens, positions);
        if let Some((table, kinds)) = kinds {
            embedded = embedded.add(&weights.table(table).gather(kinds));
        }
        norm.forward(weights, &embedded)
    }

    /// The token table, which a tied head multiplies with.
    pub fn tokens(&self) -> TableId {
        self.tokens
    }
}
