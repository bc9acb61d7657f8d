//! Cross-entropy of the next token without its logits: `Σ -log softmax(x·Wᵀ)_target / normaliser`, with x `[tokens, d]` and W
//! `[vocabulary, d]`. The logits exist only for some tokens at a time.

use super::loss::ready;
use crate::matrix::Matrix;
use crate::tensor::Tensor;
use bantam_kernels::gemm::Precision;
use bantam_kernels::loss::{self, CrossEntropy, Head, IGNORED};
use bantam_kernels::memory::Buffer;

impl Tensor {
    /// The sum of the losses of all tokens whose target is not [`IGNORED`], divided by `normaliser` (the number of those tokens where there
    /// is none given: pass that of the whole step when it is made of several batches). `label_smoothing`, in `0..1`, is shared by all of the
    /// vocabulary. `head` must be dense. Keeps its gradients: one of its input's size, one of the head's.
    pub fn linear_cross_entropy(
        &self,
        head: &Matrix,
        targets: &[u32],
        label_smoothing: f32,
        normaliser: Option<f32>,
    ) -> Tensor {
        let (tokens, width, vocabulary) = (self.rows(), self.width(), head.rows());
        let fits = width == head.columns() && targets.len() == tokens;
        let shape = [vocabulary, head.columns()];
        assert!(
            fits,
            "linear_cross_entropy: shape {:?}, a head of shape {shape:?} and {} targets",
            self.shape(),
            targets.len()
        );
        if let Some(target) = targets.iter().find(|&&target| target != IGNORED && target as usize >= vocabulary) {
            panic!("linear_cross_entropy: target {target} is outside of a head of shape {shape:?}");
        }
        let Matrix::Dense { weight, precision } = head else {
            panic!("linear_cross_entropy: packed weights take no gradient: use a dense head");
        };
        let counted = targets.iter().filter(|&&target| target != IGNORED).count();
        let normaliser = normaliser.unwrap_or(counted.max(1) as f32);
        let mut d_hidden = self.is_tracked().then(|| Buffer::scratch(self.data().len()));
        let mut d_head = weight.is_tracked().then(|| Buffer::scratch(weight.data().len()));
        let settings = CrossEntropy { precision: *precision, label_smoothing, normaliser };
        let gradients = (d_hidden.as_deref_mut(), d_head.as_deref_mut());
        let numbers = weight.shared();
        let factors = (*precision == Precision::Bf16 && (self.is_tracked() || weight.is_tracked()))
            .then(|| [true, false].map(|transposed| numbers.factor(vocabulary, width, transposed)));
        let head = Head { weight: &numbers, factors: factors.as_ref().map(|factors| [&*factors[0], &*factors[1]]) };
        let (sum, _) = loss::linear_cross_entropy(&settings, self.data(), &head, targets, gradients.0, gradients.1);
        ready(sum / f64::from(normaliser), [self, weight], [d_hidden, d_head])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ops::one_hot;
    use crate::testing::{Case, Random, assert_near};

    pub(crate) fn cases() -> Vec<Case> {
        let head = |weight: &Tensor| Matrix::dense(weight.clone(), Precision::F32);
        vec![
            Case::new("linear_cross_entropy", &[&[5, 4], &[7, 4]], move |x| {
                x[0].linear_cross_entropy(&head(&x[1]), &[6, 0, IGNORED, 3, 3], 0.0, None)
            }),
            Case::new("smoothed linear_cross_entropy", &[&[5, 4], &[7, 4]], move |x| {
                x[0].linear_cross_entropy(&head(&x[1]), &[6, 0, IGNORED, 3, 3], 0.1, Some(2.0)).scale(3.0)
            }),
        ]
    }

    #[test]
    fn losses_are_those_of_the_two_ops() {
        let mut random = Random::new(4);
        let (x, weight) = (random.tensor(&[9, 8]), random.tensor(&[11, 8]));
        let targets = [0, 10, 3, 4, 4, 4, 9, 1, 2];
        let head = Matrix::dense(weight, Precision::F32);
        let expected = x.linear(&head, None).cross_entropy(&one_hot(&targets, 11, 0.2), None);
        assert_near(x.linear_cross_entropy(&head, &targets, 0.2, None).data(), expected.data(), 1e-5, "loss");
        assert_eq!(x.linear_cross_entropy(&head, &[IGNORED; 9], 0.0, None).item(), 0.0);
    }

    #[test]
    #[should_panic(expected = "linear_cross_entropy: target 7 is outside of a head of shape [7, 4]")]
    fn targets_are_in_the_vocabulary() {
        let head = Matrix::dense(Tensor::zeros([7, 4]), Precision::F32);
        Tensor::zeros([1, 4]).linear_cross_entropy(&head, &[7], 0.0, None);
    }
}
