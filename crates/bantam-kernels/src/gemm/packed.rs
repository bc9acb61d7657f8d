//! Weights packed once, for inference: panels of 64 output features, that tiles read as they lie.

use super::driver::{Left, Product, Right};
use super::pack::{self, Range, Source, Store};
use super::panel::{Layout, PANEL};
use super::quantize::{OFFSET, quantize_token};
use super::tile::{Arithmetic, HEIGHT};
use super::{Epilogue, quantize_rows};
use crate::isa::Isa;
use crate::memory::Buffer;
use crate::pool;

/// The number format of packed weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PackedFormat {
    /// 4 bytes per weight.
    F32,
    /// 2 bytes per weight; inputs are rounded to bf16 too.
    Bf16,
    /// 1 byte per weight and a scale per row; inputs are quantised per token.
    Int8,
}

/// A weight matrix [n, k] (out features x in features) laid out for products with few or many tokens.
#[derive(Clone)]
pub struct PackedMatrix {
    words: Buffer,
    /// That of each panel of `words`.
    pub(super) layout: Layout,
    /// For int8, per output feature up to whole panels: the scale, and what undoes the offset of the inputs' codes.
    pub(super) scales: Vec<f32>,
    start: Vec<i32>,
    /// For int8, the sums of the first 0, [`SUMMED`], 2 * [`SUMMED`]... codes of each output feature, up to whole panels: what undoes the offset
    /// for a part of the inputs.
    pub(super) sums: Vec<i32>,
    n: usize,
    k: usize,
    format: PackedFormat,
}

/// Multiply-adds below which a product stays on the calling thread (about 100 microseconds): f32 and bf16, int8.
const PARALLEL: usize = 5 << 20;
const PARALLEL_INT8: usize = 20 << 20;
/// Codes of a row that are summed together: parts of the inputs begin at multiples of it.
pub(crate) const SUMMED: usize = 64;
/// Bytes of weights that are worth a second thread even for one token.
const PARALLEL_BYTES: usize = 2 << 20;
/// Bytes of codes that are made at once, so that they are still in the caches when they are used.
const CODES: usize = 4 << 20;

impl PackedMatrix {
    /// Packs `weight` [n, k], row-major, rounding it to `format`.
    pub fn pack(weight: &[f32], n: usize, k: usize, format: PackedFormat) -> PackedMatrix {
        assert!(weight.len() == n * k, "pack: {n} x {k}, but {} elements", weight.len());
        let isa = Isa::current();
        let arithmetic = match format {
            PackedFormat::F32 => Arithmetic::F32,
            PackedFormat::Bf16 => Arithmetic::bf16(isa, true),
            PackedFormat::Int8 => {
                let (codes, scales) = quantize_rows(weight, n, k);
                return PackedMatrix::from_int8(&codes, &scales, n, k);
            }
        };
        let source = Source { data: weight, stride: k, lines_are_items: true };
        let layout = Layout::of(isa, k.div_ceil(arithmetic.elements()));
        let mut words = Buffer::lasting(n.div_ceil(PANEL) * layout.words());
        pool::for_each_chunk(words.words_mut(), layout.words(), |panel, words| {
            let first_item = panel * PANEL;
            let range = Range { first_item, items: PANEL.min(n - first_item), first_k: 0, k };
            pack::right_panels(isa, arithmetic, &source, range, layout, words, Store::Kept);
        });
        PackedMatrix { words, layout, scales: Vec::new(), start: Vec::new(), sums: Vec::new(), n, k, format }
    }

    /// Packs codes [n, k] with a scale per row [n], as [`quantize_rows`] makes them.
    pub fn from_int8(codes: &[i8], scales: &[f32], n: usize, k: usize) -> PackedMatrix {
        assert!(
            codes.len() == n * k && scales.len() == n,
            "from_int8: {n} x {k}, but {} codes and {} scales",
            codes.len(),
            scales.len()
        );
        let columns = n.next_multiple_of(PANEL);
        let layout = Layout::of(Isa::current(), k.div_ceil(4));
        let mut words = Buffer::lasting(n.div_ceil(PANEL) * layout.words());
        pool::for_each_chunk(words.words_mut(), layout.words(), |panel, words| {
            for (column, row) in codes[panel * PANEL * k..].chunks_exact(k.max(1)).take(PANEL).enumerate() {
                for (step, four) in row.chunks(4).enumerate() {
                    let bytes = std::array::from_fn(|byte| four.get(byte).map_or(0, |code| *code as u8));
                    words[layout.place(step, column)] = u32::from_le_bytes(bytes);
                }
            }
        });
        let mut sums = vec![0; (k.div_ceil(SUMMED) + 1) * columns];
        for (column, row) in codes.chunks_exact(k.max(1)).enumerate() {
            let mut sum = 0;
            for (place, codes) in row.chunks(SUMMED).enumerate() {
                sum += codes.iter().map(|code| i32::from(*code)).sum::<i32>();
                sums[(place + 1) * columns + column] = sum;
            }
        }
        let start = sums[k.div_ceil(SUMMED) * columns..].iter().map(|sum| -OFFSET * sum).collect();
        let mut padded = scales.to_vec();
        padded.resize(columns, 0.0);
        PackedMatrix { words, layout, scales: padded, start, sums, n, k, format: PackedFormat::Int8 }
    }

