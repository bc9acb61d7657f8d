//! The AVX-512 forms: register tiles of 6 x 64 sums, and packing.

pub(super) mod pack;
pub(super) mod quantize;
mod tile;

pub(super) use pack::native_pair;
pub(super) use tile::{half_tile, steady_tile, store_codes, store_rows, tall_int8_tile, tile};
