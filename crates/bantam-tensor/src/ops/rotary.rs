//! Rotary positions (Su et al., 2021), in the half-split convention of Llama: number `i` of a head is turned together with number
//! `i + head_dim / 2`, by `position * frequencies[i]`.

use crate::kept::Keep;
use crate::maker::Maker;
use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::rotary::{self, Frequencies};
use std::sync::Arc;

impl Tensor {
    /// Rotates the first `heads` heads of each row, `[tokens, width]`, by the token's position; a head has two numbers for each frequency, and
    /// the rest of the row stays. Keeps the positions: the gradient is rotated back.
    ///
    /// What a product in bf16 gave rounded is rotated when it is read, and later ops make it again; other numbers are rotated in place where nobody
    /// else holds them.
    pub fn rotary(self, heads: usize, positions: &[u32], frequencies: &Frequencies) -> Tensor {
        let (shape, width) = (self.sizes(), self.width());
        let head_dim = frequencies.head_dim();
        let fits = heads * head_dim <= width && positions.len() == self.rows();
        assert!(fits, "rotary: shape {shape:?} with {heads} heads of {head_dim} and {} positions", positions.len());
        let rotation = Rotation { width, heads, positions: positions.into(), frequencies: frequencies.clone() };
        let (origin, is_rounded) = (self.origin().cloned(), self.is_rounded());
        let data = self.into_data();
        let length = data.len();
        if origin.is_none() || data.halves().is_none() {
            let mut out = data.into_owned();
            rotation.rotate(0, &mut out, false);
            return Tensor::from_origins(shape, out, vec![origin], |keep| {
                *keep = if is_rounded { Keep::Half } else { Keep::Whole };
                move |upstream: Shared, inputs: &mut Inputs<'_>| {
                    let mut gradient = upstream.into_owned();
                    rotation.rotate(0, &mut gradient, true);
                    inputs.give(0, gradient);
                }
            });
        }
        let rotated = move |rotation: Arc<Rotation>, data: Shared, inverse| {
            Maker::rows(width, move |numbers, out| {
                data.reading(width).copy(numbers.clone(), out);
                rotation.rotate(numbers.start / width, out, inverse);
            })
        };
        let rotation = Arc::new(rotation);
        let maker = rotated(Arc::clone(&rotation), data, false).rounded();
        Tensor::from_origins(shape, Shared::made(maker.clone(), length), vec![origin], |keep| {
            *keep = Keep::Again(maker);
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                inputs.give(0, Shared::made(rotated(rotation, upstream, true), length));
            }
        })
    }
}

/// What a row is rotated by.
struct Rotation {
    width: usize,
    heads: usize,
    positions: Box<[u32]>,
    frequencies: Frequencies,
}

impl Rotation {
    /// Rotates whole rows, of which the first is `row`; backwards if `inverse`.
    fn rotate(&self, row: usize, data: &mut [f32], inverse: bool) {
        let positions = &self.positions[row..][..data.len() / self.width.max(1)];
        rotary::rotate(data, self.width, self.heads, positions, &self.frequencies, inverse);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        vec![Case::new("rotary", &[&[3, 10]], |x| x[0].clone().rotary(2, &[0, 1, 7], &Frequencies::new(100.0, 4)))]
    }

    #[test]
    fn halves_are_turned_together() {
        let y = Tensor::from_vec([1, 5], &[1.0, 0.0, 0.0, 2.0, 9.0]).rotary(1, &[1], &Frequencies::new(100.0, 4));
        // The first pair (1, 0) is turned by 1, the second (0, 2) by 1 / 100^(2/4).
        let expected = [1f32.cos(), -2.0 * 0.1f32.sin(), 1f32.sin(), 2.0 * 0.1f32.cos(), 9.0];
        for (value, expected) in y.data().iter().zip(expected) {
            assert!((value - expected).abs() < 1e-5, "{value}, expected {expected}");
        }
    }

    #[test]
    fn numbers_held_by_others_stay() {
        let x = Tensor::from_vec([1, 2], &[1.0, 2.0]);
        let y = x.clone().rotary(1, &[3], &Frequencies::new(100.0, 2));
        assert_eq!(x.data(), [1.0, 2.0]);
        assert_ne!(y.data(), x.data());
        let address = y.data().as_ptr();
        assert_eq!(y.rotary(1, &[3], &Frequencies::new(100.0, 2)).data().as_ptr(), address);
    }

    #[test]
    #[should_panic(expected = "rotary: shape [2, 6] with 1 heads of 4 and 3 positions")]
    fn every_token_has_a_position() {
        Tensor::zeros([2, 6]).rotary(1, &[0, 1, 2], &Frequencies::new(100.0, 4));
    }
}
