//! Products of every kind against sums in f64, on every instruction set of the machine.

use super::panel::{Layout, PANEL};
use super::tile::{self, Arithmetic, ROWS, Scales, Tile};
use super::*;
use crate::memory::Buffer;
use crate::testing::{Random, assert_close, for_each_isa};

/// Sizes with and without tails, around the widths of vectors, tiles, panels and blocks.
const SIZES: [usize; 17] = [0, 1, 2, 3, 5, 6, 7, 15, 16, 17, 31, 48, 63, 64, 65, 130, 200];

fn truth(a: Operand<'_>, b: Operand<'_>, old: &[f32], epilogue: &Epilogue<'_>) -> Vec<f32> {
    let at = |o: &Operand<'_>, r: usize, c: usize| {
        f64::from(o.data[if o.transposed { c * o.stride + r } else { r * o.stride + c }])
    };
    let n = b.columns;
    (0..a.rows * n)
        .map(|place| {
            let (i, j) = (place / n, place % n);
            let sum: f64 = (0..a.columns).map(|p| at(&a, i, p) * at(&b, p, j)).sum();
            finished(sum as f32, j, place, old, epilogue)
        })
        .collect()
}

fn finished(sum: f32, column: usize, place: usize, old: &[f32], epilogue: &Epilogue<'_>) -> f32 {
    let x = sum + epilogue.bias.map_or(0.0, |bias| bias[column]);
    let y = match epilogue.activation {
        Activation::None => x,
        Activation::Gelu => 0.5 * x * (1.0 + erf(f64::from(x) / std::f64::consts::SQRT_2) as f32),
        Activation::Relu => x.max(0.0),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
    };
    y + epilogue.residual.map_or(0.0, |residual| residual[place]) + if epilogue.accumulate { old[place] } else { 0.0 }
}

/// The error function by its series, which converges everywhere and is exact enough below 4.
fn erf(x: f64) -> f64 {
    if x.abs() > 4.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn to_bf16(data: &[f32]) -> Vec<f32> {
    data.iter().map(|value| half::bf16::from_f32(*value).to_f32()).collect()
}

/// A stored matrix of rows x columns with `gap` unused elements (NaN, to show if they are read) after each row.
fn stored(random: &mut Random, rows: usize, columns: usize, gap: usize) -> Vec<f32> {
    let mut data = Vec::new();
    for _ in 0..rows {
        data.extend(random.vector(columns));
        data.extend(std::iter::repeat_n(f32::NAN, gap));
    }
    data
}

fn operand(data: &[f32], rows: usize, columns: usize, gap: usize, transposed: bool) -> Operand<'_> {
    let (lines, length) = if transposed { (columns, rows) } else { (rows, columns) };
    let operand = Operand { stride: length + gap, ..Operand::new(data, lines, length) };
    if transposed { operand.t() } else { operand }
}

/// Compares with a bound on rounding alone: factors in -1..1 give sums of about sqrt(k) / 3, of which each of the k additions may lose half
/// a unit in the last place, at random; no activation is steeper than 1.2.
#[track_caller]
fn assert_sums(actual: &[f32], expected: &[f32], k: usize, epilogue: &Epilogue<'_>, what: &str) {
    let bound = 1e-6 * (2.0 + (k as f32).sqrt());
    let Epilogue { accumulate, bias, activation, residual } = epilogue;
    for (place, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert!(
            (actual - expected).abs() <= bound,
            "{what}: element {place} is {actual}, expected {expected} within {bound}; accumulate {accumulate}, bias {}, {activation:?}, residual {}",
            bias.is_some(),
            residual.is_some()
        );
    }
}

fn random_epilogue<'a>(random: &mut Random, bias: &'a [f32], residual: &'a [f32]) -> Epilogue<'a> {
    let activations = [Activation::None, Activation::Gelu, Activation::Relu, Activation::Silu, Activation::Tanh];
    Epilogue {
        accumulate: random.below(2) == 0,
        bias: (random.below(2) == 0).then_some(bias),
        activation: if random.below(2) == 0 { Activation::None } else { activations[random.below(5)] },
        residual: (random.below(2) == 0).then_some(residual),
    }
}

