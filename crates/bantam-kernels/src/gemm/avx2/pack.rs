//! Packing of words that hold one number each: lines that run along k are transposed in squares of 8 x 8, lines that run across items are copied.

use super::super::pack::{Range, Source, left_row_portable, right_panels_portable};
use super::super::tile::{Arithmetic, PANEL, ROWS};
use std::arch::x86_64::*;

const LANES: usize = 8;
/// Tiles of the left factor that are packed side by side: their items are whole cache lines.
const TILES: usize = 8;

/// See [`super::super::pack::right_panels`].
pub(in super::super) fn right_panels(arithmetic: Arithmetic, source: &Source<'_>, range: Range, out: &mut [u32]) {
    #[target_feature(enable = "avx2,fma")]
    fn compiled(arithmetic: Arithmetic, source: &Source<'_>, range: Range, out: &mut [u32]) {
        right_panels_portable(arithmetic, source, range, out);
    }
    // SAFETY: called for this set only.
    unsafe {
        match arithmetic {
            Arithmetic::F32 => panels::<false>(source, range, out),
            Arithmetic::F32Rounded => panels::<true>(source, range, out),
            _ => compiled(arithmetic, source, range, out),
        }
    }
}

/// See [`super::super::pack::left_tile_steps`].
///
/// # Safety
/// As there; a word holds one number.
pub(in super::super) unsafe fn left_tiles(
    arithmetic: Arithmetic,
    source: &Source<'_>,
    range: Range,
    tile_words: usize,
    out: *mut u32,
) {
    // SAFETY: called for this set only, and the caller's promise.
    unsafe {
        match arithmetic {
            Arithmetic::F32 => tiles::<false>(source, range, tile_words, out),
            _ => tiles::<true>(source, range, tile_words, out),
        }
    }
}

/// See [`super::super::pack::left_row`].
pub(in super::super) fn left_row(arithmetic: Arithmetic, row: &[f32], out: &mut [u32]) {
    match arithmetic {
        Arithmetic::F32Rounded | Arithmetic::Bf16Widened => {
            let (words, beyond) = out.split_at_mut(row.len());
            // SAFETY: called for this set only.
            unsafe { line::<true>(row, words) };
            beyond.fill(0);
        }
        _ => left_row_portable(arithmetic, row, out),
    }
}

/// The words of eight numbers.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn words<const ROUNDED: bool>(numbers: __m256) -> __m256i {
    let bits = _mm256_castps_si256(numbers);
    if !ROUNDED {
        return bits;
    }
    let even = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    let nearest = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), even);
    let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000));
    let is_nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(numbers, numbers));
    let bits = _mm256_blendv_epi8(nearest, quiet, is_nan);
    _mm256_and_si256(bits, _mm256_set1_epi32(0xffff_0000_u32 as i32))
}

/// The words of a line, one after another.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn line<const ROUNDED: bool>(from: &[f32], to: &mut [u32]) {
    let (from, from_rest) = from.as_chunks::<LANES>();
    let (to, to_rest) = to.as_chunks_mut::<LANES>();
    let convert = |from: &[f32; LANES], to: &mut [u32; LANES]| {
        // SAFETY: both have the size of the vector.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), words::<ROUNDED>(_mm256_loadu_ps(from.as_ptr()))) }
    };
    for (from, to) in from.iter().zip(to) {
        convert(from, to);
    }
    let (mut last, mut last_words) = ([0.0; LANES], [0; LANES]);
    last[..from_rest.len()].copy_from_slice(from_rest);
    convert(&last, &mut last_words);
    to_rest.copy_from_slice(&last_words[..to_rest.len()]);
}

#[target_feature(enable = "avx2,fma")]
fn panels<const ROUNDED: bool>(source: &Source<'_>, range: Range, out: &mut [u32]) {
    let Range { first_item, items, first_k, k } = range;
    for (panel, out) in out.chunks_exact_mut((k * PANEL).max(1)).enumerate() {
        let first = panel * PANEL;
        let count = PANEL.min(items - first);
        let lines = out.chunks_exact_mut(PANEL);
        if !source.lines_are_items {
            for (step, words) in lines.enumerate() {
                let (words, beyond) = words.split_at_mut(count);
                line::<ROUNDED>(&source.data[(first_k + step) * source.stride + first_item + first..][..count], words);
                beyond.fill(0);
            }
            continue;
        }
        lines.for_each(|words| words[count..].fill(0));
        for item in (0..count).step_by(LANES) {
            let wanted = Range { first_item: first_item + first + item, items: LANES.min(count - item), first_k, k };
            transpose::<ROUNDED>(source, wanted, &mut out[item..]);
        }
    }
}

