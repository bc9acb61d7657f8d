//! Against the definition in f64, and gradients against differences of it.

use super::*;
use crate::testing::{Random, assert_close, for_each_isa};

/// The rule as the documentation says it.
fn sees(shape: &AttentionShape, query: usize, key: usize) -> bool {
    (!shape.causal || key <= query) && shape.window.is_none_or(|window| query.abs_diff(key) < window)
}

pub(super) fn truth(shape: &AttentionShape, qkv: &[f32], starts: &[usize]) -> Vec<f64> {
    let (width, dim, group) = (shape.row_width(), shape.head_dim, shape.heads / shape.kv_heads);
    let at = |token: usize, head: usize, i: usize| f64::from(qkv[token * width + head * dim + i]);
    let mut out = Vec::new();
    for document in starts.windows(2) {
        for query in document[0]..document[1] {
            for head in 0..shape.heads {
                let key_head = shape.heads + head / group;
                let seen: Vec<usize> = (document[0]..document[1])
                    .filter(|&key| sees(shape, query - document[0], key - document[0]))
                    .collect();
                let score = |&key: &usize| {
                    f64::from(shape.scale) * (0..dim).map(|i| at(query, head, i) * at(key, key_head, i)).sum::<f64>()
                };
                let weights: Vec<f64> = seen.iter().map(|key| score(key).exp()).collect();
                let total: f64 = weights.iter().sum();
                let value = |i: usize| {
                    let parts =
                        seen.iter().zip(&weights).map(|(&key, w)| w / total * at(key, key_head + shape.kv_heads, i));
                    parts.sum::<f64>()
                };
                out.extend((0..dim).map(value));
            }
        }
    }
    out
}

fn shapes() -> Vec<(AttentionShape, Vec<usize>)> {
    let shape = |heads, kv_heads, head_dim, causal, window| AttentionShape {
        heads,
        kv_heads,
        head_dim,
        causal,
        window,
        scale: (head_dim as f32).sqrt().recip(),
    };
    vec![
        (shape(1, 1, 2, true, None), vec![0, 1]),
        (shape(2, 2, 8, false, None), vec![0, 3, 3, 20]),
        (shape(4, 2, 6, true, None), vec![0, 17, 18]),
        (shape(2, 1, 32, true, Some(5)), vec![0, 9, 30]),
        (shape(2, 2, 16, false, Some(3)), vec![0, 40]),
        (shape(1, 1, 70, true, None), vec![0, 60, 61]),
        (shape(3, 1, 64, false, None), vec![0, 7, 50]),
        (shape(1, 1, 8, true, Some(50)), vec![0, 2, 152]),
        (shape(1, 1, 8, false, Some(31)), vec![0, 131]),
    ]
}

#[test]
fn outputs_and_gradients_follow_the_definition_on_every_instruction_set() {
    for_each_isa(|isa| {
        let mut random = Random::new(11);
        for (shape, starts) in shapes() {
            let tokens = *starts.last().unwrap();
            let (qkv, d_out) =
                (random.vector(tokens * shape.row_width()), random.vector(tokens * shape.heads * shape.head_dim));
            let (mut out, mut log_sum) = (vec![0.0; d_out.len()], vec![0.0; tokens * shape.heads]);
            forward(&shape, Precision::F32, &qkv, &starts, &mut out, &mut log_sum);
            let expected: Vec<f32> = truth(&shape, &qkv, &starts).iter().map(|&x| x as f32).collect();
            assert_close(&out, &expected, 1e-5, &format!("{shape:?} with {isa:?}"));

            let mut d_qkv = vec![9.0; qkv.len()];
            backward(&shape, Precision::F32, &qkv, &starts, &out, &log_sum, &d_out, &mut d_qkv);
            let loss = |qkv: &[f32]| -> f64 {
                truth(&shape, qkv, &starts).iter().zip(&d_out).map(|(y, &d)| y * f64::from(d)).sum()
            };
            // A few hundred places are enough, and the definition is slow.
            let step = qkv.len().div_ceil(150);
            let places: Vec<usize> = (0..qkv.len()).step_by(step).collect();
            let difference = |&place: &usize| {
                let moved = |by: f32| {
                    let mut moved = qkv.clone();
                    moved[place] += by;
                    loss(&moved)
                };
                ((moved(2e-3) - moved(-2e-3)) / 4e-3) as f32
            };
            let numeric: Vec<f32> = places.iter().map(difference).collect();
            let found: Vec<f32> = places.iter().map(|&place| d_qkv[place]).collect();
            assert_close(&found, &numeric, 5e-3, &format!("gradient of {shape:?} with {isa:?}"));
        }
    });
}

