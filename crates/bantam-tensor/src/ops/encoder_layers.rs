//! The layers of encoders as one op each, for inference with int8 weights; nothing here takes a gradient.

use crate::tensor::Tensor;
use bantam_kernels::encoder::{self, AttentionLayer, FeedForwardLayer, LayerNorm, Queries};
use bantam_kernels::memory::Buffer;

impl Tensor {
    /// The rows that ids name in tables `[ids in all, width]`, added and normalised: `[ids, width]`.
    pub fn embedding_layer(tables: &[(&Tensor, &[u32])], norm: &LayerNorm<'_>) -> Tensor {
        assert!(tables.iter().all(|(table, _)| !table.is_tracked()), "embedding_layer takes no gradient");
        let (rows, width) = (tables.first().map_or(0, |(_, ids)| ids.len()), norm.weight.len());
        let tables: Vec<(&[f32], &[u32])> = tables.iter().map(|(table, ids)| (table.data(), *ids)).collect();
        let mut out = Buffer::scratch(rows * width);
        encoder::embedding_layer(&tables, norm, &mut out);
        Tensor::new([rows, width], out)
    }

    /// A whole layer of attention over the documents `starts`: `[tokens, width]` becomes `[tokens, width]`, or `[documents, width]` where only the
    /// first token of each document asks.
    pub fn attention_layer(&self, layer: &AttentionLayer<'_>, starts: &[usize], queries: Queries) -> Tensor {
        assert!(!self.is_tracked(), "attention_layer takes no gradient: use the ops that it is made of");
        super::expect_starts("attention_layer", self, starts);
        let rows = if queries == Queries::All { self.rows() } else { starts.len() - 1 };
        let mut out = Buffer::scratch(rows * self.width());
        encoder::attention_layer(layer, self.data(), starts, queries, &mut out);
        Tensor::new([rows, self.width()], out)
    }

    /// A whole feed-forward layer: `[rows, width]` becomes `[rows, width]`.
    pub fn feed_forward_layer(&self, layer: &FeedForwardLayer<'_>) -> Tensor {
        assert!(!self.is_tracked(), "feed_forward_layer takes no gradient: use the ops that it is made of");
        let mut out = Buffer::scratch(self.data().len());
        encoder::feed_forward_layer(layer, self.data(), &mut out);
        Tensor::new([self.rows(), self.width()], out)
    }
}
