//! Matrix products: out = activation(a · b + bias) + residual, for training (f32, bf16) and for packed inference weights (f32, bf16, int8).

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod block;
mod driver;
mod factors;
pub mod grouped;
mod pack;
mod packed;
mod panel;
pub(crate) mod part;
mod portable;
pub(crate) mod quantize;
#[cfg(test)]
mod tests;
mod tile;

#[cfg(target_arch = "x86_64")]
pub(crate) use amx::register_loop;
pub use factors::{
    LeftFactor, Make, Reading, RightFactor, multiply_factors, multiply_factors_rounded, pack_input, pack_upstream,
};
pub(crate) use packed::SUMMED;
pub use packed::{PackedFormat, PackedMatrix};
pub use quantize::quantize_rows;

use crate::isa::Isa;
use crate::pool;
use driver::{Left, Product, Right};
use pack::Source;
use tile::Arithmetic;

/// Multiply-adds below which a product stays on the calling thread: about 30 microseconds.
const PARALLEL: usize = 1 << 21;

/// How the factors of a product are rounded; sums are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Not at all.
    F32,
    /// To bf16, to nearest even. Worth its error only where [`crate::isa::Isa::bf16_is_fast`].
    Bf16,
}

/// One factor of a product: a row-major matrix, or the transpose of one.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// The elements as stored.
    pub data: &'a [f32],
    /// Logical rows, after the transposition.
    pub rows: usize,
    /// Logical columns, after the transposition.
    pub columns: usize,
    /// Elements from one stored row to the next.
    pub stride: usize,
    /// Whether the stored matrix is the transpose of the logical one.
    pub transposed: bool,
}

impl<'a> Operand<'a> {
    /// A contiguous row-major matrix of `rows` x `columns`.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Operand { data, rows, columns, stride: columns, transposed: false }
    }

    /// The transpose: nothing is moved.
    pub fn t(self) -> Self {
        Operand { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    /// Panics where the slice is too short for the shape.
    fn check(&self, name: &str) {
        let (rows, columns) = if self.transposed { (self.columns, self.rows) } else { (self.rows, self.columns) };
        let needed = if rows == 0 || columns == 0 { 0 } else { (rows - 1) * self.stride + columns };
        assert!(
            self.data.len() >= needed && (rows <= 1 || self.stride >= columns),
            "gemm: {name} is stored as {rows} x {columns} with stride {}, but has {} elements",
            self.stride,
            self.data.len()
        );
    }
}

/// A function applied to each element of a product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activation {
    /// The identity.
    #[default]
    None,
    /// x times the normal distribution function, by erf.
    Gelu,
    /// max(x, 0).
    Relu,
    /// x times its sigmoid.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

/// What happens to the sums before they are stored: out = activation(sum + bias) + residual (+ old out).
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Adds to what `out` holds, instead of replacing it.
    pub accumulate: bool,
    /// One number per column.
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias.
    pub activation: Activation,
    /// A contiguous matrix of the shape of `out`.
    pub residual: Option<&'a [f32]>,
}

impl Epilogue<'_> {
    fn check(&self, m: usize, n: usize, out: usize) {
        assert!(out == m * n, "gemm: the product is {m} x {n}, but out has {out} elements");
        assert!(
            self.bias.is_none_or(|bias| bias.len() == n),
            "gemm: {n} columns, but a bias of {:?}",
            self.bias.map(<[f32]>::len)
        );
        assert!(
            self.residual.is_none_or(|residual| residual.len() == m * n),
            "gemm: the product is {m} x {n}, but the residual has {:?} elements",
            self.residual.map(<[f32]>::len)
        );
    }
}

/// Multiplies `a` [m, k] by `b` [k, n] into `out` [m, n] (contiguous), on all threads. Any of the two may be transposed.
pub fn multiply(precision: Precision, a: Operand<'_>, b: Operand<'_>, out: &mut [f32], epilogue: &Epilogue<'_>) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert!(b.rows == k, "gemm: {m} x {k} times {} x {n}", b.rows);
    a.check("a");
    b.check("b");
    epilogue.check(m, n, out.len());
    let isa = Isa::current();
    let product = Product {
        isa,
        arithmetic: if precision == Precision::F32 { Arithmetic::F32 } else { Arithmetic::bf16(isa, false) },
        m,
        n,
        k,
        left: Left::Source(Source::left(&a)),
        right: Right::Source(Source::right(&b)),
        epilogue: *epilogue,
        threads: if m * n * k < PARALLEL { 1 } else { pool::threads() },
    };
    product.run(out);
}
