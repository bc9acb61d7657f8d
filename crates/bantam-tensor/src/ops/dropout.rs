//! Dropout: each number is zero with probability `rate`, and otherwise divided by `1 - rate`.

use crate::noise::Noise;
use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::memory::Buffer;
use bantam_kernels::vector;

impl Tensor {
    /// Drops numbers as `noise` says; without noise the tensor itself. Keeps nothing: the backward half draws the same random numbers again.
    pub fn dropout(&self, noise: &mut Noise) -> Tensor {
        if noise.is_none() {
            return self.clone();
        }
        let (rate, seed, offset) = (noise.rate(), noise.seed(), noise.advance(self.data().len()));
        let mut out = self.scratch();
        vector::dropout(self.data(), rate, seed, offset, &mut out);
        Tensor::from_op(self.sizes(), out, &[self], |_| {
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let mut gradient = Buffer::scratch(upstream.len());
                vector::dropout(&upstream, rate, seed, offset, &mut gradient);
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
        vec![Case::new("dropout", &[&[6, 7]], |x| x[0].dropout(&mut Noise::new(0.4, 7)))]
    }

    #[test]
    fn noise_drops_its_share_and_keeps_the_mean() {
        let ones = Tensor::from_vec([100_000], &vec![1.0; 100_000]);
        let mut noise = Noise::new(0.25, 3);
        let first = ones.dropout(&mut noise);
        let dropped = first.data().iter().filter(|&&value| value == 0.0).count();
        assert!((24_000..26_000).contains(&dropped), "{dropped}");
        assert!(first.data().iter().all(|&value| value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6));
        assert_eq!(noise.counter(), 100_000);
        assert_ne!(ones.dropout(&mut noise).data(), first.data());
        assert_eq!(ones.dropout(&mut Noise::new(0.25, 3).resume(0)).data(), first.data());
    }

    #[test]
    fn no_noise_shares_the_numbers() {
        let x = Tensor::zeros([3]);
        assert_eq!(x.dropout(&mut Noise::none()).data().as_ptr(), x.data().as_ptr());
    }
}
