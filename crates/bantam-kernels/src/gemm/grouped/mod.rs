//! Weights of 4 or 8 bits in groups of [`GROUP`] inputs with a scale each, as most published small models come (GGUF's Q4_0 and Q8_0).
//!
//! The bytes of [`PANEL`] outputs lie side by side, so that one instruction multiplies four inputs for sixteen outputs, and nothing is ever
//! shuffled: of 4-bit codes a mask and a shift give two such operands. Inputs are quantised as they come, with a scale per group too, and
//! each group's sum begins at what the codes' offset adds to it. Weights are read once for all rows of a tile, straight from their codes.

use std::ops::Range;

use half::f16;

use super::driver::{Product, Right};
use super::factors::{LeftFactor, pack_input};
use super::tile::{Arithmetic, finish_row};
use super::{Activation, Epilogue, PARALLEL, Reading};
use crate::isa::Isa;
use crate::memory::Buffer;
use crate::pool::{self, Shared};
use crate::vectorized::vectorized;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod codes;
mod fit;
mod gated;
mod input;
mod pairs;
mod portable;
#[cfg(test)]
mod tests;

use codes::Codes;
pub use fit::fit_group;
pub use gated::{GatedLayer, gated_layer};
use input::Input;

/// Inputs that share a scale.
pub const GROUP: usize = 32;
/// Outputs side by side.
pub(super) const PANEL: usize = 32;
/// Rows of the input that are multiplied at once.
pub(super) const ROWS: usize = 6;
/// Rows for which the codes of a panel are unpacked at once, with AVX2: few enough for their part of the output to stay near.
const UNPACKED_ROWS: usize = 16 * ROWS;
/// Bytes of weights that one task reads at least, where there are several rows: half of a small second-level cache.
const TASK_BYTES: usize = 128 << 10;

/// Tasks per thread: some, so that a thread that is held up leaves work to others.
const LEAST_ROUNDS: usize = 2;
const MOST_ROUNDS: usize = 24;

/// Bits of a weight's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// -8 to 7.
    Four,
    /// -128 to 127.
    Eight,
}

/// A weight matrix `[n, k]` in groups.
#[derive(Clone)]
pub struct GroupedMatrix {
    /// `[panels][groups]`, each as [`Codes`] says.
    words: Buffer,
    n: usize,
    k: usize,
    bits: Bits,
}

/// A tile of the product: pointers to the panel's groups, and to the first row's inputs.
pub(super) struct Tile {
    words: *const u32,
    groups: usize,
    rows: usize,
    input: *const u32,
    input_scales: *const f32,
    starts: *const i32,
    place: Place,
}

impl Tile {
    /// Computes it, from a panel's codes as they lie or unpacked, for a matrix of `bits`.
    ///
    /// # Safety
    /// The words and the input are those of all groups and rows. All rows of the panel are within what the place points to, and nobody else uses them.
    #[inline(always)]
    unsafe fn run(&self, isa: Isa, bits: Bits, is_unpacked: bool) {
        // SAFETY: as promised, and the set is there.
        unsafe {
            match (isa, is_unpacked) {
                #[cfg(target_arch = "x86_64")]
                (Isa::Avx512 | Isa::Amx, _) => avx512::tile(self, bits),
                #[cfg(target_arch = "x86_64")]
                (Isa::Avx2, true) => avx2::unpacked_tile(self, bits),
                #[cfg(target_arch = "x86_64")]
                (Isa::Avx2, false) => avx2::tile(self, bits),
                _ => portable::tile(self, bits),
            }
        }
    }
}

/// Whether a panel's codes are unpacked before so many rows are multiplied by it; fewer would not make up for it.
fn unpacks(isa: Isa, rows: usize) -> bool {
    isa == Isa::Avx2 && rows >= ROWS
}

