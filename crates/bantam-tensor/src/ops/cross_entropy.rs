//! Cross-entropy with soft targets: `mean(-Σ t_c log softmax(x)_c)` over rows, with logits x and targets t `[n, c]`.

use super::expect_same_shape;
use super::loss::{ready, total_weight};
use crate::tensor::Tensor;
use bantam_kernels::loss;
use bantam_kernels::memory::Buffer;

impl Tensor {
    /// The mean cross-entropy of the rows of these logits with `targets`, whose rows sum to 1: labels ([`one_hot`]), mixtures of them, or a
    /// teacher's probabilities. With `weights`, one per row and not negative, the weighted mean; 0 if all are 0. The targets take no
    /// gradient. Keeps its gradient.
    pub fn cross_entropy(&self, targets: &Tensor, weights: Option<&[f32]>) -> Tensor {
        expect_same_shape("cross_entropy", self, targets);
        let shares = shares("cross_entropy", self, weights);
        let (mut losses, mut gradient) = (Buffer::scratch(self.rows()), self.scratch());
        loss::cross_entropy_rows(self.data(), targets.data(), self.width(), Some(&shares), &mut losses, &mut gradient);
        let value = losses.iter().map(|&loss| f64::from(loss)).sum();
        ready(value, [self], [self.is_tracked().then_some(gradient)])
    }
}

/// The share of each row in a weighted mean.
#[track_caller]
pub(super) fn shares(op: &str, input: &Tensor, weights: Option<&[f32]>) -> Vec<f32> {
    let total = total_weight(op, input, weights);
    let factor = if total == 0.0 { 0.0 } else { 1.0 / total };
    match weights {
        Some(weights) => weights.iter().map(|&weight| (f64::from(weight) * factor) as f32).collect(),
        None => vec![factor as f32; input.rows()],
    }
}

/// Targets for [`Tensor::cross_entropy`], `[labels, classes]`: each label's class has `1 - smoothing`, and all classes share `smoothing`.
pub fn one_hot(labels: &[u32], classes: usize, smoothing: f32) -> Tensor {
    let mut targets = Buffer::scratch(labels.len() * classes);
    targets.fill(smoothing / classes as f32);
    for (row, &label) in targets.chunks_exact_mut(classes).zip(labels) {
        assert!((label as usize) < classes, "one_hot: label {label} of {classes} classes");
        row[label as usize] += 1.0 - smoothing;
    }
    Tensor::new([labels.len(), classes], targets)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        let targets = one_hot(&[2, 0, 1], 4, 0.1);
        let soft = targets.clone();
        vec![
            Case::new("cross_entropy", &[&[3, 4]], move |x| x[0].cross_entropy(&targets, None)),
            Case::new("weighted cross_entropy", &[&[3, 4]], move |x| {
                x[0].cross_entropy(&soft, Some(&[0.5, 0.0, 2.0])).scale(3.0)
            }),
        ]
    }

    #[test]
    fn values_are_those_of_the_formula() {
        let logits = Tensor::from_vec([2, 2], &[0.0, 0.0, 3f32.ln(), 0.0]);
        let targets = one_hot(&[1, 0], 2, 0.0);
        let (even, sure) = (0.5f32.ln(), 0.75f32.ln());
        assert!((logits.cross_entropy(&targets, None).item() + (even + sure) / 2.0).abs() < 1e-6);
        assert!((logits.cross_entropy(&targets, Some(&[3.0, 1.0])).item() + (3.0 * even + sure) / 4.0).abs() < 1e-6);
        assert_eq!(logits.cross_entropy(&targets, Some(&[0.0, 0.0])).item(), 0.0);
    }

    #[test]
    fn smoothing_is_shared_by_all_classes() {
        for (value, expected) in one_hot(&[1], 4, 0.2).data().iter().zip([0.05, 0.85, 0.05, 0.05]) {
            assert!((value - expected).abs() < 1e-6);
        }
    }

    #[test]
    #[should_panic(expected = "cross_entropy: 1 weights for the rows of shape [2, 3]")]
    fn every_row_has_a_weight() {
        Tensor::zeros([2, 3]).cross_entropy(&Tensor::zeros([2, 3]), Some(&[1.0]));
    }
}
