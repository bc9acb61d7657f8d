//! What a decoder has read of a text: the keys and values of each layer, so that the next token costs one token.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bantam_kernels::attention::{AttentionShape, BLOCK, PastBlock, PastFormat, Text, attend_past};
use bantam_kernels::memory::Buffer;
use bantam_kernels::pool;
use bantam_kernels::rotary::{Angles, Frequencies};
use bantam_tensor::Tensor;

/// One text's past. A clone shares all blocks until one of the two goes on, so that texts with one beginning keep it once.
#[derive(Clone)]
pub struct Past {
    format: PastFormat,
    /// `[layers][blocks]`, of [`BLOCK`] tokens each.
    layers: Vec<Vec<Arc<Block>>>,
    tokens: usize,
    /// Tokens that the pass under way adds.
    coming: usize,
    meter: PastMeter,
}

/// Counts the memory of the pasts that were begun with it, and of their clones: blocks that several share count once.
#[derive(Clone, Default)]
pub struct PastMeter(Arc<AtomicUsize>);

impl PastMeter {
    /// Bytes in use now.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A block that its past's meter knows of.
struct Block {
    block: PastBlock,
    meter: PastMeter,
}

impl Block {
    fn new(block: PastBlock, meter: &PastMeter) -> Self {
        meter.0.fetch_add(block.bytes(), Ordering::Relaxed);
        Self { block, meter: meter.clone() }
    }
}

impl Clone for Block {
    fn clone(&self) -> Self {
        Self::new(self.block.clone(), &self.meter)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.meter.0.fetch_sub(self.block.bytes(), Ordering::Relaxed);
    }
}

impl Default for Past {
    fn default() -> Self {
        Self::new()
    }
}

impl Past {
    /// Tokens whose keys and values are kept, and shared, as one.
    pub const BLOCK: usize = BLOCK;

    /// A past of no tokens, in the machine's fastest format.
    pub fn new() -> Self {
        Self::in_format(PastFormat::fastest())
    }

    /// A past of no tokens.
    pub fn in_format(format: PastFormat) -> Self {
        Self { format, layers: Vec::new(), tokens: 0, coming: 0, meter: PastMeter::default() }
    }

    /// The same past, with the memory of what is still to be read counted.
    #[must_use]
    pub fn metered(self, meter: &PastMeter) -> Self {
        Self { meter: meter.clone(), ..self }
    }

    /// Tokens read.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The memory that it takes, shared blocks included.
    pub fn bytes(&self) -> usize {
        self.layers.iter().flatten().map(|block| block.block.bytes()).sum()
    }

    /// Forgets all but the first `tokens`.
    pub fn truncate(&mut self, tokens: usize) {
        self.tokens = self.tokens.min(tokens);
        self.layers.iter_mut().for_each(|blocks| blocks.truncate(self.tokens.div_ceil(BLOCK)));
    }

    /// Writes the new tokens' rows of fused queries, keys and values in a layer.
    fn write(&mut self, layer: usize, shape: &AttentionShape, rows: &[f32], angles: Option<&Angles>) {
        if self.layers.len() <= layer {
            self.layers.resize_with(layer + 1, Vec::new);
        }
        let (blocks, width) = (&mut self.layers[layer], shape.row_width());
        self.coming = rows.len() / width;
        let (first, end) = (self.tokens, self.tokens + self.coming);
        while blocks.len() * BLOCK < end {
            blocks.push(Arc::new(Block::new(PastBlock::new(shape, self.format), &self.meter)));
        }
        let first_block = first / BLOCK;
        pool::for_each_chunk(&mut blocks[first_block..end.div_ceil(BLOCK)], 1, |index, block| {
            let start = (first_block + index) * BLOCK;
            let tokens = first.max(start)..end.min(start + BLOCK);
            let rows = &rows[(tokens.start - first) * width..(tokens.end - first) * width];
            Arc::make_mut(&mut block[0]).block.write(shape, tokens.start - start, rows, angles, tokens.start);
        });
    }

    fn advance(&mut self) {
        self.tokens += std::mem::take(&mut self.coming);
    }
}

/// The pasts of a batch's documents in one pass, which visits the layers in order.
#[derive(Default)]
pub(crate) struct Pasts {
    pasts: Vec<Past>,
    layer: usize,
}

impl Pasts {
    pub(crate) fn new(pasts: Vec<Past>) -> Self {
        Self { pasts, layer: 0 }
    }

    /// Attention of the next layer from its fused rows, which are kept for tokens to come; from a row on, they are of prompts. Queries and keys
    /// are turned by their positions, where these turn.
    pub(crate) fn attend(
        &mut self,
        shape: &AttentionShape,
        fused: &Tensor,
        rotary: Option<&Frequencies>,
        starts: &[usize],
        first_prompt_row: usize,
    ) -> Tensor {
        let (layer, width) = (self.layer, shape.row_width());
        self.layer += 1;
        assert_eq!(self.pasts.len() + 1, starts.len(), "one past per document");
        let lengths = self.pasts.iter().zip(starts.windows(2)).map(|(past, rows)| past.tokens + rows[1] - rows[0]);
        let longest = lengths.max().unwrap_or(0);
        let angles = rotary.map(|frequencies| Angles::up_to(frequencies, longest));
        for (past, rows) in self.pasts.iter_mut().zip(starts.windows(2)) {
            past.write(layer, shape, &fused.data()[rows[0] * width..rows[1] * width], angles.as_ref());
        }
        let texts: Vec<Text<'_>> = self
            .pasts
            .iter()
            .zip(starts.windows(2))
            .map(|(past, rows)| Text {
                rows: rows[0]..rows[1],
                past: past.tokens,
                blocks: past.layers[layer].iter().map(|block| &block.block).collect(),
                is_prompt: rows[0] >= first_prompt_row,
            })
            .collect();
        let out_shape = [fused.rows(), shape.heads * shape.head_dim];
        let mut out = Buffer::scratch(out_shape.iter().product());
        attend_past(shape, fused.data(), angles.as_ref(), &texts, &mut out);
        Tensor::new(out_shape, out)
    }

    /// The pasts after the pass.
    pub(crate) fn finish(mut self) -> Vec<Past> {
        self.pasts.iter_mut().for_each(Past::advance);
        self.pasts
    }
}
