//! Distillation from a teacher's logits (Hinton, Vinyals and Dean, 2015): `T² mean(KL(softmax(t / T) || softmax(x / T)))` over rows.

use super::cross_entropy::shares;
use super::expect_same_shape;
use super::loss::ready;
use crate::tensor::Tensor;
use bantam_kernels::memory::Buffer;
use bantam_kernels::{loss, vector};

impl Tensor {
    /// How far these logits are from a teacher's, `[n, c]` both, softened by `temperature`; the factor `T²` keeps the size of the gradient
    /// about the same at any temperature. With `weights`, one per row and not negative, the weighted mean; 0 if all are 0. The teacher takes
    /// no gradient. Keeps its gradient.
    pub fn distillation(&self, teacher: &Tensor, temperature: f32, weights: Option<&[f32]>) -> Tensor {
        expect_same_shape("distillation", self, teacher);
        let (rows, width) = (self.rows(), self.width());
        let shares = shares("distillation", self, weights);
        let softened = |logits: &Tensor| {
            let mut softened = Buffer::from_slice(logits.data());
            vector::scale(&mut softened, 1.0 / temperature);
            softened
        };

        let (mut logs, mut targets) = (softened(teacher), softened(teacher));
        loss::log_softmax_rows(&mut logs, width);
        loss::softmax_rows(&mut targets, width);
        let (mut losses, mut gradient) = (Buffer::scratch(rows), self.scratch());
        loss::cross_entropy_rows(&softened(self), &targets, width, Some(&shares), &mut losses, &mut gradient);
        // A divergence is a cross-entropy less the target's own entropy.
        let entropies = logs.chunks_exact(width).zip(targets.chunks_exact(width)).zip(&shares);
        let entropy: f64 =
            entropies.map(|((logs, targets), &share)| -vector::dot(logs, targets) * f64::from(share)).sum();
        let divergence = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() - entropy;
        let gradient = self.is_tracked().then(|| {
            vector::scale(&mut gradient, temperature);
            gradient
        });
        ready(divergence * f64::from(temperature).powi(2), [self], [gradient])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Case, Random};

    pub(crate) fn cases() -> Vec<Case> {
        let teacher = Random::new(8).tensor(&[3, 4]);
        let weighted = teacher.clone();
        vec![
            Case::new("distillation", &[&[3, 4]], move |x| x[0].distillation(&teacher, 2.0, None)),
            Case::new("weighted distillation", &[&[3, 4]], move |x| {
                x[0].distillation(&weighted, 0.7, Some(&[1.0, 0.0, 3.0]))
            }),
        ]
    }

    #[test]
    fn values_are_those_of_the_formula() {
        // softmax(±ln 3) at temperature 2 of logits 2 ln 3, 0: (3/4, 1/4) against (1/2, 1/2).
        let (student, teacher) = (Tensor::zeros([1, 2]), Tensor::from_vec([1, 2], &[2.0 * 3f32.ln(), 0.0]));
        let divergence = 0.75 * 1.5f32.ln() + 0.25 * 0.5f32.ln();
        assert!((student.distillation(&teacher, 2.0, None).item() - 4.0 * divergence).abs() < 1e-6);
        assert!(teacher.distillation(&teacher, 2.0, None).item().abs() < 1e-6);
    }

    #[test]
    #[should_panic(expected = "distillation: shapes [2, 3] and [2, 4] differ")]
    fn shapes_must_agree() {
        Tensor::zeros([2, 3]).distillation(&Tensor::zeros([2, 4]), 1.0, None);
    }
}
