//! Rotary positions (Su et al. 2021), in the half-split convention of Llama and GPT-NeoX.

use std::sync::{Arc, Mutex, PoisonError};

use crate::pool;
use crate::vectorized::{LANES, vectorized};

/// By how much each pair of a head's numbers is turned from one position to the next, in radians. A clone shares them.
#[derive(Clone, Debug, PartialEq)]
pub struct Frequencies(Arc<[f64]>);

impl Frequencies {
    /// `base^(-2 i / head_dim)` for pair `i`.
    pub fn new(base: f32, head_dim: usize) -> Self {
        Self((0..head_dim / 2).map(|i| f64::from(base).powf(-2.0 * i as f64 / head_dim as f64)).collect())
    }

    /// Each frequency divided by its factor; those beyond the last factor stay.
    #[must_use]
    pub fn divided(&self, factors: &[f32]) -> Self {
        let factors = factors.iter().copied().map(f64::from).chain(std::iter::repeat(1.0));
        Self(self.0.iter().zip(factors).map(|(frequency, factor)| frequency / factor).collect())
    }

    /// The numbers, one for each pair.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// Numbers per head: two in a pair.
    pub fn head_dim(&self) -> usize {
        2 * self.0.len()
    }
}

/// Turns the first `heads` heads of each row of `data` `[tokens, row_width]` by angles that grow with the token's position.
///
/// Numbers `i` and `i + head_dim / 2` of a head are turned as a pair by `position * frequencies[i]`; with `inverse` the other way, which is
/// also the gradient.
pub fn rotate(
    data: &mut [f32],
    row_width: usize,
    heads: usize,
    positions: &[u32],
    frequencies: &Frequencies,
    inverse: bool,
) {
    let head_dim = frequencies.head_dim();
    assert!(
        data.len() == positions.len() * row_width && heads * head_dim <= row_width,
        "rotate: {} numbers in rows of {row_width}, {heads} heads of {head_dim}, {} positions",
        data.len(),
        positions.len()
    );
    let angles = Angles::up_to(frequencies, positions.iter().max().map_or(0, |&position| position as usize + 1));
    let sign = if inverse { -1.0 } else { 1.0 };
    const ROWS: usize = 32;
    pool::for_each_chunk(data, ROWS * row_width.max(1), |piece, rows| {
        let positions = &positions[piece * ROWS..];
        vectorized(
            #[inline(always)]
            || {
                for (row, &position) in rows.chunks_exact_mut(row_width).zip(positions) {
                    angles.turn(&mut row[..heads * head_dim], position as usize, sign);
                }
            },
        );
    });
}

/// The halves of a head, and the cosines and sines by which its pairs are turned: all of one length.
type Pairs<'a> = (&'a mut [f32], &'a mut [f32], &'a [f32], &'a [f32]);

