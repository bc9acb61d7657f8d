//! Feed-forward layers with a gate, of weights in groups. For the rows of prompts by AMX nothing goes to memory between their two products but what
//! the second one reads: its inputs as pairs of bf16.

use super::super::driver::{Product, Right};
use super::super::factors::{LeftFactor, pack_input};
use super::super::tile::Arithmetic;
use super::super::{Epilogue, Make, Reading};
use super::{GroupedMatrix, PANEL};
use crate::activation::{self, Activation};
use crate::memory::Buffer;
use std::ops::Range;

/// `down · (activation(gate · x) * (up · x))`.
#[derive(Clone, Copy)]
pub struct GatedLayer<'a> {
    /// The gate's rows and then those of up, `[2 channels, width]`.
    pub gate_up: &'a GroupedMatrix,
    /// Bends the gate.
    pub activation: Activation,
    /// `[width, channels]`.
    pub down: &'a GroupedMatrix,
}

impl GatedLayer<'_> {
    /// Whether [`gated_layer`] can compute it: the panels of gate and of up are apart.
    pub fn fits(&self) -> bool {
        self.channels().is_multiple_of(PANEL)
    }

    fn channels(&self) -> usize {
        self.down.k
    }

    /// Rows as answers have them. As one pass over the panels of gate and up, side by side, they take a fifth longer: two streams of weights are read
    /// more slowly than one.
    fn answer(&self, x: Reading<'_>, rows: usize, residual: &[f32], out: &mut [f32]) {
        let channels = self.channels();
        let mut both = Buffer::scratch(rows * 2 * channels);
        self.gate_up.multiply(x, rows, &mut both, &Epilogue::default());
        let bent = Bent { both: &both, activation: self.activation, channels };
        let epilogue = Epilogue { residual: Some(residual), ..Epilogue::default() };
        self.down.multiply(Reading::Made { rows: &bent, first: 0 }, rows, out, &epilogue);
    }

    /// Rows of a prompt by AMX: see [`GroupedMatrix::multiply_prompt`].
    fn prompt(&self, x: Reading<'_>, rows: usize, residual: &[f32], out: &mut [f32]) {
        let (input, _) = pack_input(x, rows, self.gate_up.k, false);
        let mut bent = LeftFactor::of_rows(Arithmetic::Bf16Tiles, rows, self.channels());
        let row_words = bent.row_words();
        let both = self.gate_up.prompt_product(&input, rows, &Epilogue::default());
        let right = Right::Gated(self.gate_up, self.activation);
        Product { n: self.channels(), right, ..both }.run_rounded(bent.words_mut(), row_words);
        let epilogue = Epilogue { residual: Some(residual), ..Epilogue::default() };
        self.down.prompt_product(&bent, rows, &epilogue).run(out);
    }
}

/// Channels, made of rows of gate and up as the product after them quantises them.
struct Bent<'a> {
    both: &'a [f32],
    activation: Activation,
    channels: usize,
}

impl Make for Bent<'_> {
    fn make(&self, numbers: Range<usize>, out: &mut [f32]) {
        activation::gated(self.activation, &self.both[2 * numbers.start..2 * numbers.end], self.channels, out);
    }
}

/// `out = residual + layer(x)`, where `x`, the residual and `out` are `[rows, width]`. The rows from `first` on are those of prompts.
pub fn gated_layer(layer: &GatedLayer<'_>, x: Reading<'_>, first: usize, residual: &[f32], out: &mut [f32]) {
    let (channels, width) = (layer.channels(), layer.gate_up.k);
    let rows = out.len() / width;
    assert!(
        layer.fits() && layer.gate_up.n == 2 * channels && layer.down.n == width,
        "gated_layer: {} x {width} before {} x {channels}",
        layer.gate_up.n,
        layer.down.n
    );
    assert_eq!((rows * width, residual.len()), (out.len(), out.len()), "gated_layer: rows of {width}");
    x.check(rows * width);
    let first = if GroupedMatrix::reads_prompts_apart() { first.min(rows) } else { rows };
    let (answers, prompts) = out.split_at_mut(first * width);
    if first > 0 {
        layer.answer(x.part(0..first * width), first, &residual[..first * width], answers);
    }
    if first < rows {
        layer.prompt(x.part(first * width..rows * width), rows - first, &residual[first * width..], prompts);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Bits;
    use super::*;
    use crate::testing::{Random, for_each_isa};

    /// The layer by the ops that it is made of.
    fn by_ops(layer: &GatedLayer<'_>, x: &[f32], first: usize, residual: &[f32]) -> Vec<f32> {
        let (channels, width) = (layer.channels(), layer.gate_up.k);
        let rows = x.len() / width;
        let multiply = |matrix: &GroupedMatrix, x: &[f32], residual: Option<&[f32]>| {
            let (n, k) = (matrix.n, matrix.k);
            let mut out = vec![9.0; rows * n];
            let (answers, prompts) = out.split_at_mut(first * n);
            let epilogue = |residual| Epilogue { residual, ..Epilogue::default() };
            let residuals = residual.map(|residual| residual.split_at(first * n)).unzip();
            matrix.multiply(Reading::Slice(&x[..first * k]), first, answers, &epilogue(residuals.0));
            matrix.multiply_prompt(Reading::Slice(&x[first * k..]), rows - first, prompts, &epilogue(residuals.1));
            out
        };
        let mut bent = vec![9.0; rows * channels];
        activation::gated(layer.activation, &multiply(layer.gate_up, x, None), channels, &mut bent);
        multiply(layer.down, &bent, Some(residual))
    }

    #[test]
    fn a_layer_gives_the_bits_of_its_ops() {
        for_each_isa(|isa| {
            let mut random = Random::new(7);
            // Rows, of which the second number are a prompt's; channels; width. Whole tiles and not, and more than one block of inputs.
            let shapes = [[1, 0, 32, 32], [13, 0, 160, 45], [0, 1, 96, 64], [5, 40, 192, 96], [3, 33, 64, 1090]];
            for [answers, prompts, channels, width] in shapes {
                for bits in [[Bits::Four, Bits::Four], [Bits::Eight, Bits::Four], [Bits::Eight, Bits::Eight]] {
                    let mut matrix =
                        |n: usize, k: usize, bits| GroupedMatrix::quantize(&random.vector(n * k), n, k, bits);
                    let (gate_up, down) = (matrix(2 * channels, width, bits[0]), matrix(width, channels, bits[1]));
                    for activation in [Activation::Silu, Activation::GeluTanh] {
                        let layer = GatedLayer { gate_up: &gate_up, activation, down: &down };
                        let numbers = (answers + prompts) * width;
                        let (x, residual) = (random.vector(numbers), random.vector(numbers));
                        let mut out = vec![9.0; numbers];
                        gated_layer(&layer, Reading::Slice(&x), answers, &residual, &mut out);
                        let what = format!("{answers} and {prompts} x {channels} x {width} of {bits:?} with {isa:?}");
                        assert_eq!(out, by_ops(&layer, &x, answers, &residual), "{what}");
                    }
                }
            }
        });
    }

    #[test]
    fn halves_of_a_panel_do_not_fit() {
        let matrix = |n: usize, k: usize| GroupedMatrix::quantize(&vec![1.0; n * k], n, k, Bits::Four);
        let (gate_up, down) = (matrix(2 * 48, 32), matrix(32, 48));
        assert!(!GatedLayer { gate_up: &gate_up, activation: Activation::Silu, down: &down }.fits());
    }
}
