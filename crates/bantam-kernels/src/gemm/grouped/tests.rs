//! Against the product of codes and scales in f64, and against the weights before they were quantised.

use super::*;
use crate::gemm::Activation;
use crate::testing::{Random, assert_close, for_each_isa};

/// Rows below a tile, at one, beyond; columns and inputs that are no whole panels and groups.
const SHAPES: [[usize; 3]; 6] = [[1, 32, 32], [1, 70, 96], [2, 33, 45], [6, 64, 64], [13, 5, 7], [40, 100, 160]];

/// The input as it is multiplied: codes times scales.
fn rounded(x: &[f32], k: usize) -> Vec<f32> {
    let rounded = |group: &[f32]| {
        let scale = group.iter().fold(0.0f32, |most, x| most.max(x.abs())) / 127.0;
        group.iter().map(|x| (x / scale).round_ties_even() * scale).collect::<Vec<_>>()
    };
    x.chunks(k).flat_map(|row| row.chunks(GROUP).flat_map(rounded)).collect()
}

#[test]
fn products_are_those_of_the_codes_on_every_instruction_set() {
    for_each_isa(|isa| {
        let mut random = Random::new(3);
        for ([m, n, k], bits) in SHAPES.into_iter().flat_map(|shape| [(shape, Bits::Four), (shape, Bits::Eight)]) {
            let matrix = GroupedMatrix::quantize(&random.vector(n * k), n, k, bits);
            let (x, bias, residual) = (random.vector(m * k), random.vector(n), random.vector(m * n));
            let mut weights = vec![0.0; n * k];
            weights.chunks_mut(k).enumerate().for_each(|(index, row)| matrix.row(index, row));
            let inputs = rounded(&x, k);
            let product = |row: usize, column: usize| -> f64 {
                let pairs = inputs[row * k..][..k].iter().zip(&weights[column * k..][..k]);
                pairs.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum()
            };
            let all = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f32> {
                (0..m * n).map(|place| f(place / n, place % n) as f32).collect()
            };
            let what = format!("{m} x {n} x {k} of {bits:?} with {isa:?}");
            let mut out = vec![9.0; m * n];
            matrix.multiply(Reading::Slice(&x), m, &mut out, &Epilogue::default());
            assert_close(&out, &all(&product), 1e-4, &what);
            let epilogue = Epilogue {
                accumulate: true,
                bias: Some(&bias),
                activation: Activation::Relu,
                residual: Some(&residual),
            };
            matrix.multiply(Reading::Slice(&x), m, &mut out, &epilogue);
            let finished = |row: usize, column: usize| {
                let sum = product(row, column);
                let (bias, residual) = (f64::from(bias[column]), f64::from(residual[row * n + column]));
                sum + (sum + bias).max(0.0) + residual
            };
            assert_close(&out, &all(&finished), 1e-4, &what);
        }
    });
}

#[test]
fn the_rows_of_a_prompt_are_multiplied_by_the_same_weights_each_on_its_own() {
    for_each_isa(|isa| {
        let mut random = Random::new(6);
        // And what is more than one block of inputs, and more than one panel of pairs.
        let shapes = SHAPES.into_iter().chain([[33, 130, 1090]]);
        for ([m, n, k], bits) in shapes.flat_map(|shape| [(shape, Bits::Four), (shape, Bits::Eight)]) {
            let matrix = GroupedMatrix::quantize(&random.vector(n * k), n, k, bits);
            let (x, bias, residual) = (random.vector(m * k), random.vector(n), random.vector(m * n));
            let epilogue = Epilogue { bias: Some(&bias), residual: Some(&residual), ..Epilogue::default() };
            let mut weights = vec![0.0; n * k];
            weights.chunks_mut(k).enumerate().for_each(|(index, row)| matrix.row(index, row));
            let what = format!("{m} x {n} x {k} of {bits:?} with {isa:?}");
            let mut out = vec![9.0; m * n];
            matrix.multiply_prompt(Reading::Slice(&x), m, &mut out, &epilogue);
            // Rounded inputs lose a 256th at most, a group's codes a 250th of its largest.
            for (place, out) in out.iter().enumerate() {
                let (row, column) = (place / n, place % n);
                let pairs = || x[row * k..][..k].iter().zip(&weights[column * k..][..k]);
                let sum: f64 = pairs().map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                let size: f64 = pairs().map(|(x, w)| f64::from(x * w).powi(2)).sum::<f64>().sqrt();
                let expected = sum + f64::from(bias[column]) + f64::from(residual[place]);
                assert!((f64::from(*out) - expected).abs() < 0.02 * size + 1e-5, "{out}, not {expected}: {what}");
            }
            let mut row = vec![9.0; n];
            let last = (m - 1) * n;
            let alone = Epilogue { residual: Some(&residual[last..]), ..epilogue };
            matrix.multiply_prompt(Reading::Slice(&x[(m - 1) * k..]), 1, &mut row, &alone);
            assert_eq!(row, out[last..], "{what}");
        }
    });
}

#[test]
fn codes_come_back_as_they_were_given() {
    let (n, k) = (37, 64);
    for (bits, low, high) in [(Bits::Four, -8, 7), (Bits::Eight, -128, 127)] {
        let code = |row: usize, index: usize| (low + ((row * 31 + index * 7) as i32) % (high - low + 1)) as i8;
        let scale = |row: usize, group: usize| f16::from_f32((1 + row + 2 * group) as f32 / 64.0);
        let matrix = GroupedMatrix::from_groups(n, k, bits, |row, group, codes| {
            codes.iter_mut().enumerate().for_each(|(i, place)| *place = code(row, group * GROUP + i));
            scale(row, group)
        });
        let mut row = vec![0.0; k];
        for index in 0..n {
            matrix.row(index, &mut row);
            for (i, x) in row.iter().enumerate() {
                assert_eq!(*x, f32::from(code(index, i)) * scale(index, i / GROUP).to_f32());
            }
        }
    }
}