fn check_product(random: &mut Random, m: usize, n: usize, k: usize) {
    let (gap_a, gap_b) = (random.below(3), random.below(3));
    let (t_a, t_b) = (random.below(2) == 0, random.below(2) == 0);
    let a = if t_a { stored(random, k, m, gap_a) } else { stored(random, m, k, gap_a) };
    let b = if t_b { stored(random, n, k, gap_b) } else { stored(random, k, n, gap_b) };
    let (bias, residual, old) = (random.vector(n), random.vector(m * n), random.vector(m * n));
    let epilogue = random_epilogue(random, &bias, &residual);
    for precision in [Precision::F32, Precision::Bf16] {
        let round = |data: &[f32]| if precision == Precision::Bf16 { to_bf16(data) } else { data.to_vec() };
        let (rounded_a, rounded_b) = (round(&a), round(&b));
        let expected =
            truth(operand(&rounded_a, m, k, gap_a, t_a), operand(&rounded_b, k, n, gap_b, t_b), &old, &epilogue);
        for_each_isa(|isa| {
            let mut out = old.clone();
            multiply(precision, operand(&a, m, k, gap_a, t_a), operand(&b, k, n, gap_b, t_b), &mut out, &epilogue);
            assert_sums(
                &out,
                &expected,
                k,
                &epilogue,
                &format!("{isa} {precision:?} {m}x{n}x{k} transposed {t_a} {t_b}"),
            );
        });
    }
}

#[test]
fn products_agree_with_f64_on_random_shapes() {
    let mut random = Random::new(1);
    for _ in 0..150 {
        let [m, n, k] = std::array::from_fn(|_| SIZES[random.below(SIZES.len())]);
        check_product(&mut random, m, n, k);
    }
}

#[test]
fn products_agree_with_f64_over_several_blocks_and_threads() {
    let mut random = Random::new(2);
    for (m, n, k) in [(13, 70, 1500), (130, 200, 650), (5, 65, 4500), (300, 129, 131), (97, 330, 700)] {
        for threads in [1, 3] {
            crate::pool::with_threads(threads, || check_product(&mut random, m, n, k));
        }
    }
}