/// The words of up to eight items, side by side in each step.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn transpose<const ROUNDED: bool>(source: &Source<'_>, range: Range, out: &mut [u32]) {
    let (from, stride) = (source.part(range), source.stride);
    let whole = if range.items == LANES { range.k / LANES * LANES } else { 0 };
    for step in (0..whole).step_by(LANES) {
        let mut rows = [_mm256_setzero_ps(); LANES];
        for (item, row) in rows.iter_mut().enumerate() {
            // SAFETY: the rectangle lies within the source.
            *row = unsafe { _mm256_loadu_ps(from.add(item * stride + step)) };
        }
        for (column, numbers) in square(rows).into_iter().enumerate() {
            let place = &mut out[(step + column) * PANEL..][..LANES];
            // SAFETY: the place has the size of the vector.
            unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), words::<ROUNDED>(numbers)) };
        }
    }
    for step in whole..range.k {
        let mut numbers = [0.0; LANES];
        for (item, number) in numbers[..range.items].iter_mut().enumerate() {
            // SAFETY: as above.
            *number = unsafe { *from.add(item * stride + step) };
        }
        line::<ROUNDED>(&numbers[..range.items], &mut out[step * PANEL..][..range.items]);
    }
}

/// Rows become columns.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn square([a, b, c, d, e, f, g, h]: [__m256; LANES]) -> [__m256; LANES] {
    let pairs = [
        (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)),
        (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d)),
        (_mm256_unpacklo_ps(e, f), _mm256_unpackhi_ps(e, f)),
        (_mm256_unpacklo_ps(g, h), _mm256_unpackhi_ps(g, h)),
    ];
    let [(ab, ab_high), (cd, cd_high), (ef, ef_high), (gh, gh_high)] = pairs;
    let upper = [
        _mm256_shuffle_ps::<0x44>(ab, cd),
        _mm256_shuffle_ps::<0xee>(ab, cd),
        _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
        _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
    ];
    let lower = [
        _mm256_shuffle_ps::<0x44>(ef, gh),
        _mm256_shuffle_ps::<0xee>(ef, gh),
        _mm256_shuffle_ps::<0x44>(ef_high, gh_high),
        _mm256_shuffle_ps::<0xee>(ef_high, gh_high),
    ];
    [
        _mm256_permute2f128_ps::<0x20>(upper[0], lower[0]),
        _mm256_permute2f128_ps::<0x20>(upper[1], lower[1]),
        _mm256_permute2f128_ps::<0x20>(upper[2], lower[2]),
        _mm256_permute2f128_ps::<0x20>(upper[3], lower[3]),
        _mm256_permute2f128_ps::<0x31>(upper[0], lower[0]),
        _mm256_permute2f128_ps::<0x31>(upper[1], lower[1]),
        _mm256_permute2f128_ps::<0x31>(upper[2], lower[2]),
        _mm256_permute2f128_ps::<0x31>(upper[3], lower[3]),
    ]
}

/// # Safety
/// As [`left_tiles`].
#[target_feature(enable = "avx2,fma")]
unsafe fn tiles<const ROUNDED: bool>(source: &Source<'_>, range: Range, tile_words: usize, out: *mut u32) {
    let Range { first_item, items, first_k, k } = range;
    for first in (0..items).step_by(TILES * ROWS) {
        let count = (TILES * ROWS).min(items - first);
        let mut converted = [0; TILES * ROWS];
        for step in 0..k {
            let from = &source.data[(first_k + step) * source.stride + first_item + first..][..count];
            line::<ROUNDED>(from, &mut converted[..count]);
            for (tile, words) in converted[..count].chunks(ROWS).enumerate() {
                // SAFETY: the caller lends the words of this step in each tile.
                unsafe {
                    let place = out.add((first / ROWS + tile) * tile_words + step * ROWS);
                    std::ptr::copy_nonoverlapping(words.as_ptr(), place, words.len());
                }
            }
        }
    }
}
