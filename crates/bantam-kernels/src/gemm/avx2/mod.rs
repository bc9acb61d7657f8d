//! The AVX2 forms: register tiles of 6 x 16 sums, packing, and codes.

mod int8;
pub(super) mod pack;
pub(super) mod quantize;
mod tile;

pub(super) use int8::signed;
pub(super) use tile::tile;
