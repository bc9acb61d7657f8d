//! Consistency of two predictions of the same rows (R-Drop, Wu et al., 2021): `mean((KL(p || q) + KL(q || p)) / 2)` over rows, with
//! `p = softmax(x)` and `q = softmax(y)`.

use super::expect_same_shape;
use super::loss::ready;
use crate::tensor::Tensor;
use bantam_kernels::loss;
use bantam_kernels::memory::Buffer;

impl Tensor {
    /// How far two tensors of logits, `[n, c]` both, predict different things: from two passes with different dropout. Keeps its gradients.
    pub fn consistency(&self, other: &Tensor) -> Tensor {
        expect_same_shape("consistency", self, other);
        let width = self.width();
        let factor = 0.5 / self.rows() as f32;
        let logs = |logits: &Tensor| {
            let mut logs = Buffer::from_slice(logits.data());
            loss::log_softmax_rows(&mut logs, width);
            logs
        };
        // The logarithms of a row give way to its gradients.
        let (mut first, mut second) = (logs(self), logs(other));
        let mut total = 0.0;
        for (first, second) in first.chunks_exact_mut(width).zip(second.chunks_exact_mut(width)) {
            let (mut forward, mut backward) = (0.0, 0.0);
            for (&log_p, &log_q) in first.iter().zip(second.iter()) {
                let difference = f64::from(log_p) - f64::from(log_q);
                forward += f64::from(log_p.exp()) * difference;
                backward -= f64::from(log_q.exp()) * difference;
            }
            total += forward + backward;
            for (log_p, log_q) in first.iter_mut().zip(second.iter_mut()) {
                let (p, q, difference) = (log_p.exp(), log_q.exp(), *log_p - *log_q);
                *log_p = factor * (p - q + p * (difference - forward as f32));
                *log_q = factor * (q - p - q * (difference + backward as f32));
            }
        }
        let gradients = [self.is_tracked().then_some(first), other.is_tracked().then_some(second)];
        ready(total * f64::from(factor), [self, other], gradients)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        vec![Case::new("consistency", &[&[3, 4], &[3, 4]], |x| x[0].consistency(&x[1]).scale(3.0))]
    }

    #[test]
    fn values_are_those_of_the_formula() {
        let (x, y) = (Tensor::zeros([1, 2]), Tensor::from_vec([1, 2], &[3f32.ln(), 0.0]));
        let forward = 0.5 * (0.5f32 / 0.75).ln() + 0.5 * (0.5f32 / 0.25).ln();
        let backward = 0.75 * 1.5f32.ln() + 0.25 * 0.5f32.ln();
        assert!((x.consistency(&y).item() - (forward + backward) / 2.0).abs() < 1e-6);
        assert_eq!(y.consistency(&y).item(), 0.0);
    }

    #[test]
    #[should_panic(expected = "consistency: shapes [2, 3] and [2, 4] differ")]
    fn shapes_must_agree() {
        Tensor::zeros([2, 3]).consistency(&Tensor::zeros([2, 4]));
    }
}
