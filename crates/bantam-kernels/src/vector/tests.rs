//! Every instruction set gives the same numbers, and they are the right ones.

use super::*;
use crate::testing::{Random, assert_close, for_each_isa};

#[test]
fn elementwise_loops_do_what_they_say_at_every_length() {
    for_each_isa(|isa| {
        let mut random = Random::new(1);
        for length in [0, 1, 7, 64, 1000, 3 * PIECE + 5] {
            let (a, b) = (random.vector(length), random.vector(length));
            let mut out = vec![0.0; length];
            add_into(&a, &b, &mut out);
            assert!(out.iter().zip(a.iter().zip(&b)).all(|(out, (a, b))| *out == a + b), "add_into with {isa:?}");
            multiply_into(&a, &b, &mut out);
            assert!(out.iter().zip(a.iter().zip(&b)).all(|(out, (a, b))| *out == a * b), "multiply_into with {isa:?}");
            let mut mixed = a.clone();
            mix(&mut mixed, 0.75, &b);
            let mut expected = a.iter().zip(&b).map(|(a, b)| a * 0.75 + 0.25 * b);
            assert!(mixed.iter().all(|&mixed| Some(mixed) == expected.next()), "mix with {isa:?}");
            let truth: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((dot(&a, &b) - truth).abs() <= 1e-6 * (length as f64).sqrt().max(1.0), "dot with {isa:?}");
        }
    });
}

#[test]
fn pooling_goes_forth_and_back() {
    let (x, starts) = ([1.0, 2.0, 3.0, 4.0, 5.0, -6.0], [0, 2, 3]);
    let mut out = [0.0; 4];
    segment_mean(&x, 2, &starts, &mut out);
    assert_eq!(out, [2.0, 3.0, 5.0, -6.0]);
    let mut d_x = [0.0; 6];
    segment_mean_backward(&[1.0, 2.0, 3.0, 4.0], 2, &starts, &mut d_x);
    assert_eq!(d_x, [0.5, 1.0, 0.5, 1.0, 3.0, 4.0]);
    let mut rows = [0; 4];
    segment_max(&x, 2, &starts, &mut out, &mut rows);
    assert_eq!((out, rows), ([3.0, 4.0, 5.0, -6.0], [1, 1, 2, 2]));
    segment_max_backward(&[1.0, 2.0, 3.0, 4.0], 2, &rows, &mut d_x);
    assert_eq!(d_x, [0.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn dropout_drops_its_share_keeps_the_mean_and_depends_on_place_only() {
    let mut first = Vec::new();
    for_each_isa(|isa| {
        let x = vec![1.0; 200_000];
        let mut out = vec![0.0; x.len()];
        dropout(&x, 0.3, 9, 100, &mut out);
        let dropped = out.iter().filter(|&&y| y == 0.0).count() as f64 / x.len() as f64;
        let mean = out.iter().map(|&y| f64::from(y)).sum::<f64>() / x.len() as f64;
        assert!(
            (dropped - 0.3).abs() < 0.005 && (mean - 1.0).abs() < 0.01,
            "{dropped} dropped, mean {mean} with {isa:?}"
        );
        let mut part = vec![0.0; 1000];
        dropout(&x[..1000], 0.3, 9, 50_100, &mut part);
        assert_eq!(part, out[50_000..51_000], "a part is decided as the whole is, with {isa:?}");
        if first.is_empty() {
            first.clone_from(&out);
        }
        assert_eq!(first, out, "{isa:?} drops other numbers");
    });
}

#[test]
fn rows_have_length_one_and_the_gradient_is_the_difference() {
    let mut random = Random::new(3);
    let (x, d_out) = (random.vector(12), random.vector(12));
    let lengths = |x: &[f32]| {
        let (mut out, mut inverse) = (vec![0.0; 12], vec![0.0; 3]);
        normalize_rows(x, 4, &mut out, &mut inverse);
        (out, inverse)
    };
    let loss = |x: &[f32]| -> f64 { lengths(x).0.iter().zip(&d_out).map(|(y, d)| f64::from(*y) * f64::from(*d)).sum() };
    let (out, inverse) = lengths(&x);
    let mut d_x = vec![0.0; 12];
    normalize_rows_backward(&out, 4, &inverse, &d_out, &mut d_x);
    let numeric: Vec<f32> = (0..12)
        .map(|i| {
            let (mut up, mut down) = (x.clone(), x.clone());
            up[i] += 1e-3;
            down[i] -= 1e-3;
            ((loss(&up) - loss(&down)) / 2e-3) as f32
        })
        .collect();
    assert_close(&d_x, &numeric, 1e-3, "normalize_rows_backward");
}
