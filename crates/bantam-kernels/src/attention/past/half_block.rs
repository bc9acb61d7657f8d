//! Keys and values in half precision, of which 11 bits count, widened as they are multiplied or before.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::super::AttentionShape;
use super::wide::{self, Panel, WideLeft};
use super::{BLOCK, Block, Head, Numbers, PastBlock};
use crate::gemm::block::{BlockProduct, Left, PANEL, ROWS, Target};
use crate::half::{prefetch, widen};
use crate::memory::Buffer;

#[derive(Clone)]
pub(super) struct HalfBlock {
    /// `[kv_heads][head_dim][BLOCK]`: a number of all tokens side by side, as scores are computed.
    keys: Buffer,
    /// `[kv_heads][BLOCK][head_dim]`.
    values: Buffer,
}

impl HalfBlock {
    pub(super) fn new(shape: &AttentionShape) -> Self {
        let empty = || Buffer::zeroed(shape.kv_heads * shape.head_dim * BLOCK / 2);
        Self { keys: empty(), values: empty() }
    }

    fn keys(&self, head: Head) -> &[f16] {
        &self.keys.halves()[head.index * head.dim * BLOCK..][..head.dim * BLOCK]
    }

    fn values(&self, head: Head) -> &[f16] {
        &self.values.halves()[head.index * head.dim * BLOCK..][..head.dim * BLOCK]
    }

    /// The values as panels `[panels of numbers][BLOCK][PANEL]`.
    fn wide_values(&self, head: Head, out: &mut [f32]) {
        let values = self.values(head);
        if head.dim == PANEL {
            return widen(values, out);
        }
        for (token, value) in values.chunks_exact(head.dim).enumerate() {
            for (panel, part) in value.chunks(PANEL).enumerate() {
                widen(part, &mut out[(panel * BLOCK + token) * PANEL..][..part.len()]);
            }
        }
    }

    /// The rows, where the numbers are widened inside the product: better where each is used by few.
    #[inline(always)]
    fn direct<'a>(product: &BlockProduct, left: &WideLeft<'a>, rows: usize, head: Head) -> Option<Left<'a>> {
        match left {
            WideLeft::Numbers(left) if rows <= ROWS && head.dim.is_multiple_of(16) && product.has_half() => Some(*left),
            _ => None,
        }
    }
}

impl Block for HalfBlock {
    type Left<'a> = WideLeft<'a>;
    type Panel = Panel;

    #[inline(always)]
    fn of(block: &PastBlock) -> &Self {
        match &block.numbers {
            Numbers::Half(block) => block,
            _ => panic!("the blocks of a text are of one format"),
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.keys) + size_of_val(&*self.values)
    }

    fn write(&mut self, dim: usize, token: usize, keys: &[f32], values: &[f32]) {
        let mut narrow = vec![f16::ZERO; keys.len()];
        narrow.convert_from_f32_slice(keys);
        for (place, key) in self.keys.halves_mut()[token..].iter_mut().step_by(BLOCK).zip(&narrow) {
            *place = *key;
        }
        for (head, value) in values.chunks_exact(dim).enumerate() {
            self.values.halves_mut()[(head * BLOCK + token) * dim..][..dim].convert_from_f32_slice(value);
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
        if let Some(queries) = Self::direct(product, queries, rows, head) {
            let target = Target { data: scores, row: scores_row, add: false };
            return product.multiply_half([rows, BLOCK], queries, self.keys(head), BLOCK, target);
        }
        widen(self.keys(head), &mut panel.wide[..head.dim * BLOCK]);
        wide::score(product, head.dim, rows, queries, panel, scores, scores_row);
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
        let dim = head.dim;
        if let Some(probabilities) = Self::direct(product, probabilities, rows, head) {
            let left = probabilities.from(0, first);
            for number in (0..dim).step_by(PANEL) {
                let target = Target { data: &mut out[number..], row: dim, add };
                let values = &self.values(head)[number..tokens * dim];
                product.multiply_half([rows, PANEL.min(dim - number)], left, values, dim, target);
            }
            return;
        }
        self.wide_values(head, &mut panel.wide);
        wide::attend(product, dim, rows, tokens, probabilities, first, panel, out, add);
    }
}
