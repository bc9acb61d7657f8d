//! Attention to a past, against the definition, and however a text is cut.

use half::{bf16, f16};

use super::super::tests::truth;
use super::*;
use crate::rotary::{Frequencies, rotate};
use crate::testing::{Random, assert_close, for_each_isa};

/// How one head's numbers look in a format.
type Rounding = fn(&mut [f32]);

/// Formats, how numbers look in them, and the error that remains where all inputs look so: of f32 sums, or of probabilities in bf16.
const FORMATS: [(PastFormat, Rounding, f32); 3] = [
    (PastFormat::F16, |head| head.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32()), 2e-5),
    (PastFormat::Bf16, |head| head.iter_mut().for_each(|x| *x = bf16::from_f32(*x).to_f32()), 8e-3),
    (PastFormat::Int8, in_codes, 2e-5),
];

/// Each number as the nearest of 255 that are evenly spaced up to the largest.
fn in_codes(head: &mut [f32]) {
    let step = head.iter().map(|x| x.abs()).fold(0.0, f32::max) / 127.0;
    head.iter_mut().for_each(|x| *x = (*x / step).round() * step);
}

fn shape((heads, kv_heads, head_dim): (usize, usize, usize)) -> AttentionShape {
    let scale = (head_dim as f32).sqrt().recip();
    AttentionShape { heads, kv_heads, head_dim, causal: true, window: None, scale }
}

/// Texts of some tokens before and some new ones, against the definition on whole texts.
#[test]
fn new_tokens_see_what_came_before_on_every_instruction_set() {
    // Alone from the start; one more token, in the first block and far behind; a few across a border of blocks and of stretches. Each is tried as
    // an answer and as a prompt.
    let lengths = [(0, 40), (5, 1), (63, 1), (64, 1), (700, 1), (60, 21), (0, 1), (250, 30)];
    for_each_isa(|isa| {
        let mut random = Random::new(5);
        for (shape, (format, rounded, bound)) in [(4, 2, 6), (3, 1, 64), (9, 3, 32), (1, 1, 71)]
            .into_iter()
            .flat_map(|sizes| FORMATS.map(|f| (shape(sizes), f)))
        {
            let width = shape.row_width();
            let (mut rows, mut blocks, mut expected) = (Vec::new(), Vec::new(), Vec::new());
            for (past, new) in lengths {
                let mut qkv = random.vector((past + new) * width);
                qkv.chunks_exact_mut(shape.head_dim).for_each(rounded);
                blocks.push(written(&shape, format, &qkv));
                rows.extend_from_slice(&qkv[past * width..]);
                let all = truth(&shape, &qkv, &[0, past + new]);
                let own = all[past * shape.heads * shape.head_dim..].iter().map(|&x| x as f32);
                expected.extend(own);
            }
            let mut first = 0;
            let texts: Vec<Text<'_>> = lengths
                .iter()
                .zip(&blocks)
                .map(|(&(past, new), blocks)| {
                    let rows = first..first + new;
                    first += new;
                    Text { rows, past, blocks: blocks.iter().collect(), is_prompt: false }
                })
                .collect();
            let mut out = vec![9.0; expected.len()];
            attend_past(&shape, &rows, None, &texts, &mut out);
            assert_close(&out, &expected, bound, &format!("{shape:?} in {format:?} with {isa:?}"));
            let texts: Vec<Text<'_>> = texts.into_iter().map(|text| Text { is_prompt: true, ..text }).collect();
            attend_past(&shape, &rows, None, &texts, &mut out);
            // AMX rounds what is not rounded yet, too.
            let bound = if isa == Isa::Amx { bound.max(2e-2) } else { bound };
            assert_close(&out, &expected, bound, &format!("a prompt of {shape:?} in {format:?} with {isa:?}"));
        }
    });
}

