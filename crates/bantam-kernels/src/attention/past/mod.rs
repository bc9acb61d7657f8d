//! Attention of new tokens to all that came before: for answers that grow token by token.
//!
//! What came before is kept in blocks of [`BLOCK`] tokens, so that texts can share the blocks of a common beginning. New tokens are written
//! there first and then read like the others. A task is one key head of one text with some of its queries and a stretch of its keys; where
//! a single query has many keys, several tasks share them and their parts are put together at the end.
//!
//! A row's numbers do not depend on the rows beside it, nor on how a text was cut: keys are always taken in stretches of [`BLOCKS`] blocks,
//! each with its own softmax, whose parts are merged in order. So a text that was read in pieces, or together with others, or from a shared
//! beginning, gives the same bytes.

use std::ops::Range;

use super::AttentionShape;
use crate::gemm::block::{BlockProduct, PANEL};
use crate::isa::Isa;
use crate::memory::Buffer;
use crate::pool::{self, Shared};
use crate::rotary::Angles;
use crate::vectorized::vectorized;

mod code_block;
mod half_block;
mod pair_block;
mod piece;
#[cfg(test)]
mod tests;
mod wide;

use code_block::CodeBlock;
use half_block::HalfBlock;
use pair_block::PairBlock;
use piece::{Attended, Piece, Room, join};

/// Tokens per block.
pub const BLOCK: usize = PANEL;
/// Blocks that share one softmax.
const BLOCKS: usize = 4;
/// Queries that one task handles at most, and of a prompt by AMX, where bringing a block into order takes as long as 16 of them.
const QUERIES: usize = 16;
const TALL_QUERIES: usize = 32;

/// What keys and values are kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastFormat {
    /// Half precision, of which 11 bits count, multiplied as f32.
    F16,
    /// bf16, of which 8 bits count, multiplied in pairs; queries and probabilities are rounded likewise.
    Bf16,
    /// Codes of 8 bits, each head of each token with a scale, multiplied as f32: about half the memory.
    Int8,
}

impl PastFormat {
    /// The faster one of 16 bits on this machine.
    pub fn fastest() -> Self {
        if Isa::current().pairs_are_fast() { Self::Bf16 } else { Self::F16 }
    }
}

/// Keys and values of up to [`BLOCK`] tokens in one layer.
#[derive(Clone)]
pub struct PastBlock {
    numbers: Numbers,
}

#[derive(Clone)]
enum Numbers {
    Half(HalfBlock),
    Pairs(PairBlock),
    Codes(CodeBlock),
}

impl PastBlock {
    /// A block without tokens.
    pub fn new(shape: &AttentionShape, format: PastFormat) -> Self {
        let numbers = match format {
            PastFormat::F16 => Numbers::Half(HalfBlock::new(shape)),
            PastFormat::Bf16 => Numbers::Pairs(PairBlock::new(shape)),
            PastFormat::Int8 => Numbers::Codes(CodeBlock::new(shape)),
        };
        Self { numbers }
    }

    /// The memory that it takes.
    pub fn bytes(&self) -> usize {
        match &self.numbers {
            Numbers::Half(block) => block.bytes(),
            Numbers::Pairs(block) => block.bytes(),
            Numbers::Codes(block) => block.bytes(),
        }
    }