/// Calls `tile` with rows, a panel, and whether that is another one than before. Some rows are multiplied by a panel that was unpacked before the next
/// takes its place, else the rows of a tile by all panels.
#[inline(always)]
fn for_each_tile(
    unpacks: bool,
    rows: Range<usize>,
    panels: Range<usize>,
    mut tile: impl FnMut(Range<usize>, usize, bool),
) {
    let (rows_together, panels_together) = if unpacks { (UNPACKED_ROWS, 1) } else { (ROWS, panels.len()) };
    for first_row in rows.clone().step_by(rows_together) {
        let rows = first_row..rows.end.min(first_row + rows_together);
        for first in panels.clone().step_by(panels_together) {
            for row in rows.clone().step_by(ROWS) {
                for panel in first..panels.end.min(first + panels_together) {
                    tile(row..rows.end.min(row + ROWS), panel, row == rows.start);
                }
            }
        }
    }
}

/// Where a tile's sums go: the first number, numbers from one row to the next, and what is added to them, which lies in the same way.
#[derive(Clone, Copy)]
struct Place {
    out: *mut f32,
    row: usize,
    residual: Option<*const f32>,
}

impl Place {
    fn of(sums: &mut [f32; ROWS * PANEL]) -> Self {
        Self { out: sums.as_mut_ptr(), row: PANEL, residual: None }
    }
}

/// A panel that is being written.
struct Panel<'a> {
    layout: Codes,
    words: &'a mut [u32],
}

impl Panel<'_> {
    fn write(&mut self, column: usize, group: usize, scale: f16, codes: &[i8; GROUP]) {
        let words = &mut self.words[group * self.layout.group()..];
        self.layout.write_scale(scale, column, words);
        self.layout.write(codes, column, words);
    }

    /// Writes all groups of one output, which a panel has side by side with those of others.
    fn write_words(&mut self, column: usize, scales: &[f16], words: &[u32]) {
        let groups = self.words.chunks_exact_mut(self.layout.group());
        for ((group, words), scale) in groups.zip(words.chunks_exact(self.layout.words())).zip(scales) {
            self.layout.write_scale(*scale, column, group);
            group.chunks_exact_mut(PANEL).zip(words).for_each(|(place, word)| place[column] = *word);
        }
    }
}

impl GroupedMatrix {
    /// Quantises `weight` `[n, k]`, each group with the scale that fits it best (see [`fit_group`]).
    pub fn quantize(weight: &[f32], n: usize, k: usize, bits: Bits) -> GroupedMatrix {
        assert_eq!(weight.len(), n * k, "a matrix of {n} x {k}");
        Self::quantize_rows(n, k, bits, |row, out| out.copy_from_slice(&weight[row * k..][..k]))
    }

    /// [`GroupedMatrix::quantize`] of rows that `row` writes one by one, so that they need not all be there at once.
    pub fn quantize_rows(n: usize, k: usize, bits: Bits, row: impl Fn(usize, &mut [f32]) + Sync) -> GroupedMatrix {
        Self::from_panels(n, k, bits, |rows, panel| {
            let (mut numbers, mut codes) = (vec![0.0; k.next_multiple_of(GROUP)], [0i8; GROUP]);
            for (column, index) in rows.enumerate() {
                row(index, &mut numbers[..k]);
                for (group, values) in numbers.as_chunks::<GROUP>().0.iter().enumerate() {
                    let scale = fit_group(values, &[1.0; GROUP], bits, &mut codes);
                    panel.write(column, group, scale, &codes);
                }
            }
        })
    }

    /// Lays out codes that `group` gives for each row and group: it writes them, in -8..=7 or -128..=127, and returns their scale.
    pub fn from_groups(
        n: usize,
        k: usize,
        bits: Bits,
        group: impl Fn(usize, usize, &mut [i8; GROUP]) -> f16 + Sync,
    ) -> GroupedMatrix {
        Self::from_panels(n, k, bits, |rows, panel| {
            let mut codes = [0i8; GROUP];
            for (column, row) in rows.enumerate() {
                for index in 0..k.div_ceil(GROUP) {
                    let scale = group(row, index, &mut codes);
                    panel.write(column, index, scale, &codes);
                }
            }
        })
    }

    /// The same for codes that are packed already: `row` writes the scales of a row's groups and their words. Of eight bits a word has four
    /// inputs' codes plus 128, the first lowest; of four bits the lower halves of its bytes are four inputs' codes plus 8, the upper halves
    /// those of the next four.
    pub fn from_words(
        n: usize,
        k: usize,
        bits: Bits,
        row: impl Fn(usize, &mut [f16], &mut [u32]) + Sync,
    ) -> GroupedMatrix {
        Self::from_panels(n, k, bits, |rows, panel| {
            let groups = k.div_ceil(GROUP);
            let (mut scales, mut words) = (vec![f16::ZERO; groups], vec![0; groups * Codes { bits }.words()]);
            for (column, index) in rows.enumerate() {
                row(index, &mut scales, &mut words);
                panel.write_words(column, &scales, &words);
            }
        })
    }