/// Turns pairs, N at a time, and gives back those that are left. Arrays become vectors, where a loop of unknown length would be unrolled beyond half
/// a head and never be reached.
#[inline(always)]
fn turn<const N: usize>((first, second, cos, sin): Pairs<'_>, sign: f32) -> Pairs<'_> {
    let (first, first_rest) = first.as_chunks_mut::<N>();
    let (second, second_rest) = second.as_chunks_mut::<N>();
    let ((cos, cos_rest), (sin, sin_rest)) = (cos.as_chunks::<N>(), sin.as_chunks::<N>());
    for (((first, second), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        let (a, b) = (*first, *second);
        *first = std::array::from_fn(|i| a[i] * cos[i] - b[i] * (sign * sin[i]));
        *second = std::array::from_fn(|i| b[i] * cos[i] + a[i] * (sign * sin[i]));
    }
    (first_rest, second_rest, cos_rest, sin_rest)
}

/// Cosines and sines of the positions up to some length. A clone shares them.
#[derive(Clone)]
pub struct Angles {
    frequencies: Frequencies,
    /// `[positions][head_dim]`, cosines first.
    table: Arc<[f32]>,
}

/// What was asked for last: all layers of a model, and all its passes, share their angles.
static KEPT: Mutex<Vec<Angles>> = Mutex::new(Vec::new());
/// Tables that are kept.
const TABLES: usize = 4;

impl Angles {
    /// Those of `positions` positions at least.
    pub fn up_to(frequencies: &Frequencies, positions: usize) -> Self {
        let head_dim = frequencies.head_dim();
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|angles| angles.frequencies == *frequencies);
        if let Some(angles) =
            place.map(|place| &kept[place]).filter(|angles| angles.table.len() >= positions * head_dim)
        {
            return angles.clone();
        }
        // An answer asks for one position more each time.
        let (half, rows) = (head_dim / 2, positions.next_power_of_two());
        let angle = |place: usize| (place / head_dim) as f64 * frequencies.0[place % half];
        let turn = |place: usize| if place % head_dim < half { angle(place).cos() } else { angle(place).sin() };
        let table = (0..rows * head_dim).map(|place| turn(place) as f32).collect();
        let angles = Angles { frequencies: frequencies.clone(), table };
        if let Some(shorter) = place {
            kept.remove(shorter);
        }
        kept.truncate(TABLES - 1);
        kept.insert(0, angles.clone());
        angles
    }

    /// Turns heads that lie one after another, all of them at `position`; with a `sign` of -1 the other way.
    #[inline(always)]
    pub(crate) fn turn(&self, heads: &mut [f32], position: usize, sign: f32) {
        let head_dim = self.frequencies.head_dim();
        let (cos, sin) = self.table[position * head_dim..][..head_dim].split_at(head_dim / 2);
        for head in heads.chunks_exact_mut(head_dim) {
            let (first, second) = head.split_at_mut(head_dim / 2);
            let rest = turn::<LANES>((first, second, cos, sin), sign);
            let rest = turn::<{ LANES / 2 }>(rest, sign);
            turn::<1>(rest, sign);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, assert_close, for_each_isa};

    #[test]
    fn pairs_are_turned_by_their_angle_and_back_and_other_heads_stay() {
        for_each_isa(|isa| {
            let (width, heads, dim) = (20, 2, 8);
            let positions = [0, 1, 2, 0, 5];
            let before = Random::new(4).vector(positions.len() * width);
            let mut data = before.clone();
            let frequencies = Frequencies::new(10_000.0, dim);
            rotate(&mut data, width, heads, &positions, &frequencies, false);
            for (row, &position) in positions.iter().enumerate() {
                for head in 0..heads {
                    for i in 0..dim / 2 {
                        let at = row * width + head * dim + i;
                        let (a, b) = (f64::from(before[at]), f64::from(before[at + 4]));
                        let angle = f64::from(position) * 10_000f64.powf(-(2.0 * i as f64) / 8.0);
                        let expected = [a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()];
                        assert!((f64::from(data[at]) - expected[0]).abs() < 1e-6, "{isa:?}");
                        assert!((f64::from(data[at + 4]) - expected[1]).abs() < 1e-6, "{isa:?}");
                    }
                }
                assert_eq!(data[row * width + 16..(row + 1) * width], before[row * width + 16..(row + 1) * width]);
            }
            rotate(&mut data, width, heads, &positions, &frequencies, true);
            assert_close(&data, &before, 1e-6, "turned back");
        });
    }

    #[test]
    fn a_pair_with_a_factor_turns_as_much_more_slowly() {
        let plain = Frequencies::new(100.0, 4);
        assert_eq!(plain.as_slice(), [1.0, 0.1]);
        assert_eq!(plain.divided(&[1.0, 4.0]).as_slice(), [1.0, 0.025]);
        let (mut slow, mut fast) = ([0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]);
        rotate(&mut slow, 4, 1, &[8], &plain.divided(&[1.0, 4.0]), false);
        rotate(&mut fast, 4, 1, &[2], &plain, false);
        assert_close(&slow, &fast, 1e-6, "a quarter of the speed over four times the way");
    }
}
