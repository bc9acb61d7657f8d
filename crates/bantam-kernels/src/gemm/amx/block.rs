//! Sums of one or two registers of rows by one or two of columns.

use std::arch::asm;
use std::mem::offset_of;

use super::super::tile::HEIGHT;

/// Steps of k that are multiplied at once: words of a row on the left, rows on the right.
pub(super) const STEPS: usize = 16;

/// What a block multiplies. Rows on the left are read again for the next columns: those on the right are loaded with the hint that they are not, so
/// that the first-level cache keeps the left ones. All distances are in bytes, from one row to the next.
#[repr(C)]
pub(super) struct Block {
    /// Where the sums begin.
    pub(super) start: *const u8,
    pub(super) start_row: usize,
    pub(super) left: *const u32,
    pub(super) left_row: usize,
    pub(super) right: *const u32,
    pub(super) right_row: usize,
    /// Whole [`STEPS`] of k.
    pub(super) whole: usize,
    /// What follows them, filled up with zeros, or null: a left factor with 64 bytes from row to row, and a right one with the distance above.
    pub(super) last_left: *const u32,
    pub(super) last_right: *const u32,
    pub(super) out: *mut u8,
    pub(super) out_row: usize,
}

/// Multiplies a block.
///
/// # Safety
/// The registers are set up; start, factors and `out` are there for the registers' rows and columns, and `out` is nobody else's.
pub(super) type BlockFunction = unsafe fn(&Block);

/// Defines the function for some registers: the instructions that begin their sums, add to them, and store them.
macro_rules! define_block {
    ($name:ident, [$($start:literal)*], [$($step:expr),*], [$($store:literal)*]) => {
        /// # Safety
        /// See [`BlockFunction`].
        unsafe fn $name(block: &Block) {
            // SAFETY: the caller's promise. The sums are in registers that nothing else uses from the first instruction to the last.
            unsafe {
                asm!(
                    "mov {left}, [{block} + {START}]",
                    "mov {left_row}, [{block} + {START_ROW}]",
                    "mov {lower}, {left_row}",
                    "shl {lower}, 4",
                    "add {lower}, {left}",
                    $($start,)*
                    "mov {left}, [{block} + {LEFT}]",
                    "mov {left_row}, [{block} + {LEFT_ROW}]",
                    "mov {lower}, {left_row}",
                    "shl {lower}, 4",
                    "add {lower}, {left}",
                    "mov {right}, [{block} + {RIGHT}]",
                    "mov {right_row}, [{block} + {RIGHT_ROW}]",
                    "mov {right_step}, {right_row}",
                    "shl {right_step}, 4",
                    "mov {last}, [{block} + {LAST_LEFT}]",
                    "mov {count}, [{block} + {WHOLE}]",
                    "test {count}, {count}",
                    "jz 3f",
                    "2:",
                    $($step,)*
                    "add {left}, 64",
                    "add {lower}, 64",
                    "add {right}, {right_step}",
                    "dec {count}",
                    "jnz 2b",
                    "3:",
                    "test {last}, {last}",
                    "jz 4f",
                    "mov {left}, {last}",
                    "lea {lower}, [{left} + 1024]",
                    "mov {left_row}, 64",
                    "mov {right}, [{block} + {LAST_RIGHT}]",
                    "xor {last}, {last}",
                    "mov {count}, 1",
                    "jmp 2b",
                    "4:",
                    "mov {left}, [{block} + {OUT}]",
                    "mov {left_row}, [{block} + {OUT_ROW}]",
                    "mov {lower}, {left_row}",
                    "shl {lower}, 4",
                    "add {lower}, {left}",
                    $($store,)*
                    block = in(reg) &raw const *block,
                    left = out(reg) _,
                    lower = out(reg) _,
                    left_row = out(reg) _,
                    right = out(reg) _,
                    right_row = out(reg) _,
                    right_step = out(reg) _,
                    last = out(reg) _,
                    count = out(reg) _,
                    START = const offset_of!(Block, start),
                    START_ROW = const offset_of!(Block, start_row),
                    LEFT = const offset_of!(Block, left),
                    LEFT_ROW = const offset_of!(Block, left_row),
                    RIGHT = const offset_of!(Block, right),
                    RIGHT_ROW = const offset_of!(Block, right_row),
                    WHOLE = const offset_of!(Block, whole),
                    LAST_LEFT = const offset_of!(Block, last_left),
                    LAST_RIGHT = const offset_of!(Block, last_right),
                    OUT = const offset_of!(Block, out),
                    OUT_ROW = const offset_of!(Block, out_row),
                    options(nostack),
                );
            }
        }
    };
}

