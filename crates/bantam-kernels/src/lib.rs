//! Fast loops on slices: SIMD, packed formats, threads and memory. The only crate with unsafe code.
//!
//! Every function here is safe to call: it checks the lengths of its slices and panics with both shapes when they disagree, because a
//! wrong shape this deep is a bug of the caller. The instruction set is chosen once per process ([`isa::Isa::current`]), and work is
//! split over the process's own threads ([`pool`]) inside the functions.

pub mod activation;
pub mod attention;
pub mod ceiling;
mod curves;
pub mod embedding;
pub mod encoder;
pub mod gemm;
mod half;
pub mod halves;
pub mod isa;
pub mod loss;
pub mod memory;
pub mod norm;
pub mod optimizer;
pub mod pool;
pub mod rotary;
pub mod scores;
#[cfg(test)]
mod testing;
pub mod vector;
mod vectorized;
