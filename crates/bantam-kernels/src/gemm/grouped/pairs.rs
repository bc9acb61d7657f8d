//! Weights as pairs of bf16, for products of many rows by AMX: from their codes into the panels that its tiles read, a block at a time, which the
//! cache holds until all rows are multiplied with it.

use super::super::pack::{self, Range};
use super::super::panel;
use super::{Codes, GROUP, GroupedMatrix, PANEL};
use crate::isa::Isa;

/// Words of a panel's step: as many panels of codes lie side by side as make one of pairs.
const STEP: usize = panel::PANEL;
/// Steps of a group.
const STEPS: usize = GROUP / 2;

impl GroupedMatrix {
    /// Writes panels of pairs as [`pack::right_panels`] does, each weight rounded once. The range begins with a panel of codes and a group.
    pub(in super::super) fn panels_of_pairs(&self, isa: Isa, range: Range, out: &mut [u32]) {
        let Range { first_item, items, first_k, k } = range;
        let (groups, steps, layout) = (self.k.div_ceil(GROUP), k.div_ceil(2), Codes { bits: self.bits });
        debug_assert!(first_item.is_multiple_of(PANEL) && first_k.is_multiple_of(GROUP) && first_k + k <= self.k);
        for (index, out) in out.chunks_exact_mut((steps * STEP).max(1)).take(items.div_ceil(STEP)).enumerate() {
            for part in 0..STEP / PANEL {
                let panel = (first_item + index * STEP) / PANEL + part;
                for (group, out) in out.chunks_mut(STEPS * STEP).enumerate() {
                    let out = &mut out[part * PANEL..];
                    if panel * PANEL >= self.n {
                        out.chunks_mut(STEP).for_each(|step| step[..PANEL].fill(0));
                        continue;
                    }
                    let place = (panel * groups + first_k / GROUP + group) * layout.group();
                    let words = &self.words.words()[place..][..layout.group()];
                    match isa {
                        #[cfg(target_arch = "x86_64")]
                        // SAFETY: AMX comes with AVX-512 and its bf16 part.
                        Isa::Amx => unsafe { super::avx512::write_pairs(words, self.bits, out) },
                        _ => write_pairs(words, layout, out),
                    }
                }
            }
        }
    }
}

/// Writes the pairs of one group of a panel of codes: `[STEP]` words from one step to the next, of which the first [`PANEL`] are written.
fn write_pairs(words: &[u32], layout: Codes, out: &mut [u32]) {
    let mut codes = [0; GROUP];
    for column in 0..PANEL {
        layout.read(words, column, &mut codes);
        let scale = layout.read_scale(words, column).to_f32();
        for (step, pair) in out.chunks_mut(STEP).zip(codes.as_chunks::<2>().0) {
            step[column] = pack::pair(pair.map(|code| f32::from(code) * scale));
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::super::Bits;
    use super::*;
    use crate::testing::Random;

    #[test]
    fn vectors_write_the_pairs_that_plain_code_writes() {
        if !Isa::available().contains(&Isa::Avx512) || !Isa::Avx512.has_bf16() {
            return;
        }
        let mut random = Random::new(5);
        for bits in [Bits::Four, Bits::Eight] {
            let matrix = GroupedMatrix::quantize(&random.vector(PANEL * GROUP), PANEL, GROUP, bits);
            // All steps, and fewer, as the last group of a matrix may have.
            for steps in [STEPS, 5] {
                let [mut plain, mut vectors] = [(); 2].map(|()| vec![7; steps * STEP]);
                write_pairs(matrix.words.words(), Codes { bits }, &mut plain);
                // SAFETY: the machine has what it needs.
                unsafe { super::super::avx512::write_pairs(matrix.words.words(), bits, &mut vectors) };
                assert_eq!(vectors, plain, "{bits:?}, {steps} steps");
            }
        }
    }
}