/// Defines the functions of one multiplying instruction: `[rows][columns]`, in registers.
macro_rules! define_blocks {
    ($blocks:ident, $module:ident, $multiply:literal) => {
        mod $module {
            use super::*;

            define_block!(
                one_by_one,
                ["tileloadd tmm0, [{left} + {left_row}*1]"],
                [
                    "tileloadd tmm4, [{left} + {left_row}*1]",
                    "tileloaddt1 tmm6, [{right} + {right_row}*1]",
                    concat!($multiply, " tmm0, tmm4, tmm6")
                ],
                ["tilestored [{left} + {left_row}*1], tmm0"]
            );
            define_block!(
                one_by_two,
                ["tileloadd tmm0, [{left} + {left_row}*1]" "tileloadd tmm1, [{left} + {left_row}*1 + 64]"],
                [
                    "tileloadd tmm4, [{left} + {left_row}*1]",
                    "tileloaddt1 tmm6, [{right} + {right_row}*1]",
                    concat!($multiply, " tmm0, tmm4, tmm6"),
                    "tileloaddt1 tmm7, [{right} + {right_row}*1 + 64]",
                    concat!($multiply, " tmm1, tmm4, tmm7")
                ],
                ["tilestored [{left} + {left_row}*1], tmm0" "tilestored [{left} + {left_row}*1 + 64], tmm1"]
            );
            define_block!(
                two_by_one,
                ["tileloadd tmm0, [{left} + {left_row}*1]" "tileloadd tmm2, [{lower} + {left_row}*1]"],
                [
                    "tileloadd tmm4, [{left} + {left_row}*1]",
                    "tileloaddt1 tmm6, [{right} + {right_row}*1]",
                    concat!($multiply, " tmm0, tmm4, tmm6"),
                    "tileloadd tmm5, [{lower} + {left_row}*1]",
                    concat!($multiply, " tmm2, tmm5, tmm6")
                ],
                ["tilestored [{left} + {left_row}*1], tmm0" "tilestored [{lower} + {left_row}*1], tmm2"]
            );
            define_block!(
                two_by_two,
                [
                    "tileloadd tmm0, [{left} + {left_row}*1]"
                    "tileloadd tmm1, [{left} + {left_row}*1 + 64]"
                    "tileloadd tmm2, [{lower} + {left_row}*1]"
                    "tileloadd tmm3, [{lower} + {left_row}*1 + 64]"
                ],
                [
                    "tileloadd tmm4, [{left} + {left_row}*1]",
                    "tileloaddt1 tmm6, [{right} + {right_row}*1]",
                    concat!($multiply, " tmm0, tmm4, tmm6"),
                    "tileloaddt1 tmm7, [{right} + {right_row}*1 + 64]",
                    concat!($multiply, " tmm1, tmm4, tmm7"),
                    "tileloadd tmm5, [{lower} + {left_row}*1]",
                    concat!($multiply, " tmm2, tmm5, tmm6"),
                    concat!($multiply, " tmm3, tmm5, tmm7")
                ],
                [
                    "tilestored [{left} + {left_row}*1], tmm0"
                    "tilestored [{left} + {left_row}*1 + 64], tmm1"
                    "tilestored [{lower} + {left_row}*1], tmm2"
                    "tilestored [{lower} + {left_row}*1 + 64], tmm3"
                ]
            );

            pub(super) const BLOCKS: [[BlockFunction; 2]; 2] = [[one_by_one, one_by_two], [two_by_one, two_by_two]];
        }

        pub(super) const $blocks: [[BlockFunction; 2]; 2] = $module::BLOCKS;
    };
}

define_blocks!(BF16, bf16, "tdpbf16ps");
define_blocks!(INT8, int8, "tdpbusd");

const _: () = assert!(HEIGHT == 16, "registers have 16 rows, for which the assembler shifts by 4");
