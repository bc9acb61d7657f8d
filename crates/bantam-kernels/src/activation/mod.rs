//! Elementwise activations and their gated forms, forward and backward.

use crate::curves::{normal, sigmoid, tanh};
use crate::pool::{self, Shared};
use crate::vectorized::{for_each_range, vectorized};

#[cfg(test)]
mod tests;

/// A function applied to each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// x times the normal distribution function (Hendrycks and Gimpel 2016), by erf.
    Gelu,
    /// The same by tanh, as GPT-2 and `gelu_new` compute it.
    GeluTanh,
    /// max(x, 0).
    Relu,
    /// x times its sigmoid.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

/// sqrt(2 / pi).
const SLOPE: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

/// The function and its derivative at one number.
trait Curve: Copy + Sync {
    fn value(x: f32) -> f32;
    fn slope(x: f32) -> f32;
}

macro_rules! curve {
    ($name:ident, $x:ident, $value:expr, $slope:expr) => {
        #[derive(Clone, Copy)]
        struct $name;
        impl Curve for $name {
            #[inline(always)]
            fn value($x: f32) -> f32 {
                $value
            }
            #[inline(always)]
            fn slope($x: f32) -> f32 {
                $slope
            }
        }
    };
}

curve!(Gelu, x, x * normal(x).0, {
    let (below, density) = normal(x);
    below + x * density
});
curve!(GeluTanh, x, 0.5 * x * (1.0 + tanh(SLOPE * (x + CUBIC * x * x * x))), {
    let t = tanh(SLOPE * (x + CUBIC * x * x * x));
    0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * SLOPE * (1.0 + 3.0 * CUBIC * x * x)
});
curve!(Relu, x, x.max(0.0), if x > 0.0 { 1.0 } else { 0.0 });
curve!(Silu, x, x * sigmoid(x), {
    let s = sigmoid(x);
    s * (1.0 + x * (1.0 - s))
});
curve!(Tanh, x, tanh(x), {
    let t = tanh(x);
    1.0 - t * t
});

/// Calls a function that is generic over a [`Curve`] with the one that an [`Activation`] names.
macro_rules! with_curve {
    ($activation:expr, $function:ident($($argument:expr),*)) => {
        match $activation {
            Activation::Gelu => $function::<Gelu>($($argument),*),
            Activation::GeluTanh => $function::<GeluTanh>($($argument),*),
            Activation::Relu => $function::<Relu>($($argument),*),
            Activation::Silu => $function::<Silu>($($argument),*),
            Activation::Tanh => $function::<Tanh>($($argument),*),
        }
    };
}

/// Numbers that one task handles.
const PIECE: usize = 1 << 13;

/// `out = f(x)`.
pub fn forward(activation: Activation, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "activation: {} numbers into {}", x.len(), out.len());
    with_curve!(activation, plain(x, out));
}

/// `d_x = d_out * f'(x)`.
pub fn backward(activation: Activation, x: &[f32], d_out: &[f32], d_x: &mut [f32]) {
    assert_eq!((x.len(), x.len()), (d_out.len(), d_x.len()), "activation backward: lengths");
    with_curve!(activation, plain_backward(x, d_out, d_x));
}

/// `out = f(gate) * up` for rows of `gate_up` `[rows, 2 channels]`, the gate first.
pub fn gated(activation: Activation, gate_up: &[f32], channels: usize, out: &mut [f32]) {
    assert_eq!(gate_up.len(), 2 * out.len(), "gated: {} numbers into {}", gate_up.len(), out.len());
    with_curve!(activation, gated_of(gate_up, channels, out));
}

/// `gate = f(gate) * up` on this thread, for numbers that the first-level cache holds.
pub(crate) fn gate(activation: Activation, gate: &mut [f32], up: &[f32]) {
    with_curve!(activation, gate_of(gate, up));
}

/// The gradient of [`gated`]: `d_gate = d_out * up * f'(gate)`, `d_up = d_out * f(gate)`.
pub fn gated_backward(activation: Activation, gate_up: &[f32], channels: usize, d_out: &[f32], d_gate_up: &mut [f32]) {
    let lengths = [gate_up.len(), 2 * d_out.len(), d_gate_up.len()];
    assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "gated_backward: lengths {lengths:?} should be equal");
    with_curve!(activation, gated_backward_of(gate_up, channels, d_out, d_gate_up));
}

fn plain<C: Curve>(x: &[f32], out: &mut [f32]) {
    pool::for_each_chunk(out, PIECE, |piece, out| {
        let x = &x[piece * PIECE..];
        vectorized(
            #[inline(always)]
            || out.iter_mut().zip(x).for_each(|(out, &x)| *out = C::value(x)),
        );
    });
}

fn plain_backward<C: Curve>(x: &[f32], d_out: &[f32], d_x: &mut [f32]) {
    pool::for_each_chunk(d_x, PIECE, |piece, d_x| {
        let (x, d_out) = (&x[piece * PIECE..], &d_out[piece * PIECE..]);
        vectorized(
            #[inline(always)]
            || d_x.iter_mut().zip(x).zip(d_out).for_each(|((d_x, &x), d)| *d_x = d * C::slope(x)),
        );
    });
}

fn gate_of<C: Curve>(gate: &mut [f32], up: &[f32]) {
    vectorized(
        #[inline(always)]
        || gate.iter_mut().zip(up).for_each(|(gate, up)| *gate = C::value(*gate) * up),
    );
}

fn gated_of<C: Curve>(gate_up: &[f32], channels: usize, out: &mut [f32]) {
    let (rows, shared) = (out.len() / channels.max(1), Shared::new(out));
    for_each_range(rows, 2 * channels, |range| {
        // SAFETY: the ranges of different tasks do not meet, and neither do their rows.
        let out = unsafe { shared.slice(range.start * channels, range.len() * channels) };
        let rows = &gate_up[2 * range.start * channels..2 * range.end * channels];
        vectorized(
            #[inline(always)]
            || {
                for (row, out) in rows.chunks_exact(2 * channels).zip(out.chunks_exact_mut(channels)) {
                    let (gate, up) = row.split_at(channels);
                    out.iter_mut().zip(gate).zip(up).for_each(|((out, &gate), up)| *out = C::value(gate) * up);
                }
            },
        );
    });
}

fn gated_backward_of<C: Curve>(gate_up: &[f32], channels: usize, d_out: &[f32], d_gate_up: &mut [f32]) {
    let (rows, shared) = (d_out.len() / channels.max(1), Shared::new(d_gate_up));
    for_each_range(rows, 2 * channels, |range| {
        // SAFETY: the ranges of different tasks do not meet, and neither do their rows.
        let d_rows = unsafe { shared.slice(2 * range.start * channels, 2 * range.len() * channels) };
        let rows = &gate_up[2 * range.start * channels..2 * range.end * channels];
        let d_out = &d_out[range.start * channels..range.end * channels];
        vectorized(
            #[inline(always)]
            || {
                let all = rows
                    .chunks_exact(2 * channels)
                    .zip(d_rows.chunks_exact_mut(2 * channels))
                    .zip(d_out.chunks_exact(channels));
                for ((row, d_row), d_out) in all {
                    let ((gate, up), (d_gate, d_up)) = (row.split_at(channels), d_row.split_at_mut(channels));
                    for i in 0..channels {
                        d_gate[i] = d_out[i] * up[i] * C::slope(gate[i]);
                        d_up[i] = d_out[i] * C::value(gate[i]);
                    }
                }
            },
        );
    });
}