    /// out [m, n] = activation(x [m, k] · weightᵀ + bias) + residual. Works on one thread where that takes less than about 100 microseconds.
    pub fn multiply(&self, x: &[f32], m: usize, out: &mut [f32], epilogue: &Epilogue<'_>) {
        let (n, k) = (self.n, self.k);
        assert!(x.len() == m * k, "gemm: x is {m} x {k}, but has {} elements", x.len());
        epilogue.check(m, n, out.len());
        let isa = Isa::current();
        let arithmetic = match self.format {
            PackedFormat::F32 => Arithmetic::F32,
            PackedFormat::Bf16 => Arithmetic::bf16(isa, true),
            PackedFormat::Int8 => Arithmetic::int8(isa, m),
        };
        let limit = if arithmetic.is_int8() { PARALLEL_INT8 } else { PARALLEL };
        let threads = if m * n * k < limit && self.bytes() < PARALLEL_BYTES { 1 } else { pool::threads() };
        let product = Product {
            isa,
            arithmetic,
            m,
            n,
            k,
            left: Left::Source(Source { data: x, stride: k, lines_are_items: true }),
            right: self.right(),
            epilogue: *epilogue,
            threads,
        };
        if self.format != PackedFormat::Int8 {
            return product.run(out);
        }
        let stride = k.div_ceil(4);
        let parts = (m * k).div_ceil(CODES).max(1);
        let most = m.div_ceil(parts).next_multiple_of(arithmetic.rows()).min(m).max(1);
        let (mut codes, mut scales) = (Buffer::scratch(most.next_multiple_of(HEIGHT) * stride), Buffer::scratch(most));
        for first in (0..m).step_by(most) {
            let m = most.min(m - first);
            quantize(isa, &x[first * k..][..m * k], k, codes.words_mut(), &mut scales, threads);
            let left = Left::Codes { words: codes.words(), stride, scales: &scales };
            let residual = epilogue.residual.map(|residual| &residual[first * n..][..m * n]);
            Product { m, left, epilogue: Epilogue { residual, ..*epilogue }, ..product }
                .run(&mut out[first * n..][..m * n]);
        }
    }

    /// The words of all panels.
    pub(super) fn words(&self) -> &[u32] {
        self.words.words()
    }

    fn right(&self) -> Right<'_> {
        Right::Panels { words: self.words.words(), layout: self.layout, scales: &self.scales, start: &self.start }
    }

    /// Output features.
    pub fn rows(&self) -> usize {
        self.n
    }

    /// Input features.
    pub fn columns(&self) -> usize {
        self.k
    }

    /// Bytes that a product reads of the matrix, padding included.
    pub fn bytes(&self) -> usize {
        (self.words.len() + self.scales.len() + self.start.len()) * 4
    }

    /// The number format.
    pub fn format(&self) -> PackedFormat {
        self.format
    }
}

impl std::fmt::Debug for PackedMatrix {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PackedMatrix({} x {}, {:?})", self.n, self.k, self.format)
    }
}

/// Quantises tokens [m, k] into codes [m, k / 4] and scales [m].
fn quantize(isa: Isa, x: &[f32], k: usize, codes: &mut [u32], scales: &mut [f32], threads: usize) {
    let stride = k.div_ceil(4);
    if k == 0 {
        return scales.fill(0.0);
    }
    let tokens = x.len() / k;
    let scales = pool::Shared::new(&mut scales[..tokens]);
    // About 16,000 elements, a few microseconds, per task.
    let tokens_per_task = (16_384 / k).max(1);
    pool::with_threads(threads, || {
        pool::for_each_chunk(&mut codes[..tokens * stride], tokens_per_task * stride, |task, codes| {
            let first = task * tokens_per_task;
            // SAFETY: each task has tokens of its own.
            let scales = unsafe { scales.slice(first, codes.len() / stride) };
            let x = x[first * k..].chunks_exact(k);
            for ((codes, token), scale) in codes.chunks_exact_mut(stride).zip(x).zip(scales) {
                *scale = quantize_token(isa, token, codes);
            }
        });
    });
}
