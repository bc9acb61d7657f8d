//! The tile in plain Rust, which the compiler makes vectors of where it can.

use super::{Bits, Codes, GROUP, PANEL, Tile};
use crate::vectorized::vectorized;

/// The products of a tile, into its `out`, with what is added to them.
///
/// # Safety
/// The tile's pointers cover its groups and rows, `out` and the residual its outputs.
pub(super) unsafe fn tile(tile: &Tile, bits: Bits) {
    vectorized(
        #[inline(always)]
        || {
            for row in 0..tile.rows {
                let mut sums = [0.0; PANEL];
                // SAFETY: as promised.
                let out = unsafe {
                    one_row(tile, bits, row, &mut sums);
                    if let Some(residual) = tile.place.residual {
                        let residual = &*residual.add(row * tile.place.row).cast::<[f32; PANEL]>();
                        sums.iter_mut().zip(residual).for_each(|(sum, residual)| *sum += residual);
                    }
                    &mut *tile.place.out.add(row * tile.place.row).cast::<[f32; PANEL]>()
                };
                *out = sums;
            }
        },
    );
}

#[inline(always)]
unsafe fn one_row(tile: &Tile, bits: Bits, row: usize, sums: &mut [f32; PANEL]) {
    let layout = Codes { bits };
    for group in 0..tile.groups {
        // SAFETY: as promised.
        let (words, input, scale, start) = unsafe {
            let place = row * tile.groups + group;
            (
                std::slice::from_raw_parts(tile.words.add(group * layout.group()), layout.group()),
                &*tile.input.add(place * GROUP / 4).cast::<[u32; GROUP / 4]>(),
                *tile.input_scales.add(place),
                *tile.starts.add(place),
            )
        };
        let mut total = [start; PANEL];
        match bits {
            Bits::Four => {
                for (words, input) in words.as_chunks::<PANEL>().0.iter().zip(input.as_chunks::<2>().0) {
                    add(words.map(|word| word & 0x0f0f_0f0f), input[0], &mut total);
                    add(words.map(|word| word >> 4 & 0x0f0f_0f0f), input[1], &mut total);
                }
            }
            Bits::Eight => {
                for (words, input) in words.as_chunks::<PANEL>().0.iter().zip(input) {
                    add(*words, *input, &mut total);
                }
            }
        }
        for (column, (sum, total)) in sums.iter_mut().zip(total).enumerate() {
            *sum += total as f32 * (layout.read_scale(words, column).to_f32() * scale);
        }
    }
}

/// Adds the products of four unsigned bytes of weights with four signed ones of the input.
#[inline(always)]
fn add(words: [u32; PANEL], input: u32, total: &mut [i32; PANEL]) {
    for byte in 0..4 {
        let input = i32::from((input >> (8 * byte)) as u8 as i8);
        for (total, word) in total.iter_mut().zip(words) {
            *total += (word >> (8 * byte) & 255) as i32 * input;
        }
    }
}