#[test]
fn faults_stay_visible_and_zeros_are_zeros() {
    for_each_isa(|_| {
        let matrix = GroupedMatrix::quantize(&[1.0; 2 * GROUP], 2, GROUP, Bits::Four);
        let mut out = [7.0; 4];
        let mut x = [0.0; 2 * GROUP];
        x[GROUP + 3] = f32::INFINITY;
        matrix.multiply(Reading::Slice(&x), 2, &mut out, &Epilogue::default());
        assert_eq!(out[..2], [0.0; 2]);
        assert!(out[2].is_nan() && out[3].is_nan());
    });
}

/// What a scale loses with the best codes for it.
fn loss(values: &[f32; GROUP], importance: &[f32; GROUP], scale: f64, low: f64, high: f64) -> f64 {
    let pairs = values.iter().zip(importance).map(|(&x, &i)| (f64::from(x), f64::from(i)));
    pairs.map(|(x, i)| i * (x - scale * (x / scale).round().clamp(low, high)).powi(2)).sum()
}

#[test]
fn the_fitted_scale_is_near_the_best_of_a_fine_grid_and_never_worse_than_the_plain_one() {
    for_each_isa(|isa| {
        let mut random = Random::new(4);
        let (mut sum, mut best_sum) = ([0.0; 2], [0.0; 2]);
        for round in 0..60 {
            let mut values: [f32; GROUP] = random.vector(GROUP).try_into().unwrap();
            // Some groups with a number far from the others, as trained weights have.
            values[3] *= [1.0, 4.0, 0.0][round % 3];
            let importance: [f32; GROUP] = std::array::from_fn(|_| random.unit().powi(4) + 1e-3);
            for (place, (bits, low, high)) in
                [(Bits::Four, -8.0, 7.0), (Bits::Eight, -127.0, 127.0)].into_iter().enumerate()
            {
                let mut codes = [0; GROUP];
                let scale = f64::from(fit_group(&values, &importance, bits, &mut codes).to_f32());
                assert!(codes.iter().all(|&code| (low..=high).contains(&f64::from(code))), "{codes:?}");
                let lost: f64 = (0..GROUP)
                    .map(|i| {
                        let error = f64::from(values[i]) - scale * f64::from(codes[i]);
                        f64::from(importance[i]) * error * error
                    })
                    .sum();
                let extreme = values.iter().fold(0.0f32, |most, &x| if x.abs() > most.abs() { x } else { most });
                let extreme = f64::from(extreme);
                let grid = (0..8_000).flat_map(|step| [-1.0, 1.0].map(|sign| sign * (0.6 + 1e-4 * f64::from(step))));
                let best = grid.map(|factor| loss(&values, &importance, factor * extreme / high, low, high));
                // ggml's reference makes the extreme value the least code of four bits, the largest of eight.
                let plain = f16::from_f64(extreme / if bits == Bits::Four { low } else { high }).to_f64();
                let plain = loss(&values, &importance, plain, low, high);
                assert!(lost <= plain * 1.0001, "{lost} against {plain} of {bits:?} with {isa:?}");
                sum[place] += lost;
                best_sum[place] += best.fold(f64::INFINITY, f64::min);
            }
        }
        // Eight bits have hundreds of scales that are nearly as good, of which a few are tried.
        assert!(sum[0] < 1.05 * best_sum[0] && sum[1] < 1.35 * best_sum[1], "{sum:?} against {best_sum:?}");
    });
}

#[test]
fn groups_without_a_scale_say_so() {
    let mut codes = [7; GROUP];
    assert_eq!(fit_group(&[0.0; GROUP], &[1.0; GROUP], Bits::Four, &mut codes), f16::ZERO);
    assert_eq!(codes, [0; GROUP]);
    for fault in [f32::NAN, f32::INFINITY] {
        let mut values = [1.0; GROUP];
        values[9] = fault;
        assert!(fit_group(&values, &[1.0; GROUP], Bits::Eight, &mut codes).is_nan());
    }
    // Nothing is important: any codes will do, but they are codes.
    assert!(fit_group(&[1.0; GROUP], &[0.0; GROUP], Bits::Four, &mut codes).is_finite());
}

/// Four bits leave an error of about a twelfth of the spread, eight bits of a 200th; the search for a scale is what keeps it there.
#[test]
fn quantised_weights_are_near() {
    let mut random = Random::new(8);
    let weight = random.vector(64 * 512);
    for (bits, most) in [(Bits::Four, 0.09), (Bits::Eight, 0.006)] {
        let matrix = GroupedMatrix::quantize(&weight, 64, 512, bits);
        let mut row = vec![0.0; 512];
        let mut error = 0.0;
        for (index, own) in weight.chunks(512).enumerate() {
            matrix.row(index, &mut row);
            error += row.iter().zip(own).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        }
        let spread: f64 = weight.iter().map(|x| f64::from(*x).powi(2)).sum();
        assert!((error / spread).sqrt() < most, "{bits:?}: {}", (error / spread).sqrt());
    }
}