    /// Writes tokens `first..first + rows` of the block from rows of fused queries, keys and values; keys are turned by their tokens' angles, where
    /// there are angles, of which `position` is the first token's.
    ///
    /// # Panics
    /// When they are more than the block has room for, or a token has no angle.
    pub fn write(
        &mut self,
        shape: &AttentionShape,
        first: usize,
        rows: &[f32],
        angles: Option<&Angles>,
        position: usize,
    ) {
        let (width, row) = (shape.row_width(), shape.kv_heads * shape.head_dim);
        assert!(first + rows.len() / width <= BLOCK, "a block holds {BLOCK} tokens");
        let parts = || rows.chunks_exact(width).map(|all| all[shape.heads * shape.head_dim..].split_at(row));
        let mut turned = Buffer::scratch(if angles.is_some() { rows.len() / width * row } else { 0 });
        if let Some(angles) = angles {
            vectorized(
                #[inline(always)]
                || {
                    for ((position, (keys, _)), turned) in (position..).zip(parts()).zip(turned.chunks_exact_mut(row)) {
                        turned.copy_from_slice(keys);
                        angles.turn(turned, position, 1.0);
                    }
                },
            );
        }
        for (index, (keys, values)) in parts().enumerate() {
            let (token, dim) = (first + index, shape.head_dim);
            let keys = if angles.is_some() { &turned[index * row..][..row] } else { keys };
            match &mut self.numbers {
                Numbers::Half(block) => block.write(dim, token, keys, values),
                Numbers::Pairs(block) => block.write(dim, token, keys, values),
                Numbers::Codes(block) => block.write(dim, token, keys, values),
            }
        }
    }
}

/// One key head, and its numbers per token.
#[derive(Clone, Copy)]
struct Head {
    index: usize,
    dim: usize,
}

/// One way to keep and multiply keys and values. `rows` are any number of rows of queries or of probabilities.
trait Block {
    /// Rows of numbers as they are multiplied by a block.
    type Left<'a>;

    /// The numbers of a block that are kept this way.
    fn of(block: &PastBlock) -> &Self;

    fn bytes(&self) -> usize;

    /// Writes one token's keys and values, `[kv_heads][dim]` each.
    fn write(&mut self, dim: usize, token: usize, keys: &[f32], values: &[f32]);

    /// What [`Block::score`] and [`Block::attend`] work in.
    type Panel;

    /// Room for a head of so many numbers.
    fn panel(product: &BlockProduct, dim: usize) -> Self::Panel;

    /// Words that [`Block::left`] needs for rows of `length` numbers.
    fn left_words(product: &BlockProduct, rows: usize, length: usize) -> usize;

    /// The first `length` numbers of rows that are `row` apart, in `space` where they are converted.
    fn left<'a>(
        product: &BlockProduct,
        data: &'a [f32],
        row: usize,
        length: usize,
        space: &'a mut Buffer,
    ) -> Self::Left<'a>;

    /// Asks for a head's keys, which are needed soon.
    fn ask_keys(&self, head: Head);

    /// Asks for a head's values.
    fn ask_values(&self, head: Head);

    /// The products of rows of queries with all keys, into rows of scores.
    fn score(
        &self,
        product: &BlockProduct,
        head: Head,
        rows: usize,
        queries: &Self::Left<'_>,
        panel: &mut Self::Panel,
        scores: &mut [f32],
        scores_row: usize,
    );

    /// The values of the first `tokens` times their probabilities, which are those from `first` on in each row: written to `out`
    /// `[rows][dim]` or added to it.
    fn attend(
        &self,
        product: &BlockProduct,
        head: Head,
        rows: usize,
        tokens: usize,
        probabilities: &Self::Left<'_>,
        first: usize,
        panel: &mut Self::Panel,
        out: &mut [f32],
        add: bool,
    );
}

/// One text of a call.
pub struct Text<'a> {
    /// Its new tokens: rows of `qkv`.
    pub rows: Range<usize>,
    /// Tokens before them.
    pub past: usize,
    /// The blocks that hold those and the new ones.
    pub blocks: Vec<&'a PastBlock>,
    /// Whether the new ones are of a prompt: with AMX, all but the sums and the softmax is rounded to bf16, which is several times as fast.
    pub is_prompt: bool,
}