#[test]
fn first_tokens_alone_are_as_among_all_and_so_are_their_gradients() {
    for_each_isa(|isa| {
        let mut random = Random::new(13);
        for (shape, mut starts) in shapes() {
            starts.dedup();
            let (tokens, documents) = (*starts.last().unwrap(), starts.len() - 1);
            let width = shape.heads * shape.head_dim;
            let (qkv, d_out) = (random.vector(tokens * shape.row_width()), random.vector(documents * width));
            let (mut out, mut log_sum) = (vec![9.0; d_out.len()], vec![9.0; documents * shape.heads]);
            forward_first(&shape, &qkv, &starts, &mut out, &mut log_sum);
            let all = truth(&shape, &qkv, &starts);
            let first = |&start: &usize| all[start * width..][..width].iter().map(|&x| x as f32);
            let expected: Vec<f32> = starts[..documents].iter().flat_map(first).collect();
            let what = format!("{shape:?} with {isa:?}");
            assert_close(&out, &expected, 1e-5, &what);

            let mut d_qkv = vec![9.0; qkv.len()];
            backward_first(&shape, &qkv, &starts, &out, &log_sum, &d_out, &mut d_qkv);
            let mut d_all = vec![0.0; tokens * width];
            for (start, d_out) in starts.iter().zip(d_out.chunks(width)) {
                d_all[start * width..][..width].copy_from_slice(d_out);
            }
            let (mut out, mut log_sum) = (vec![0.0; d_all.len()], vec![0.0; tokens * shape.heads]);
            forward(&shape, Precision::F32, &qkv, &starts, &mut out, &mut log_sum);
            let mut expected = vec![9.0; qkv.len()];
            backward(&shape, Precision::F32, &qkv, &starts, &out, &log_sum, &d_all, &mut expected);
            assert_close(&d_qkv, &expected, 1e-5, &format!("gradient of {what}"));
        }
    });
}

#[test]
fn long_documents_agree_with_the_definition_across_blocks() {
    for_each_isa(|isa| {
        for causal in [true, false] {
            let shape = AttentionShape { heads: 2, kv_heads: 1, head_dim: 16, causal, window: None, scale: 0.25 };
            let (tokens, starts) = (150, [0, 133, 150]);
            let qkv = Random::new(5).vector(tokens * shape.row_width());
            let (mut out, mut log_sum) = (vec![0.0; tokens * 32], vec![0.0; tokens * 2]);
            forward(&shape, Precision::F32, &qkv, &starts, &mut out, &mut log_sum);
            let expected: Vec<f32> = truth(&shape, &qkv, &starts).iter().map(|&x| x as f32).collect();
            assert_close(&out, &expected, 1e-5, &format!("causal {causal} with {isa:?}"));
        }
    });
}

#[test]
fn a_document_never_sees_another() {
    let shape = AttentionShape { heads: 2, kv_heads: 2, head_dim: 8, causal: false, window: None, scale: 0.3 };
    let width = shape.row_width();
    let mut qkv = Random::new(3).vector(20 * width);
    let run = |qkv: &[f32]| {
        let (mut out, mut log_sum) = (vec![0.0; 20 * 16], vec![0.0; 20 * 2]);
        forward(&shape, Precision::F32, qkv, &[0, 7, 20], &mut out, &mut log_sum);
        out
    };
    let before = run(&qkv);
    qkv[7 * width..].iter_mut().for_each(|x| *x = -2.0 * *x + 1.0);
    let after = run(&qkv);
    assert_eq!(before[..7 * 16], after[..7 * 16]);
    assert_ne!(before[7 * 16..], after[7 * 16..]);
}

#[test]
fn pairs_of_bf16_give_nearly_what_f32_gives() {
    for_each_isa(|isa| {
        let mut random = Random::new(12);
        let long = AttentionShape { heads: 2, kv_heads: 1, head_dim: 16, causal: true, window: None, scale: 0.25 };
        for (shape, starts) in shapes().into_iter().chain([(long, vec![0, 133, 150])]) {
            let tokens = *starts.last().unwrap();
            let (qkv, d_out) =
                (random.vector(tokens * shape.row_width()), random.vector(tokens * shape.heads * shape.head_dim));
            let run = |precision| {
                let (mut out, mut log_sum) = (vec![0.0; d_out.len()], vec![0.0; tokens * shape.heads]);
                let mut d_qkv = vec![9.0; qkv.len()];
                forward(&shape, precision, &qkv, &starts, &mut out, &mut log_sum);
                backward(&shape, precision, &qkv, &starts, &out, &log_sum, &d_out, &mut d_qkv);
                (out, d_qkv)
            };
            let (expected, found) = (run(Precision::F32), run(Precision::Bf16));
            // A rounding is off by 1/512 at most. Single elements, where large terms cancel, may gather several; the whole may not.
            for (found, expected, what) in [(found.0, expected.0, "result"), (found.1, expected.1, "gradient")] {
                let what = format!("{what} of {shape:?} with {isa:?}");
                assert_close(&found, &expected, 4e-2, &what);
                let length = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
                let error = length(&mut found.iter().zip(&expected).map(|(a, b)| a - b));
                let whole = length(&mut expected.iter().copied());
                assert!(error <= 5e-3 * whole, "{what}: an error of {error} in {whole}");
            }
        }
    });
}
