//! Smooth functions as plain arithmetic, so that loops over them vectorise. Accurate to about 2e-7 absolute, or relative where they are large.

/// `a * b + c`, rounded once: every instruction set gives the same number. WebAssembly has no such instruction and rounds twice.
#[inline(always)]
pub(crate) fn fused(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_family = "wasm") { a * b + c } else { a.mul_add(b, c) }
}

/// The polynomial with these coefficients, highest power first.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut y = coefficients[0];
    for coefficient in &coefficients[1..] {
        y = fused(y, x, *coefficient);
    }
    y
}

/// Adding and subtracting 1.5 * 2^23 rounds to the nearest integer, which is then in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Two to the power of the integer that `shifted` holds above [`ROUND`], -127 (which gives 0) to 128 (infinity).
#[inline(always)]
fn power(shifted: f32) -> f32 {
    f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// Two to a power from -0.5 to 0.5, highest power first.
pub(crate) const EXP2: [f32; 7] =
    [1.535_336_2e-4, 1.339_887_4e-3, 9.618_437e-3, 5.550_332_5e-2, 2.402_264_8e-1, 6.931_472e-1, 1.0];

/// Two to the power of `x`: 0 below -126.5, infinite above 127.5.
#[inline(always)]
pub(crate) fn exp2(x: f32) -> f32 {
    let x = x.clamp(-127.0, 128.0);
    let shifted = x + ROUND;
    let rest = x - (shifted - ROUND);
    polynomial(rest, EXP2) * power(shifted)
}

/// The exponential (Cody and Waite's reduction, then a polynomial): 0 below -87.7, infinite above 88.4.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = x.clamp(-88.0, 88.5);
    let shifted = fused(x, std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let rest = fused(whole, 2.121_944_4e-4, fused(whole, -0.693_359_4, x));
    let coefficients = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5, 1.0, 1.0];
    polynomial(rest, coefficients) * power(shifted)
}

/// The logistic function.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    // Near 0 the difference below would cancel, and the series is exact there.
    let square = x * x;
    let near = x * polynomial(square, [-0.053_968_254, 0.133_333_34, -0.333_333_34, 1.0]);
    let far = 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
    if square < 0.01 { near } else { far }
}

/// The error function (Abramowitz and Stegun 7.1.26, absolute error 1.5e-7).
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let (tail, _) = normal_tail(x * std::f32::consts::SQRT_2);
    (1.0 - 2.0 * tail).copysign(x)
}

/// Where [`coarse_gelu`] takes the function to be 0 or `x`, which it is up to the error.
pub(crate) const COARSE_GELU_FAR: f32 = 4.2;
/// The polynomial of [`coarse_gelu`], highest power first: by least squares, reweighted until the largest error was least.
pub(crate) const COARSE_GELU: [f32; 8] = [
    -9.018_087e-10,
    7.941_71e-8,
    -3.038_030_9e-6,
    6.689_206e-5,
    -9.506_677e-4,
    9.298_269e-3,
    -6.552_827e-2,
    3.984_659e-1,
];

/// `x` times the normal distribution function at `x`, within 1e-4: for numbers that become codes of 8 bits.
#[inline(always)]
pub(crate) fn coarse_gelu(x: f32) -> f32 {
    let near = if x > COARSE_GELU_FAR { COARSE_GELU_FAR } else { x };
    let near = if near > -COARSE_GELU_FAR { near } else { -COARSE_GELU_FAR };
    x * fused(near, polynomial(near * near, COARSE_GELU), 0.5)
}

/// The normal distribution function at `x`, and its derivative, the density.
#[inline(always)]
pub(crate) fn normal(x: f32) -> (f32, f32) {
    let (tail, bell) = normal_tail(x);
    (if x < 0.0 { tail } else { 1.0 - tail }, bell * 0.398_942_3)
}

/// The normal probability beyond `|x|`, and exp(-x²/2), by the formula of [`erf`].
#[inline(always)]
fn normal_tail(x: f32) -> (f32, f32) {
    let t = 1.0 / fused(x.abs(), 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2, 1.0);
    let bell = exp(-0.5 * x * x);
    let coefficients = [1.061_405_4, -1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6];
    (0.5 * t * polynomial(t, coefficients) * bell, bell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(f: fn(f32) -> f32, truth: fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let steps = 20_000;
        let points = (0..=steps).map(|i| from + (to - from) * i as f32 / steps as f32);
        points
            .map(|x| (f64::from(f(x)) - truth(f64::from(x))).abs() / truth(f64::from(x)).abs().max(1.0))
            .fold(0.0, f64::max)
    }

    /// By its series, which converges everywhere: the truth that the rational form is held against.
    fn series_erf(x: f64) -> f64 {
        let (mut sum, mut term) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        2.0 / std::f64::consts::PI.sqrt() * sum
    }

    #[test]
    fn they_follow_the_true_functions() {
        for (name, error) in [
            ("exp", worst(exp, f64::exp, -87.0, 88.0)),
            ("exp2", worst(exp2, f64::exp2, -125.0, 127.0)),
            ("normal", worst(|x| normal(x).0, |x| 0.5 * (1.0 + series_erf(x / std::f64::consts::SQRT_2)), -5.0, 5.0)),
            ("density", worst(|x| normal(x).1, |x| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt(), -9.0, 9.0)),
            ("sigmoid", worst(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), -30.0, 30.0)),
            ("tanh", worst(tanh, f64::tanh, -20.0, 20.0)),
            ("erf", worst(erf, series_erf, -4.0, 4.0)),
        ] {
            assert!(error < 5e-7, "{name}: off by {error:e}");
        }
    }

    #[test]
    fn the_coarse_gelu_is_near_the_true_one() {
        let truth = |x: f64| {
            x * 0.5 * (1.0 + if x.abs() > 4.5 { x.signum() } else { series_erf(x / std::f64::consts::SQRT_2) })
        };
        for step in -90_000..90_000 {
            let x = step as f32 * 1e-4;
            let error = (f64::from(coarse_gelu(x)) - truth(f64::from(x))).abs();
            assert!(error < 1e-4, "at {x}: off by {error:e}");
        }
        assert!((coarse_gelu(1e4) - 1e4).abs() < 0.01 && coarse_gelu(-1e4).abs() < 0.01);
        assert!(coarse_gelu(f32::NAN).is_nan());
    }

    #[test]
    fn far_arguments_and_no_numbers_stay_what_they_are() {
        assert_eq!((exp(f32::NEG_INFINITY), exp2(f32::NEG_INFINITY)), (0.0, 0.0));
        assert_eq!((exp(f32::INFINITY), exp2(f32::INFINITY)), (f32::INFINITY, f32::INFINITY));
        assert_eq!((tanh(200.0), tanh(-200.0), sigmoid(200.0), sigmoid(-200.0)), (1.0, -1.0, 1.0, 0.0));
        for function in [exp, exp2, sigmoid, tanh, erf] {
            assert!(function(f32::NAN).is_nan());
        }
    }
}
