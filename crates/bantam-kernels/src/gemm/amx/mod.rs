//! Products by AMX: eight registers of 16 rows by 64 bytes, and instructions that multiply two of them into a third.
//!
//! Panels of the right factor lie as these instructions want them: a row of a register is one step of k for 16 columns, in words of two bf16 or
//! four codes. The compiler knows no such registers yet, so all is in assembler, each block from its first sum to its last.

mod block;
mod tile;

pub(super) use tile::tile;

use std::arch::asm;
use std::marker::PhantomData;

/// The registers of AMX of this thread, set up for whole tiles for as long as this lives; only one may live on a thread. While they hold something,
/// each change of threads costs the system 8 KiB of copying.
pub(super) struct Registers {
    /// They are the thread's own.
    _here: PhantomData<*const ()>,
}

/// Memory for rows of registers, each in a cache line of its own: rows across two lines are stored and read half as fast.
#[repr(align(64))]
struct Aligned<T>(T);

/// How the registers are divided, as `ldtilecfg` reads it (Intel's manual of the architecture, volume 1, chapter 18).
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    /// Bytes of a row, for eight registers of sixteen.
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static WHOLE_TILES: Configuration = {
    let (mut row_bytes, mut rows) = ([0; 16], [0; 16]);
    let mut register = 0;
    while register < 8 {
        (row_bytes[register], rows[register]) = (64, 16);
        register += 1;
    }
    Configuration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes, rows }
};

impl Registers {
    /// Sets them up: some two hundred cycles.
    ///
    /// # Safety
    /// The CPU has AMX, and the system lets the process use it: [`crate::isa::Isa::Amx`]. No other lives on this thread.
    pub(super) unsafe fn set_up() -> Registers {
        // SAFETY: the configuration is one that every AMX has; nothing else uses the registers.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const WHOLE_TILES, options(nostack, readonly)) };
        Registers { _here: PhantomData }
    }
}

impl Drop for Registers {
    fn drop(&mut self) {
        // SAFETY: they were set up on this thread, which they cannot leave.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// For [`crate::ceiling`]: a loop of products between registers, of codes or of bf16, and its operations per round. Zeros would be multiplied an
/// eighth faster than numbers that differ.
pub(crate) fn register_loop(of_codes: bool) -> (unsafe fn(usize), usize) {
    // Four products of 16 x 16 sums over 16 words.
    let operations = |numbers_per_word: usize| 4 * 2 * 16 * 16 * 16 * numbers_per_word;
    if of_codes { (codes_loop, operations(4)) } else { (bf16_loop, operations(2)) }
}

macro_rules! define_register_loop {
    ($name:ident, $multiply:literal, $is_bf16:literal) => {
        /// # Safety
        /// [`Registers::set_up`]'s.
        unsafe fn $name(rounds: usize) {
            // Bytes of all values, which as bf16 are numbers of magnitude 1 to 2, and of either sign.
            let bytes: Aligned<[[u8; 64]; 16]> = Aligned(std::array::from_fn(|row| {
                std::array::from_fn(|place| match (row * 64 + place) * 167 % 251 {
                    byte if $is_bf16 && place % 2 == 1 => 0x3f | (byte as u8 & 0x80),
                    byte => byte as u8 | u8::from($is_bf16) << 7,
                })
            }));
            // SAFETY: the caller's promise; a register is as large as the bytes, and nothing else uses it.
            unsafe {
                let _registers = Registers::set_up();
                asm!(
                    "tileloadd tmm4, [{bytes} + {row}*1]",
                    "tileloadd tmm5, [{bytes} + {row}*1]",
                    "tileloadd tmm6, [{bytes} + {row}*1]",
                    "tileloadd tmm7, [{bytes} + {row}*1]",
                    "2:",
                    concat!($multiply, " tmm0, tmm4, tmm6"),
                    concat!($multiply, " tmm1, tmm4, tmm7"),
                    concat!($multiply, " tmm2, tmm5, tmm6"),
                    concat!($multiply, " tmm3, tmm5, tmm7"),
                    "dec {rounds}",
                    "jnz 2b",
                    rounds = inout(reg) rounds => _,
                    bytes = in(reg) &raw const bytes,
                    row = in(reg) 64usize,
                    options(nostack, readonly),
                );
            }
        }
    };
}

define_register_loop!(bf16_loop, "tdpbf16ps", true);
define_register_loop!(codes_loop, "tdpbusd", false);
