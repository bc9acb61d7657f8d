//! Keys and values as codes of 8 bits, each head of each token with a scale, widened before they are multiplied.

use super::super::AttentionShape;
use super::wide::{self, Panel, WideLeft};
use super::{BLOCK, Block, Head, Numbers, PastBlock};
use crate::gemm::block::{BlockProduct, PANEL};
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
    type Left<'a> = WideLeft<'a>;
    type Panel = Panel;

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

    fn panel(product: &BlockProduct, dim: usize) -> Panel {
        Panel::new(product, dim)
    }

    fn left_words(product: &BlockProduct, rows: usize, length: usize) -> usize {
        wide::left_words(product, rows, length)
    }

    #[inline(always)]
    fn left<'a>(
        product: &BlockProduct,
        data: &'a [f32],
        row: usize,
        length: usize,
        space: &'a mut Buffer,
    ) -> WideLeft<'a> {
        wide::left(product, data, row, length, space)
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
        queries: &WideLeft<'_>,
        panel: &mut Panel,
        scores: &mut [f32],
        scores_row: usize,
    ) {
        for (out, &code) in panel.wide[..head.dim * BLOCK].iter_mut().zip(self.keys(head)) {
            *out = f32::from(code);
        }
        wide::score(product, head.dim, rows, queries, panel, scores, scores_row);
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
        probabilities: &WideLeft<'_>,
        first: usize,
        panel: &mut Panel,
        out: &mut [f32],
        add: bool,
    ) {
        self.wide_values(head, tokens, &mut panel.wide);
        wide::attend(product, head.dim, rows, tokens, probabilities, first, panel, out, add);
    }
}
