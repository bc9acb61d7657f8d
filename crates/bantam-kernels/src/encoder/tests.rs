//! Whole layers against plain sums in f64 with the same rounded weights, on every instruction set; and that rows do not depend on company.

use super::*;
use crate::activation::Activation;
use crate::attention::AttentionShape;
use crate::gemm::{PackedFormat, PackedMatrix, quantize_rows};
use crate::testing::{Random, assert_close, for_each_isa};

/// A matrix in int8, and the numbers that its codes stand for.
struct Weight {
    packed: PackedMatrix,
    numbers: Vec<f32>,
    bias: Vec<f32>,
    columns: usize,
}

impl Weight {
    fn new(random: &mut Random, rows: usize, columns: usize) -> Self {
        let numbers: Vec<f32> = random.vector(rows * columns).iter().map(|x| x / (columns as f32).sqrt()).collect();
        let (codes, scales) = quantize_rows(&numbers, rows, columns);
        let packed = PackedMatrix::pack(&numbers, rows, columns, PackedFormat::Int8);
        let numbers = codes.iter().enumerate().map(|(i, &code)| f32::from(code) * scales[i / columns]).collect();
        Weight { packed, numbers, bias: random.vector(rows), columns }
    }

    fn times(&self, x: &[f32]) -> Vec<f32> {
        let rows = self.numbers.chunks(self.columns).zip(&self.bias);
        let dot = |row: &[f32]| row.iter().zip(x).map(|(a, b)| f64::from(a * b)).sum::<f64>() as f32;
        rows.map(|(row, bias)| dot(row) + bias).collect()
    }
}

/// The gain and bias of a norm.
struct Ends(Vec<f32>, Vec<f32>);

const EPSILON: f32 = 1e-5;

impl Ends {
    fn new(random: &mut Random, width: usize) -> Self {
        Ends(random.vector(width), random.vector(width))
    }

    fn norm(&self) -> LayerNorm<'_> {
        LayerNorm { weight: &self.0, bias: Some(&self.1), epsilon: EPSILON }
    }

    fn apply(&self, x: &[f32], change: &[f32]) -> Vec<f32> {
        let sum: Vec<f64> = x.iter().zip(change).map(|(a, b)| f64::from(a + b)).collect();
        let mean = sum.iter().sum::<f64>() / sum.len() as f64;
        let variance = sum.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / sum.len() as f64;
        let root = (variance + f64::from(EPSILON)).sqrt();
        sum.iter().zip(self.0.iter().zip(&self.1)).map(|(x, (w, b))| ((x - mean) / root) as f32 * w + b).collect()
    }
}

fn starts(lengths: &[usize]) -> Vec<usize> {
    let mut starts = vec![0];
    lengths.iter().for_each(|length| starts.push(starts[starts.len() - 1] + length));
    starts
}

fn attended(shape: &AttentionShape, fused: &[Vec<f32>], query: usize) -> Vec<f32> {
    let (dim, width) = (shape.head_dim, shape.heads * shape.head_dim);
    let mut out = vec![0.0; width];
    for head in 0..shape.heads {
        let part = |row: &[f32], kind: usize| row[kind * width + head * dim..][..dim].to_vec();
        let q = part(&fused[query], 0);
        let power = |row: &Vec<f32>| {
            let score: f32 = q.iter().zip(part(row, 1)).map(|(a, b)| a * b).sum();
            f64::from(score * shape.scale).exp()
        };
        let powers: Vec<f64> = fused.iter().map(power).collect();
        let total: f64 = powers.iter().sum();
        for (row, power) in fused.iter().zip(&powers) {
            for (out, value) in out[head * dim..][..dim].iter_mut().zip(part(row, 2)) {
                *out += (power / total) as f32 * value;
            }
        }
    }
    out
}

/// Heads, their size, width of the stream, and lengths of the documents: with and without pieces, tails and long documents.
const ATTENTION: [(usize, usize, usize, &[usize]); 5] = [
    (12, 32, 384, &[16]),
    (12, 32, 384, &[1, 16, 40, 3, 70, 16, 16, 25, 130, 8]),
    (3, 10, 30, &[5, 1, 20]),
    (2, 16, 50, &[7]),
    (8, 64, 96, &[33, 2]),
];