/// `out = softmax(scale * q·kᵀ)·v` for the new tokens of some texts, where each sees the tokens before it and itself.
///
/// `qkv` is `[tokens, row_width]` of which only the queries are read, `out` `[tokens, heads * head_dim]`. Where there are `angles`, queries are
/// turned by those of their positions, as keys were when they were written.
///
/// # Panics
/// When the shape is not causal or has a window, a text's blocks do not reach to its last token or differ in format, or a token has no angle.
pub fn attend_past(shape: &AttentionShape, qkv: &[f32], angles: Option<&Angles>, texts: &[Text<'_>], out: &mut [f32]) {
    assert!(shape.causal && shape.window.is_none(), "attention to a past is causal and sees all of it");
    let tokens = qkv.len() / shape.row_width();
    shape.expect("attend_past", tokens, &[("out", out.len(), shape.heads * shape.head_dim)], &[0, tokens]);
    let products = [BlockProduct::current(), BlockProduct::tall()];
    let pieces = pieces(shape, texts, if products[1].is_tall() { TALL_QUERIES } else { QUERIES });
    let slots = pieces.iter().filter(|piece| piece.slot.is_some()).count();
    let group = shape.heads / shape.kv_heads;
    let slot_width = group * (shape.head_dim + 2);
    let mut parts = Buffer::scratch(slots * slot_width);
    let (shared_out, shared_parts) = (Shared::new(out), Shared::new(&mut parts));
    pool::for_each(pieces.len(), |index| {
        let piece = &pieces[index];
        let product = &products[usize::from(piece.text.is_prompt)];
        let result = match piece.text.blocks[0].numbers {
            Numbers::Half(_) => run::<HalfBlock>(piece, shape, qkv, angles, product),
            Numbers::Pairs(_) => run::<PairBlock>(piece, shape, qkv, angles, product),
            Numbers::Codes(_) => run::<CodeBlock>(piece, shape, qkv, angles, product),
        };
        match piece.slot {
            // SAFETY: each piece has its own slot.
            Some(slot) => result.keep(unsafe { shared_parts.slice(slot * slot_width, slot_width) }),
            None => result.store(shape, piece, &shared_out),
        }
    });
    let mut index = 0;
    while index < pieces.len() {
        let piece = &pieces[index];
        let Some(slot) = piece.slot else {
            index += 1;
            continue;
        };
        let count = piece.text.blocks_seen(piece.queries.end).div_ceil(BLOCKS);
        let parts = &parts[slot * slot_width..][..count * slot_width];
        let place = (piece.text.rows.start * shape.heads + piece.kv_head * group) * shape.head_dim;
        join(parts, group, shape.head_dim, &mut out[place..][..group * shape.head_dim]);
        index += count;
    }
}

impl Text<'_> {
    /// Blocks that hold all that the queries before `end` see.
    fn blocks_seen(&self, end: usize) -> usize {
        (self.past + end).div_ceil(BLOCK)
    }
}

fn run<B: Block>(
    piece: &Piece<'_>,
    shape: &AttentionShape,
    qkv: &[f32],
    angles: Option<&Angles>,
    product: &BlockProduct,
) -> Attended {
    let mut room = Room::<B>::new(shape, piece, product);
    product.with_tall(|| {
        vectorized(
            #[inline(always)]
            || piece.run(shape, qkv, angles, product, &mut room),
        );
    });
    room.attended
}

/// All tasks; those that share a result stand side by side.
fn pieces<'a>(shape: &AttentionShape, texts: &'a [Text<'a>], most_prompt_queries: usize) -> Vec<Piece<'a>> {
    let (mut pieces, mut slots) = (Vec::new(), 0..);
    for text in texts {
        let length = text.rows.len();
        let most = if text.is_prompt { most_prompt_queries } else { QUERIES };
        assert!(text.blocks.len() >= text.blocks_seen(length), "a text of {} tokens lacks blocks", text.past + length);
        for kv_head in 0..shape.kv_heads {
            for first in (0..length).step_by(most) {
                let queries = first..length.min(first + most);
                let seen = text.blocks_seen(queries.end);
                let is_shared = length == 1 && seen > BLOCKS;
                let step = if is_shared { BLOCKS } else { seen };
                for block in (0..seen).step_by(step) {
                    let blocks = block..seen.min(block + step);
                    let slot = if is_shared { slots.next() } else { None };
                    pieces.push(Piece { text, kv_head, queries: queries.clone(), blocks, slot });
                }
            }
        }
    }
    pieces
}
