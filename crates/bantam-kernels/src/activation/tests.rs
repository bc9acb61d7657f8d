//! Against the formulas in f64, and slopes against differences of those.

use super::*;
use crate::testing::{Random, assert_close, for_each_isa};

const ALL: [Activation; 5] =
    [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu, Activation::Tanh];

/// The error function by its series.
fn series_erf(x: f64) -> f64 {
    let (mut sum, mut term) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    2.0 / std::f64::consts::PI.sqrt() * sum
}

fn truth(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Gelu => 0.5 * x * (1.0 + series_erf(x / 2f64.sqrt())),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
        }
        Activation::Relu => x.max(0.0),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
    }
}

#[test]
fn values_and_slopes_are_right_on_every_instruction_set() {
    for_each_isa(|isa| {
        for activation in ALL {
            let x: Vec<f32> = (-400..400).map(|i| i as f32 / 80.0 + 0.003).collect();
            let (mut out, mut d_x) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            forward(activation, &x, &mut out);
            backward(activation, &x, &vec![1.0; x.len()], &mut d_x);
            for ((&x, &y), &slope) in x.iter().zip(&out).zip(&d_x) {
                let x = f64::from(x);
                let difference = (truth(activation, x + 1e-5) - truth(activation, x - 1e-5)) / 2e-5;
                assert!((f64::from(y) - truth(activation, x)).abs() < 1e-6, "{activation:?}({x}) is {y} with {isa:?}");
                assert!((f64::from(slope) - difference).abs() < 2e-6, "{activation:?}'({x}) is {slope} with {isa:?}");
            }
        }
    });
}

#[test]
fn gates_multiply_and_their_gradients_are_the_product_rule() {
    for_each_isa(|isa| {
        let mut random = Random::new(2);
        for (rows, channels) in [(1, 1), (3, 7), (300, 40)] {
            let (gate_up, d_out) = (random.vector(2 * rows * channels), random.vector(rows * channels));
            for activation in ALL {
                let (mut out, mut d_rows) = (vec![0.0; d_out.len()], vec![0.0; gate_up.len()]);
                gated(activation, &gate_up, channels, &mut out);
                gated_backward(activation, &gate_up, channels, &d_out, &mut d_rows);
                let (mut expected, mut d_expected) = (Vec::new(), Vec::new());
                for (row, d_out) in gate_up.chunks(2 * channels).zip(d_out.chunks(channels)) {
                    let (gate, up) = row.split_at(channels);
                    let (mut values, mut slopes) = (vec![0.0; channels], vec![0.0; channels]);
                    forward(activation, gate, &mut values);
                    backward(activation, gate, &vec![1.0; channels], &mut slopes);
                    expected.extend(values.iter().zip(up).map(|(value, up)| value * up));
                    d_expected.extend((0..channels).map(|i| d_out[i] * up[i] * slopes[i]));
                    d_expected.extend((0..channels).map(|i| d_out[i] * values[i]));
                }
                assert_close(&out, &expected, 1e-6, &format!("gated by {activation:?} with {isa:?}"));
                assert_close(&d_rows, &d_expected, 1e-6, &format!("gradient of gated by {activation:?} with {isa:?}"));
            }
        }
    });
}
