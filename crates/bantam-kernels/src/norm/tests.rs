//! Against the formulas in f64, and gradients against differences.

use super::*;
use crate::testing::{Random, assert_close, for_each_isa};

const EPSILON: f32 = 1e-5;

fn truth(x: &[f32], weight: &[f32], bias: Option<&[f32]>, centred: bool) -> Vec<f64> {
    let width = weight.len();
    x.chunks(width)
        .flat_map(|row| {
            let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            let mean = if centred { row.iter().sum::<f64>() / width as f64 } else { 0.0 };
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
            let scale = 1.0 / (variance + f64::from(EPSILON)).sqrt();
            let norm = move |(x, (w, b)): (f64, (f32, f32))| (x - mean) * scale * f64::from(w) + f64::from(b);
            let bias: Vec<f32> = bias.map_or_else(|| vec![0.0; width], <[f32]>::to_vec);
            row.into_iter().zip(weight.iter().copied().zip(bias)).map(norm).collect::<Vec<_>>()
        })
        .collect()
}

fn differences(x: &[f32], loss: impl Fn(&[f32]) -> f64) -> Vec<f32> {
    let step = 1e-3;
    (0..x.len())
        .map(|i| {
            let moved = |by: f32| {
                let mut x = x.to_vec();
                x[i] += by;
                loss(&x)
            };
            ((moved(step) - moved(-step)) / (2.0 * f64::from(step))) as f32
        })
        .collect()
}

#[test]
fn norms_and_their_gradients_are_right_on_every_instruction_set() {
    for_each_isa(|isa| {
        let mut random = Random::new(7);
        for (rows, width) in [(1, 1), (3, 5), (4, 33), (2, 64), (700, 48)] {
            let (x, weight, bias, d_out) =
                (random.vector(rows * width), random.vector(width), random.vector(width), random.vector(rows * width));
            for centred in [false, true] {
                let what = format!("{isa:?}, {rows} x {width}, centred {centred}");
                let bias = centred.then_some(bias.as_slice());
                let mut out = vec![0.0; x.len()];
                let (mut d_x, mut d_weight, mut d_bias) = (vec![0.0; x.len()], vec![1.0; width], vec![1.0; width]);
                if centred {
                    layer_norm(&x, &weight, bias, EPSILON, &mut out);
                    let (d_weight, d_bias) = (Some(&mut d_weight[..]), Some(&mut d_bias[..]));
                    layer_norm_backward(&x, &weight, EPSILON, &d_out, &mut d_x, d_weight, d_bias);
                } else {
                    let gained = Some(&weight[..]);
                    rms_norm(&x, width, gained, EPSILON, &mut out);
                    let d_weight = Some(&mut d_weight[..]);
                    rms_norm_backward(&x, width, gained, EPSILON, &d_out, &mut d_x, false, d_weight);
                    let mut twice = d_x.clone();
                    rms_norm_backward(&x, width, gained, EPSILON, &d_out, &mut twice, true, None);
                    let doubled: Vec<f32> = d_x.iter().map(|x| 2.0 * x).collect();
                    assert_close(&twice, &doubled, 1e-6, &format!("added to, {what}"));
                }
                let expected: Vec<f32> = truth(&x, &weight, bias, centred).iter().map(|&y| y as f32).collect();
                assert_close(&out, &expected, 2e-5, &what);
                if rows > 10 || width == 1 {
                    continue;
                }
                let loss = |x: &[f32], weight: &[f32]| -> f64 {
                    truth(x, weight, bias, centred).iter().zip(&d_out).map(|(y, d)| y * f64::from(*d)).sum()
                };
                assert_close(&d_x, &differences(&x, |x| loss(x, &weight)), 2e-3, &format!("d_x, {what}"));
                let expected: Vec<f32> =
                    differences(&weight, |weight| loss(&x, weight)).iter().map(|d| d + 1.0).collect();
                assert_close(&d_weight, &expected, 2e-3, &format!("d_weight, {what}"));
                if centred {
                    let expected: Vec<f32> =
                        (0..width).map(|c| 1.0 + d_out.chunks(width).map(|row| row[c]).sum::<f32>()).collect();
                    assert_close(&d_bias, &expected, 1e-5, &format!("d_bias, {what}"));
                }
            }
        }
    });
}