/// The same bytes whether a text is read at once, in pieces, or token by token behind a text that was forgotten.
#[test]
fn results_do_not_depend_on_how_a_text_is_cut() {
    let length = 600;
    for_each_isa(|isa| {
        let mut random = Random::new(6);
        for (shape, (format, ..)) in
            [(3, 1, 64), (2, 2, 32), (4, 1, 33)].into_iter().flat_map(|sizes| FORMATS.map(|f| (shape(sizes), f)))
        {
            let width = shape.row_width();
            let qkv = random.vector(length * width);
            let blocks = written(&shape, format, &qkv);
            let attended = |cuts: &[usize], is_prompt: bool| -> Vec<f32> {
                let mut all = Vec::new();
                for ends in cuts.windows(2) {
                    let rows = &qkv[ends[0] * width..ends[1] * width];
                    let mut out = vec![9.0; (ends[1] - ends[0]) * shape.heads * shape.head_dim];
                    let (rows_read, blocks) = (0..ends[1] - ends[0], blocks.iter().collect());
                    let text = Text { rows: rows_read, past: ends[0], blocks, is_prompt };
                    attend_past(&shape, rows, None, &[text], &mut out);
                    all.extend(out);
                }
                all
            };
            for is_prompt in [false, true] {
                let whole = attended(&[0, length], is_prompt);
                for cuts in [vec![0, 1, 7, 64, 129, 300, 302, 513, length], (0..=length).collect()] {
                    let what = format!("{shape:?} in {format:?} with {isa:?}, cut in {}", cuts.len());
                    assert!(attended(&cuts, is_prompt) == whole, "{what}, of a prompt: {is_prompt}");
                }
            }
        }
    });
}

/// The same bytes whether queries and keys are turned by their positions before, or as they are read and written.
#[test]
fn positions_may_be_turned_as_rows_are_read() {
    let (past, length) = (90, 131);
    for_each_isa(|isa| {
        let mut random = Random::new(7);
        for (shape, (format, ..)) in
            [(3, 1, 64), (4, 2, 6), (2, 2, 34)].into_iter().flat_map(|sizes| FORMATS.map(|f| (shape(sizes), f)))
        {
            let (width, heads) = (shape.row_width(), shape.heads + shape.kv_heads);
            let plain = random.vector(length * width);
            let (mut turned, positions) = (plain.clone(), Vec::from_iter(0..length as u32));
            let frequencies = Frequencies::new(10_000.0, shape.head_dim);
            rotate(&mut turned, width, heads, &positions, &frequencies, false);
            let attended = |qkv: &[f32], angles: Option<&Angles>, is_prompt: bool| {
                let blocks = written_turned(&shape, format, qkv, angles);
                let mut out = vec![9.0; (length - past) * shape.heads * shape.head_dim];
                let text = Text { rows: 0..length - past, past, blocks: blocks.iter().collect(), is_prompt };
                attend_past(&shape, &qkv[past * width..], angles, &[text], &mut out);
                out
            };
            let angles = Angles::up_to(&frequencies, length);
            for is_prompt in [false, true] {
                let what = format!("{shape:?} in {format:?} with {isa:?}, of a prompt: {is_prompt}");
                assert!(attended(&plain, Some(&angles), is_prompt) == attended(&turned, None, is_prompt), "{what}");
            }
        }
    });
}

fn written(shape: &AttentionShape, format: PastFormat, qkv: &[f32]) -> Vec<PastBlock> {
    written_turned(shape, format, qkv, None)
}

/// The blocks of a text, each written in two parts over what another text left there.
fn written_turned(shape: &AttentionShape, format: PastFormat, qkv: &[f32], angles: Option<&Angles>) -> Vec<PastBlock> {
    let width = shape.row_width();
    let blocks = qkv.chunks(BLOCK * width).enumerate().map(|(index, rows)| {
        let mut block = PastBlock::new(shape, format);
        block.write(shape, 0, &vec![f32::NAN; BLOCK / 2 * width], angles, 0);
        let half = rows.len() / width / 2;
        block.write(shape, 0, &rows[..half * width], angles, index * BLOCK);
        block.write(shape, half, &rows[half * width..], angles, index * BLOCK + half);
        block
    });
    blocks.collect()
}