#[test]
fn attention_layers_are_what_the_formula_says() {
    let mut random = Random::new(1);
    for (heads, head_dim, width, lengths) in ATTENTION {
        let shape = AttentionShape { heads, kv_heads: heads, head_dim, causal: false, window: None, scale: 0.7 };
        let columns = heads * head_dim;
        let (input, output) = (Weight::new(&mut random, 3 * columns, width), Weight::new(&mut random, width, columns));
        let (ends, starts) = (Ends::new(&mut random, width), starts(lengths));
        let layer = AttentionLayer {
            shape,
            input: &input.packed,
            input_bias: Some(&input.bias),
            output: &output.packed,
            output_bias: Some(&output.bias),
            norm: ends.norm(),
        };
        let tokens = starts[starts.len() - 1];
        let x = random.vector(tokens * width);
        let rows: Vec<&[f32]> = x.chunks(width).collect();
        let mut expected = Vec::new();
        for document in starts.windows(2) {
            let fused: Vec<Vec<f32>> = rows[document[0]..document[1]].iter().map(|row| input.times(row)).collect();
            for query in 0..fused.len() {
                let change = output.times(&attended(&shape, &fused, query));
                expected.extend(ends.apply(rows[document[0] + query], &change));
            }
        }
        let first: Vec<f32> =
            starts[..lengths.len()].iter().flat_map(|&row| &expected[row * width..][..width]).copied().collect();
        for_each_isa(|isa| {
            let what = format!("{isa}, {heads} heads of {head_dim}, width {width}, {lengths:?}");
            let mut out = vec![0.0; x.len()];
            attention_layer(&layer, &x, &starts, Queries::All, &mut out);
            assert_close(&out, &expected, 0.03, &what);
            let mut out = vec![0.0; first.len()];
            attention_layer(&layer, &x, &starts, Queries::First, &mut out);
            assert_close(&out, &first, 0.03, &what);
        });
    }
}

#[test]
fn feed_forward_layers_are_what_the_formula_says() {
    let mut random = Random::new(2);
    let cases = [(384, 1536, 16), (384, 1536, 250), (50, 100, 7), (30, 1000, 30), (64, 256, 1)];
    for (width, channels, rows) in cases {
        let (up, down) = (Weight::new(&mut random, channels, width), Weight::new(&mut random, width, channels));
        let (ends, x) = (Ends::new(&mut random, width), random.vector(rows * width));
        for activation in [Activation::Gelu, Activation::Relu] {
            let layer = FeedForwardLayer {
                up: &up.packed,
                up_bias: Some(&up.bias),
                activation,
                down: &down.packed,
                down_bias: Some(&down.bias),
                norm: ends.norm(),
            };
            let mut expected = Vec::new();
            for row in x.chunks(width) {
                let wide = up.times(row);
                let mut bent = vec![0.0; channels];
                crate::activation::forward(activation, &wide, &mut bent);
                expected.extend(ends.apply(row, &down.times(&bent)));
            }
            for_each_isa(|isa| {
                let mut out = vec![0.0; x.len()];
                feed_forward_layer(&layer, &x, &mut out);
                assert_close(&out, &expected, 0.03, &format!("{isa}, {width}, {channels}, {rows}, {activation:?}"));
            });
        }
    }
}

#[test]
fn rows_depend_neither_on_company_nor_on_threads() {
    let (mut random, width, heads) = (Random::new(3), 128, 8);
    let shape = AttentionShape { heads, kv_heads: heads, head_dim: 64, causal: false, window: None, scale: 0.125 };
    let (input, output) = (Weight::new(&mut random, 1536, width), Weight::new(&mut random, width, 512));
    let (up, down) = (Weight::new(&mut random, 1536, width), Weight::new(&mut random, width, 1536));
    let ends = Ends::new(&mut random, width);
    let attention = AttentionLayer {
        shape,
        input: &input.packed,
        input_bias: None,
        output: &output.packed,
        output_bias: None,
        norm: ends.norm(),
    };
    let feed_forward = FeedForwardLayer {
        up: &up.packed,
        up_bias: None,
        activation: Activation::Gelu,
        down: &down.packed,
        down_bias: None,
        norm: ends.norm(),
    };
    let starts = starts(&[16, 3, 90, 16, 1, 44, 60, 16, 16]);
    let x = random.vector(starts[9] * width);
    let both = |x: &[f32], starts: &[usize]| {
        let (mut middle, mut out) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        attention_layer(&attention, x, starts, Queries::All, &mut middle);
        feed_forward_layer(&feed_forward, &middle, &mut out);
        out
    };
    for_each_isa(|isa| {
        let alone: Vec<f32> = pool::with_threads(1, || {
            let document = |ends: &[usize]| both(&x[ends[0] * width..ends[1] * width], &[0, ends[1] - ends[0]]);
            starts.windows(2).flat_map(document).collect()
        });
        for threads in [1, 2, 3, 16] {
            let together = pool::with_threads(threads, || both(&x, &starts));
            assert!(alone == together, "{isa}, {threads} threads");
        }
    });
}
