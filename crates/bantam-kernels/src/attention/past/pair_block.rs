//! Keys and values as pairs of bf16, of which 8 bits count, multiplied by the machine's own instruction for pairs.

use super::super::{AttentionShape, tiles};
use super::{BLOCK, Block, Head, Numbers, PastBlock};
use crate::gemm::block::{BlockProduct, PANEL, PairLeft, ROWS, Target, pack_pairs};
use crate::half::prefetch;
use crate::memory::Buffer;

/// Values are padded to whole vectors of this many pairs.
const LANES: usize = 16;

#[derive(Clone)]
pub(super) struct PairBlock {
    /// `[kv_heads][pairs of head_dim][BLOCK]`: two numbers of all tokens side by side, as scores are computed.
    keys: Buffer,
    /// `[kv_heads][BLOCK / 2][head_dim in whole vectors]`: a number of two tokens in a word.
    values: Buffer,
}

impl PairBlock {
    pub(super) fn new(shape: &AttentionShape) -> Self {
        let empty = |words: usize| Buffer::zeroed(shape.kv_heads * words);
        let head = Head { index: 0, dim: shape.head_dim };
        Self { keys: empty(key_words(head)), values: empty(value_words(head)) }
    }

    fn keys(&self, head: Head) -> &[u32] {
        &self.keys.words()[head.index * key_words(head)..][..key_words(head)]
    }

    fn values(&self, head: Head) -> &[u32] {
        &self.values.words()[head.index * value_words(head)..][..value_words(head)]
    }
}

fn key_words(head: Head) -> usize {
    head.dim.div_ceil(2) * BLOCK
}

fn value_words(head: Head) -> usize {
    BLOCK / 2 * head.dim.next_multiple_of(LANES)
}

impl Block for PairBlock {
    type Left<'a> = PairLeft<'a>;

    #[inline(always)]
    fn of(block: &PastBlock) -> &Self {
        match &block.numbers {
            Numbers::Pairs(block) => block,
            _ => panic!("the blocks of a text are of one format"),
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.keys) + size_of_val(&*self.values)
    }

    fn write(&mut self, dim: usize, token: usize, keys: &[f32], values: &[f32]) {
        let (row, mut words) = (dim.next_multiple_of(LANES), vec![0; dim.div_ceil(2)]);
        for (index, (key, value)) in keys.chunks_exact(dim).zip(values.chunks_exact(dim)).enumerate() {
            let head = Head { index, dim };
            pack_pairs(key, &mut words);
            let places = &mut self.keys.words_mut()[index * key_words(head) + token..];
            places.iter_mut().step_by(BLOCK).zip(&words).for_each(|(place, word)| *place = *word);
            pack_pairs(value, &mut words);
            let places = &mut self.values.words_mut()[index * value_words(head) + token / 2 * row..][..dim];
            for (places, word) in places.chunks_mut(2).zip(&words) {
                for (place, half) in places.iter_mut().zip([word & 0xffff, word >> 16]) {
                    // The second token of a pair is not there yet when the first is written: what an earlier text left must not count.
                    *place = if token.is_multiple_of(2) { half } else { *place & 0xffff | half << 16 };
                }
            }
        }
    }

    type Panel = ();

    fn panel(_: &BlockProduct, _: usize) {}

    fn left_words(_: &BlockProduct, rows: usize, length: usize) -> usize {
        rows * length.div_ceil(2)
    }

    #[inline(always)]
    fn left<'a>(_: &BlockProduct, data: &'a [f32], row: usize, length: usize, space: &'a mut Buffer) -> PairLeft<'a> {
        let words = length.div_ceil(2);
        for (data, words) in data.chunks(row).zip(space.words_mut().chunks_exact_mut(words)) {
            pack_pairs(&data[..length], words);
        }
        PairLeft { words: space.words(), row: words }
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
        queries: &PairLeft<'_>,
        (): &mut (),
        scores: &mut [f32],
        scores_row: usize,
    ) {
        for tile in tiles::<ROWS>(0..rows) {
            let target = Target { data: &mut scores[tile.start * scores_row..], row: scores_row, add: false };
            product.multiply_pairs([tile.len(), BLOCK], queries.from(tile.start, 0), self.keys(head), BLOCK, target);
        }
    }

    #[inline(always)]
    fn attend(
        &self,
        product: &BlockProduct,
        head: Head,
        rows: usize,
        tokens: usize,
        probabilities: &PairLeft<'_>,
        first: usize,
        (): &mut (),
        out: &mut [f32],
        add: bool,
    ) {
        let (dim, row) = (head.dim, head.dim.next_multiple_of(LANES));
        let values = &self.values(head)[..tokens.div_ceil(2) * row];
        for tile in tiles::<ROWS>(0..rows) {
            for number in (0..dim).step_by(PANEL) {
                let target = Target { data: &mut out[tile.start * dim + number..], row: dim, add };
                let left = probabilities.from(tile.start, first / 2);
                let columns = PANEL.min(dim - number);
                product.multiply_pairs([tile.len(), columns], left, &values[number..], row, target);
            }
        }
    }
}
