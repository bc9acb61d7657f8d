//! Rotary positions (Su et al., 2021), in the half-split convention of Llama: number `i` of a head is turned together with number
//! `i + head_dim / 2`, by `position * frequencies[i]`.

use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::rotary::{self, Frequencies};

impl Tensor {
    /// Rotates the first `heads` heads of each row, `[tokens, width]`, by the token's position; a head has two numbers for each frequency, and
    /// the rest of the row stays. Works in place where nobody else holds the numbers. Keeps the positions: the gradient is rotated back.
    pub fn rotary(self, heads: usize, positions: &[u32], frequencies: &Frequencies) -> Tensor {
        let (shape, width) = (self.sizes(), self.width());
        let head_dim = frequencies.head_dim();
        let fits = heads * head_dim <= width && positions.len() == self.rows();
        assert!(fits, "rotary: shape {shape:?} with {heads} heads of {head_dim} and {} positions", positions.len());
        let origin = self.origin().cloned();
        let keeping = self.keeping();
        let mut out = self.into_data().into_owned();
        rotary::rotate(&mut out, width, heads, positions, frequencies, false);
        Tensor::from_origins(shape, out, vec![origin], |keep| {
            *keep = keeping;
            let (positions, frequencies) = (positions.to_vec(), frequencies.clone());
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let mut gradient = upstream.into_owned();
                rotary::rotate(&mut gradient, width, heads, &positions, &frequencies, true);
                inputs.give(0, gradient);
            }
        })
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
