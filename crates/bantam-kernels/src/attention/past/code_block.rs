//! Keys and values as codes of 8 bits, each head of each token with a scale, widened before they are multiplied.

use super::super::AttentionShape;
use super::{BLOCK, Block, Head, Numbers, PastBlock, wide};
use crate::gemm::block::{BlockProduct, Left, PANEL};
use crate::gemm::quantize::{largest_bits, scale_of};
use crate::half::prefetch;
use crate::memory::Buffer;

#[derive(Clone)]
pub(super) struct CodeBlock {
    /// `[kv_heads][head_dim][BLOCK]`: a number of all tokens side by side, as scores are computed.
    keys: Vec<i8>,
    /// `[kv_heads][BLOCK]`.
    key_scales: Vec<f32>,
    /// `[kv_heads][BLOCK][head_dim]`.
    values: Vec<i8>,
    /// `[kv_heads][BLOCK]`.
    value_scales: Vec<f32>,
}

impl CodeBlock {
    pub(super) fn new(shape: &AttentionShape) -> Self {
        let codes = || vec![0; shape.kv_heads * shape.head_dim * BLOCK];
        let scales = || vec![0.0; shape.kv_heads * BLOCK];
        Self { keys: codes(), key_scales: scales(), values: codes(), value_scales: scales() }
    }

    fn keys(&self, head: Head) -> &[i8] {
        &self.keys[head.index * head.dim * BLOCK..][..head.dim * BLOCK]
    }

    fn values(&self, head: Head) -> &[i8] {
        &self.values[head.index * head.dim * BLOCK..][..head.dim * BLOCK]
    }

    /// The first tokens' values as panels `[panels of numbers][BLOCK][PANEL]`.
    #[inline(always)]
    fn wide_values(&self, head: Head, tokens: usize, out: &mut [f32]) {
        let scales = &self.value_scales[head.index * BLOCK..][..tokens];
        for (token, (value, &scale)) in self.values(head).chunks_exact(head.dim).zip(scales).enumerate() {
            for (panel, part) in value.chunks(PANEL).enumerate() {
                let out = &mut out[(panel * BLOCK + token) * PANEL..][..part.len()];
                for (out, &code) in out.iter_mut().zip(part) {
                    *out = f32::from(code) * scale;
                }
            }
        }
    }
}

/// Writes the codes of a row to their places, and gives their scale.
fn quantize<'a>(row: &[f32], places: impl Iterator<Item = &'a mut i8>) -> f32 {
    let (inverse, scale) = scale_of(largest_bits(row));
    places.zip(row).for_each(|(place, x)| *place = (x * inverse).round_ties_even() as i8);
    scale
}

impl Block for CodeBlock {
    type Left<'a> = Left<'a>;

    #[inline(always)]
    fn of(block: &PastBlock) -> &Self {
        match &block.numbers {
            Numbers::Codes(block) => block,
            _ => panic!("the blocks of a text are of one format"),
        }
    }

    fn bytes(&self) -> usize {
        self.keys.len() + self.values.len() + 4 * (self.key_scales.len() + self.value_scales.len())
    }

    fn write(&mut self, dim: usize, token: usize, keys: &[f32], values: &[f32]) {
        for (head, (key, value)) in keys.chunks_exact(dim).zip(values.chunks_exact(dim)).enumerate() {
            let place = head * BLOCK + token;
            let keys = self.keys[head * dim * BLOCK + token..].iter_mut().step_by(BLOCK);
            self.key_scales[place] = quantize(key, keys);
            self.value_scales[place] = quantize(value, self.values[place * dim..][..dim].iter_mut());
        }
    }

    fn left_words(_: usize, _: usize) -> usize {
        0
    }

    fn panel_words(dim: usize) -> usize {
        wide::panel_words(dim)
    }

    #[inline(always)]
    fn left<'a>(data: &'a [f32], row: usize, _: usize, _: &'a mut Buffer) -> Left<'a> {
        Left { data, row, step: 1 }
    }

    #[inline(always)]
    fn ask_keys(&self, head: Head) {
        prefetch(self.keys(head));
    }

    #[inline(always)]
    fn ask_values(&self, head: Head) {
        prefetch(self.values(head));
    }

    #[inline(always)]
    fn score(
        &self,
        product: &BlockProduct,
        head: Head,
        rows: usize,
        queries: &Left<'_>,
        panel: &mut Buffer,
        scores: &mut [f32],
        scores_row: usize,
    ) {
        let panel = &mut panel[..head.dim * BLOCK];
        for (out, &code) in panel.iter_mut().zip(self.keys(head)) {
            *out = f32::from(code);
        }
        wide::score(product, rows, *queries, panel, scores, scores_row);
        let scales = &self.key_scales[head.index * BLOCK..][..BLOCK];
        for row in 0..rows {
            for (score, scale) in scores[row * scores_row..][..BLOCK].iter_mut().zip(scales) {
                *score *= scale;
            }
        }
    }

    #[inline(always)]
    fn attend(
        &self,
        product: &BlockProduct,
        head: Head,
        rows: usize,
        tokens: usize,
        probabilities: &Left<'_>,
        first: usize,
        panel: &mut Buffer,
        out: &mut [f32],
        add: bool,
    ) {
        let (dim, left) = (head.dim, probabilities.from(0, first));
        self.wide_values(head, tokens, panel);
        wide::attend(product, dim, rows, tokens, left, panel, out, add);
    }
}