    /// Lets `fill` write each panel, given its rows.
    fn from_panels(
        n: usize,
        k: usize,
        bits: Bits,
        fill: impl Fn(Range<usize>, &mut Panel<'_>) + Sync,
    ) -> GroupedMatrix {
        let (panels, groups) = (n.div_ceil(PANEL), k.div_ceil(GROUP));
        let layout = Codes { bits };
        let panel_words = groups * layout.group();
        let mut words = Buffer::lasting(panels * panel_words);
        pool::for_each_chunk(words.words_mut(), panel_words.max(1), |panel, words| {
            let rows = panel * PANEL..n.min((panel + 1) * PANEL);
            fill(rows, &mut Panel { layout, words });
        });
        GroupedMatrix { words, n, k, bits }
    }

    /// out [m, n] = activation(x [m, k] · weightᵀ + bias) + residual, or added to `out`.
    pub fn multiply(&self, x: Reading<'_>, m: usize, out: &mut [f32], epilogue: &Epilogue<'_>) {
        x.check(m * self.k);
        epilogue.check(m, self.n, out.len());
        // A pass often has prompts only, or answers only.
        if m == 0 {
            return;
        }
        let (panels, isa) = (self.n.div_ceil(PANEL), Isa::current());
        let unpacks = unpacks(isa, m);
        let input = Input::quantize(x, m, self.k, self.bits, unpacks && self.bits == Bits::Eight);
        let step = self.panels_per_task(m);
        let out = Shared::new(out);
        // What is added to whole panels is added in the tile, whose sums are in registers.
        let is_plain = epilogue.bias.is_none() && epilogue.activation == Activation::None && !epilogue.accumulate;
        pool::for_each(panels.div_ceil(step), |task| {
            let mut sums = [0.0f32; ROWS * PANEL];
            let mut unpacked = Buffer::scratch(if unpacks { self.unpacked_words() } else { 0 });
            for_each_tile(unpacks, 0..m, task * step..panels.min((task + 1) * step), |rows, panel, is_next| {
                if unpacks && is_next {
                    self.unpack(panel, unpacked.words_mut());
                }
                let words = if unpacks { unpacked.words() } else { self.panel(panel) };
                let tile = |place| self.tile(words, &input, rows.clone(), place);
                let (column, columns) = (panel * PANEL, PANEL.min(self.n - panel * PANEL));
                if is_plain && columns == PANEL {
                    let place = rows.start * self.n + column;
                    let residual = epilogue.residual.map(|residual| residual[place..].as_ptr());
                    let tile = tile(Place { out: out.pointer().wrapping_add(place), row: self.n, residual });
                    // SAFETY: the panel is whole, so all its rows are within `out` and the residual; tasks have different panels.
                    return unsafe { tile.run(isa, self.bits, unpacks) };
                }
                // SAFETY: the sums are there for all rows.
                unsafe { tile(Place::of(&mut sums)).run(isa, self.bits, unpacks) };
                for (row, sums) in rows.zip(sums.chunks_exact_mut(PANEL)) {
                    let place = row * self.n + column;
                    // SAFETY: tasks have different panels.
                    let out = unsafe { out.slice(place, columns) };
                    vectorized(
                        #[inline(always)]
                        || finish_row(&mut sums[..columns], column, place, epilogue, out),
                    );
                }
            });
        });
    }

    /// Whether [`GroupedMatrix::multiply_prompt`] gives other bits than [`GroupedMatrix::multiply`].
    pub fn reads_prompts_apart() -> bool {
        Isa::current() == Isa::Amx
    }

    /// [`GroupedMatrix::multiply`] for the rows of a prompt, of which there are many: with AMX, inputs and weights are rounded to bf16, which is
    /// more exact than codes of the inputs and, for fifty rows or more, faster. Here, too, a row does not depend on those beside it.
    pub fn multiply_prompt(&self, x: Reading<'_>, m: usize, out: &mut [f32], epilogue: &Epilogue<'_>) {
        if !Self::reads_prompts_apart() {
            return self.multiply(x, m, out, epilogue);
        }
        x.check(m * self.k);
        epilogue.check(m, self.n, out.len());
        let (input, _) = pack_input(x, m, self.k, false);
        self.prompt_product(&input, m, epilogue).run(out);
    }

    /// [`GroupedMatrix::multiply_prompt`] of packed rows.
    fn prompt_product<'a>(&'a self, input: &'a LeftFactor, m: usize, epilogue: &Epilogue<'a>) -> Product<'a> {
        let (n, k) = (self.n, self.k);
        Product {
            isa: Isa::current(),
            arithmetic: Arithmetic::Bf16Tiles,
            m,
            n,
            k,
            left: input.left(),
            right: Right::Grouped(self),
            epilogue: *epilogue,
            threads: if m * n * k < PARALLEL { 1 } else { pool::threads() },
        }
    }

    /// Panels of a task. For few rows a single one: the pool gives each thread a stretch of them in their order. For many rows as many as stay in
    /// the second-level cache, in the number that keeps all threads busy best.
    fn panels_per_task(&self, m: usize) -> usize {
        if m < ROWS {
            return 1;
        }
        let (panels, threads) = (self.n.div_ceil(PANEL), pool::threads());
        let most = (TASK_BYTES * panels / self.bytes().max(1)).max(1);
        let load = |rounds: usize| {
            let step = panels.div_ceil(threads * rounds);
            (panels.div_ceil(step).div_ceil(threads) * step, step)
        };
        let loads = (LEAST_ROUNDS..=MOST_ROUNDS).map(load).filter(|&(_, step)| step <= most);
        // Of equal loads the longest stretch.
        loads.min_by_key(|&(load, step)| (load, usize::MAX - step)).map_or(most.min(panels), |(_, step)| step).max(1)
    }

    /// The groups of a panel.
    fn panel(&self, panel: usize) -> &[u32] {
        let words = self.k.div_ceil(GROUP) * Codes { bits: self.bits }.group();
        &self.words.words()[panel * words..][..words]
    }

    /// Words of a panel that [`GroupedMatrix::unpack`] unpacked.
    fn unpacked_words(&self) -> usize {
        #[cfg(target_arch = "x86_64")]
        return self.k.div_ceil(GROUP) * avx2::unpacked_group(self.bits);
        #[cfg(not(target_arch = "x86_64"))]
        return 0;
    }

    /// Unpacks a panel, where [`unpacks`] says so.
    fn unpack(&self, panel: usize, out: &mut [u32]) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: AVX2 is there.
        unsafe {
            avx2::unpack(self.panel(panel), self.bits, out);
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (panel, out);
    }

    /// The product of some rows with a panel, given its words.
    // A call would hand the place over in memory, and the first loads of each tile would wait for it.
    #[inline(always)]
    fn tile(&self, words: &[u32], input: &Input, rows: Range<usize>, place: Place) -> Tile {
        Tile {
            words: words.as_ptr(),
            groups: self.k.div_ceil(GROUP),
            rows: rows.len(),
            input: input.codes(rows.clone()).as_ptr(),
            input_scales: input.scales(rows.clone()).as_ptr(),
            starts: input.starts(rows).as_ptr(),
            place,
        }
    }

    /// A row of weights as numbers, `[k]`: what an embedding looks up.
    pub fn row(&self, index: usize, out: &mut [f32]) {
        let (panel, column, groups) = (index / PANEL, index % PANEL, self.k.div_ceil(GROUP));
        let layout = Codes { bits: self.bits };
        let mut codes = [0i8; GROUP];
        for (group, out) in out.chunks_mut(GROUP).enumerate() {
            let words = &self.words.words()[(panel * groups + group) * layout.group()..];
            layout.read(words, column, &mut codes);
            let scale = layout.read_scale(words, column).to_f32();
            out.iter_mut().zip(codes).for_each(|(out, code)| *out = scale * f32::from(code));
        }
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
        self.words.len() * 4
    }

    /// Bits of a code.
    pub fn bits(&self) -> Bits {
        self.bits
    }
}