#[test]
fn the_same_call_gives_the_same_bytes() {
    let mut random = Random::new(3);
    let (m, n, k) = (250, 320, 300);
    let (a, b) = (random.vector(m * k), random.vector(n * k));
    let run = || {
        let mut out = vec![0.0; m * n];
        crate::pool::with_threads(3, || {
            multiply(
                Precision::F32,
                Operand::new(&a, m, k),
                Operand::new(&b, n, k).t(),
                &mut out,
                &Epilogue::default(),
            );
        });
        out
    };
    let first = run();
    for _ in 0..5 {
        assert!(first.iter().zip(run()).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

/// What lets answers be computed side by side: each is the same in all bits as alone.
#[test]
fn a_row_does_not_depend_on_the_rows_beside_it() {
    use super::grouped::{Bits, GroupedMatrix};
    for_each_isa(|isa| {
        let mut random = Random::new(12);
        for [m, n, k] in [[17, 70, 45], [9, 100, 300], [14, 130, 1100], [34, 130, 2500]] {
            let (weight, x) = (random.vector(n * k), random.vector(m * k));
            let (mut together, mut alone) = (vec![0.0; m * n], vec![0.0; m * n]);
            for format in [PackedFormat::F32, PackedFormat::Bf16, PackedFormat::Int8] {
                let matrix = PackedMatrix::pack(&weight, n, k, format);
                let multiply = |x: &[f32], m, out: &mut [f32]| matrix.multiply(x, m, out, &Epilogue::default());
                multiply(&x, m, &mut together);
                x.chunks(k).zip(alone.chunks_mut(n)).for_each(|(x, out)| multiply(x, 1, out));
                assert!(together == alone, "{m} x {n} x {k}, {format:?} with {isa:?}");
            }
            for bits in [Bits::Four, Bits::Eight] {
                let matrix = GroupedMatrix::quantize(&weight, n, k, bits);
                let multiply =
                    |x: &[f32], m, out: &mut [f32]| matrix.multiply(Reading::Slice(x), m, out, &Epilogue::default());
                multiply(&x, m, &mut together);
                x.chunks(k).zip(alone.chunks_mut(n)).for_each(|(x, out)| multiply(x, 1, out));
                assert!(together == alone, "{m} x {n} x {k}, {bits:?} with {isa:?}");
            }
        }
    });
}

#[test]
fn nan_and_infinity_stay_visible() {
    for_each_isa(|isa| {
        let (mut a, b) = (vec![1.0f32; 8 * 20], vec![1.0f32; 20 * 30]);
        a[3 * 20 + 7] = f32::NAN;
        a[5 * 20] = f32::INFINITY;
        let mut out = vec![0.0; 8 * 30];
        for precision in [Precision::F32, Precision::Bf16] {
            multiply(precision, Operand::new(&a, 8, 20), Operand::new(&b, 20, 30), &mut out, &Epilogue::default());
            check_faults(&out, isa);
        }
        for format in [PackedFormat::F32, PackedFormat::Bf16, PackedFormat::Int8] {
            let packed = PackedMatrix::pack(&b, 30, 20, format);
            packed.multiply(&a, 8, &mut out, &Epilogue { activation: Activation::Relu, ..Epilogue::default() });
            check_faults(&out, isa);
        }
    });
}

fn check_faults(out: &[f32], isa: Isa) {
    for (row, out) in out.chunks(30).enumerate() {
        let is_right = |value: &f32| match row {
            3 => value.is_nan(),
            5 => !value.is_finite(),
            _ => (value - 20.0).abs() < 0.2,
        };
        assert!(out.iter().all(is_right), "{isa} row {row}: {out:?}");
    }
}

#[test]
#[should_panic(expected = "3 x 4 times 5 x 2")]
fn shapes_that_do_not_match_are_named() {
    let data = [0.0; 20];
    multiply(Precision::F32, Operand::new(&data, 3, 4), Operand::new(&data, 5, 2), &mut [0.0; 6], &Epilogue::default());
}

#[test]
fn packed_products_agree_with_f64() {
    let mut random = Random::new(4);
    for round in 0..120 {
        let [m, n, k] = std::array::from_fn(|_| SIZES[random.below(SIZES.len())]);
        let m = if round % 3 == 0 { 1 } else { m };
        let (x, weight) = (random.vector(m * k), random.vector(n * k));
        let (bias, residual, old) = (random.vector(n), random.vector(m * n), random.vector(m * n));
        let epilogue = random_epilogue(&mut random, &bias, &residual);
        for (format, rounded_x, rounded_weight) in [
            (PackedFormat::F32, x.clone(), weight.clone()),
            (PackedFormat::Bf16, to_bf16(&x), to_bf16(&weight)),
            (PackedFormat::Int8, to_int8(&x, m, k), to_int8(&weight, n, k)),
        ] {
            let expected =
                truth(Operand::new(&rounded_x, m, k), Operand::new(&rounded_weight, n, k).t(), &old, &epilogue);
            for_each_isa(|isa| {
                let packed = PackedMatrix::pack(&weight, n, k, format);
                assert_eq!((packed.rows(), packed.columns(), packed.format()), (n, k, format));
                let mut out = old.clone();
                packed.multiply(&x, m, &mut out, &epilogue);
                assert_sums(&out, &expected, k, &epilogue, &format!("{isa} {format:?} {m}x{n}x{k}"));
            });
        }
    }
}

#[test]
fn packed_products_agree_with_f64_on_large_shapes() {
    let mut random = Random::new(5);
    for (m, n, k) in [(900, 70, 300), (20, 130, 3000), (1, 2100, 1030)] {
        let (x, weight) = (random.vector(m * k), random.vector(n * k));
        for format in [PackedFormat::F32, PackedFormat::Int8] {
            let quantise =
                |data: &[f32], rows| if format == PackedFormat::Int8 { to_int8(data, rows, k) } else { data.to_vec() };
            let (rounded_x, rounded_weight) = (quantise(&x, m), quantise(&weight, n));
            let expected = truth(
                Operand::new(&rounded_x, m, k),
                Operand::new(&rounded_weight, n, k).t(),
                &[],
                &Epilogue::default(),
            );
            for_each_isa(|isa| {
                let mut out = vec![0.0; m * n];
                PackedMatrix::pack(&weight, n, k, format).multiply(&x, m, &mut out, &Epilogue::default());
                assert_close(&out, &expected, 4e-6, &format!("{isa} {format:?} {m}x{n}x{k}"));
            });
        }
    }
}

/// What remains of `data` [rows, k] after quantising each row.
fn to_int8(data: &[f32], rows: usize, k: usize) -> Vec<f32> {
    let (codes, scales) = quantize_rows(data, rows, k);
    codes.iter().enumerate().map(|(place, code)| f32::from(*code) * scales[place / k]).collect()
}

#[test]
fn integers_are_the_same_on_all_sets_and_never_saturate() {
    let (n, k) = (70, 260);
    let mut random = Random::new(6);
    // The largest codes everywhere, the smallest, and random ones.
    for extreme in [Some(127), Some(-128), None] {
        let codes: Vec<i8> = (0..n * k).map(|_| extreme.unwrap_or_else(|| random.below(255) as i8)).collect();
        let packed = PackedMatrix::from_int8(&codes, &vec![1.0; n], n, k);
        // Rows that fill no tile, one and a bit, and more than the tallest.
        for m in [3, 7, 61] {
            let x: Vec<f32> = (0..m * k)
                .map(|place| match extreme {
                    // Rows of one sign, of both, and of the other.
                    Some(_) if [false, place % 2 == 1, true][place / k % 3] => -127.0,
                    Some(_) => 127.0,
                    None if place % k == 0 => 127.0,
                    None => random.below(255) as f32 - 127.0,
                })
                .collect();
            for_each_isa(|isa| {
                let mut out = vec![0.0; m * n];
                packed.multiply(&x, m, &mut out, &Epilogue::default());
                for (place, value) in out.iter().enumerate() {
                    let (row, column) = (place / n, place % n);
                    let sum: i32 = (0..k).map(|p| x[row * k + p] as i32 * i32::from(codes[column * k + p])).sum();
                    // The sums are below 2^23, so f32 holds them exactly; both scales are 1.
                    assert_eq!(*value, sum as f32, "{isa} {row} {column}");
                }
            });
        }
    }
}

#[test]
fn codes_of_tokens_are_the_same_on_all_sets() {
    let mut random = Random::new(7);
    for length in [1usize, 3, 4, 15, 16, 17, 63, 100, 384] {
        for special in [1.0, 0.0, 1e-42, 1e30, f32::NAN, f32::INFINITY] {
            let mut token = random.vector(length);
            token.iter_mut().for_each(|value| *value *= special);
            let mut expected = vec![0; length.div_ceil(4)];
            let scale = quantize::quantize_token(Isa::Scalar, &token, &mut expected);
            for isa in Isa::available() {
                let mut words = vec![0; length.div_ceil(4)];
                let other = quantize::quantize_token(isa, &token, &mut words);
                assert!(words == expected && other.to_bits() == scale.to_bits(), "{isa} {length} {special}");
            }
        }
    }
}

#[test]
fn quantised_rows_are_within_half_a_step() {
    let weight = Random::new(8).vector(5 * 33);
    let (codes, scales) = quantize_rows(&weight, 5, 33);
    for (place, value) in weight.iter().enumerate() {
        let scale = scales[place / 33];
        assert!((f32::from(codes[place]) * scale - value).abs() <= 0.501 * scale);
    }
    assert_eq!(quantize_rows(&[0.0, -0.0], 1, 2), (vec![0, 0], vec![0.0]));
}

/// Every arithmetic of every set, whether or not the machine would choose it: tiles of all sizes on packed words.
#[test]
fn tiles_of_every_arithmetic_agree_with_the_plain_ones() {
    let mut random = Random::new(9);
    for isa in Isa::available() {
        for arithmetic in [Arithmetic::F32, Arithmetic::F32Rounded, Arithmetic::Bf16Pairs, Arithmetic::Bf16Widened] {
            for _ in 0..60 {
                let (rows, columns, k) = (1 + random.below(ROWS), 1 + random.below(PANEL), random.below(40));
                let steps = k.div_ceil(arithmetic.elements());
                let (left, right) = (random.vector(rows * k), random.vector(columns * k));
                let source = Source { data: &right, stride: k, lines_are_items: true };
                let range = pack::Range { first_item: 0, items: columns, first_k: 0, k };
                let words = pack::left_words(arithmetic, k);
                let tiles = [isa, Isa::Scalar].map(|isa| {
                    let layout = Layout::of(isa, steps);
                    let mut panel = vec![0u32; steps * PANEL];
                    pack::right_panels(isa, arithmetic, &source, range, layout, &mut panel, pack::Store::Kept);
                    let mut rows_of_words = vec![0u32; rows * words];
                    for row in 0..rows {
                        pack::left_row(
                            isa,
                            arithmetic,
                            &left[row * k..][..k],
                            &mut rows_of_words[row * words..][..words],
                        );
                    }
                    let mut out = Buffer::zeroed(rows * columns);
                    let tile = Tile {
                        left: rows_of_words.as_ptr(),
                        left_row: words,
                        left_step: 1,
                        right: panel.as_ptr(),
                        right_step: layout.to_next_step(),
                        right_slice: layout.to_next_slice(),
                        steps,
                        rows,
                        columns,
                        out: out.as_mut_ptr(),
                        out_row: columns,
                        add: false,
                        bias: std::ptr::null(),
                        activation: Activation::None,
                        residual: std::ptr::null(),
                        scales: Scales::NONE,
                    };
                    // SAFETY: the slices above have the shape of the tile.
                    unsafe { tile::function(isa, arithmetic)(&tile) };
                    out
                });
                assert_close(&tiles[0], &tiles[1], 2e-6, &format!("{isa} {arithmetic:?} {rows}x{columns}x{k}"));
            }
        }
    }
}

#[test]
fn shared_factors_give_the_three_products_of_a_linear_layer() {
    for_each_isa(|isa| {
        let mut random = Random::new(11);
        // The last two have factors, and a rounded result, that are written past the caches.
        const SHAPES: [[usize; 3]; 8] = [
            [1, 1, 1],
            [5, 7, 3],
            [33, 65, 97],
            [40, 130, 200],
            [129, 64, 190],
            [37, 1300, 34],
            [1101, 2000, 4],
            [1101, 4, 2000],
        ];
        for [m, k, n] in SHAPES {
            let (x, w, dy) = (random.vector(m * k), random.vector(n * k), random.vector(m * n));
            let (bias, residual) = (random.vector(n), random.vector(m * n));
            let rounded = [&x, &w, &dy].map(|data| to_bf16(data));
            let [x_exact, w_exact, dy_exact] =
                [Operand::new(&rounded[0], m, k), Operand::new(&rounded[1], n, k), Operand::new(&rounded[2], m, n)];
            let weight = Operand::new(&w, n, k);
            let [transposed, as_is] = [weight.t(), weight].map(RightFactor::pack);
            assert!(transposed.fits(k, n) && as_is.fits(n, k) && (k == n || !as_is.fits(k, n)));
            // Packed as they lie, or as they are made.
            let (made_x, made_dy) = (Copied(&x), Copied(&dy));
            let (x, dy) = if m % 2 == 0 {
                (Reading::Slice(&x), Reading::Slice(&dy))
            } else {
                (Reading::Made { rows: &made_x, first: 0 }, Reading::Made { rows: &made_dy, first: 0 })
            };
            let (left, right) = pack_input(x, m, k, true);
            let [rows, columns] = pack_upstream(dy, m, n, [true, true]).map(|factor| factor.expect("asked for"));
            let right = right.expect("asked for");
            let plain = Epilogue::default();
            let whole = Epilogue { bias: Some(&bias), residual: Some(&residual), ..plain };
            let added = Epilogue { accumulate: true, ..plain };
            for (left, factor, a, b, epilogue) in [
                (&left, &transposed, x_exact, w_exact.t(), &whole),
                (&rows, &as_is, dy_exact, w_exact, &plain),
                (&columns, &right, dy_exact.t(), x_exact, &added),
            ] {
                let old = random.vector(a.rows * b.columns);
                let mut out = old.clone();
                multiply_factors(left, factor, &mut out, epilogue);
                assert_close(&out, &truth(a, b, &old, epilogue), 1e-4, &format!("{m} x {k} x {n} with {isa:?}"));
            }
            let mut exact = vec![0.0; m * n];
            multiply_factors(&left, &transposed, &mut exact, &Epilogue { bias: Some(&bias), ..plain });
            let halves = multiply_factors_rounded(&left, &transposed, Some(&bias));
            let mut unpacked = vec![0.0; m * n];
            halves.make(0..m * n, &mut unpacked);
            assert_eq!(unpacked, to_bf16(&exact), "{m} x {k} x {n} rounded, {isa:?}");
            assert!(pack_input(x, m, k, false).1.is_none());
            let [rows, columns] = pack_upstream(dy, m, n, [false, true]);
            assert!(rows.is_none() && columns.is_some());
        }
    });
}

/// Numbers that are copied as they are read.
struct Copied<'a>(&'a [f32]);

impl Make for Copied<'_> {
    fn make(&self, numbers: std::ops::Range<usize>, out: &mut [f32]) {
        out.copy_from_slice(&self.0[numbers]);
    }
}
