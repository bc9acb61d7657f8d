//! Relations between tokens (MiniLMv2, Wang et al., 2021): `KL(softmax(T·Tᵀ/√d_t) || softmax(X·Xᵀ/√d_x))` per document and head, the mean
//! over rows. X is the student's, T the teacher's, both cut into the same number of heads of widths d_x and d_t.

use super::expect_starts;
use super::loss::ready;
use crate::tensor::Tensor;
use bantam_kernels::gemm::{self, Epilogue, Operand, Precision};
use bantam_kernels::loss;
use bantam_kernels::memory::Buffer;
use bantam_kernels::vector;

/// Rows of a relation matrix that exist at one time.
const BLOCK: usize = 256;

impl Tensor {
    /// How far the tokens of each document relate to one another differently than the teacher's do. `self` is `[tokens, width]`, `teacher`
    /// `[tokens, its own width]`; both widths are multiples of `heads`. The teacher takes no gradient. Keeps its gradient.
    pub fn relation(&self, teacher: &Tensor, heads: usize, starts: &[usize]) -> Tensor {
        let fits = self.rows() == teacher.rows()
            && self.width().is_multiple_of(heads)
            && teacher.width().is_multiple_of(heads);
        assert!(fits, "relation: shapes {:?} and {:?} with {heads} heads", self.shape(), teacher.shape());
        expect_starts("relation", self, starts);
        let mut gradient = self.is_tracked().then(|| Buffer::zeroed(self.data().len()));
        let (width, head_dim) = (self.width(), self.width() / heads);
        let factor = 1.0 / (heads * self.rows()) as f64;
        let mut total = 0.0;
        for document in starts.windows(2).map(|pair| pair[0]..pair[1]) {
            for head in 0..heads {
                let student = Head::of(self, heads, head, document.clone());
                let teacher = Head::of(teacher, heads, head, document.clone());
                let mut d_head = gradient.is_some().then(|| Buffer::zeroed(document.len() * head_dim));
                for first in (0..document.len()).step_by(BLOCK) {
                    let rows = first..document.len().min(first + BLOCK);
                    total += block(&student, &teacher, rows, factor, d_head.as_deref_mut());
                }
                if let (Some(gradient), Some(d_head)) = (&mut gradient, d_head) {
                    for (token, row) in document.clone().zip(d_head.chunks_exact(head_dim)) {
                        gradient[token * width + head * head_dim..][..head_dim].copy_from_slice(row);
                    }
                }
            }
        }
        ready(total * factor, [self], [gradient])
    }
}

/// One head of one document's tokens.
struct Head<'a> {
    data: &'a [f32],
    tokens: usize,
    head_dim: usize,
    stride: usize,
}

impl<'a> Head<'a> {
    fn of(tensor: &'a Tensor, heads: usize, head: usize, document: std::ops::Range<usize>) -> Head<'a> {
        let (stride, head_dim) = (tensor.width(), tensor.width() / heads);
        let data = &tensor.data()[document.start * stride..document.end * stride];
        Head { data: data.get(head * head_dim..).unwrap_or_default(), tokens: document.len(), head_dim, stride }
    }

    fn rows(&self, rows: std::ops::Range<usize>) -> Operand<'a> {
        Operand {
            stride: self.stride,
            ..Operand::new(&self.data[rows.start * self.stride..], rows.len(), self.head_dim)
        }
    }

    /// What the relations of some rows to all are the softmax of: `[rows, tokens]`.
    fn products(&self, rows: std::ops::Range<usize>) -> Buffer {
        let mut products = Buffer::scratch(rows.len() * self.tokens);
        gemm::multiply(
            Precision::F32,
            self.rows(rows),
            self.rows(0..self.tokens).t(),
            &mut products,
            &Epilogue::default(),
        );
        vector::scale(&mut products, self.scale());
        products
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }
}

/// The sum of the divergences of some rows; adds the gradient of `factor` times that sum to `gradient`, `[tokens, head_dim]`.
fn block(
    student: &Head<'_>,
    teacher: &Head<'_>,
    rows: std::ops::Range<usize>,
    factor: f64,
    gradient: Option<&mut [f32]>,
) -> f64 {
    let (tokens, products) = (student.tokens, student.products(rows.clone()));
    let mut targets = teacher.products(rows.clone());
    let mut logs = targets.clone();
    loss::softmax_rows(&mut targets, tokens);
    loss::log_softmax_rows(&mut logs, tokens);
    let entropy = -vector::dot(&logs, &targets);
    let weights = vec![factor as f32 * student.scale(); rows.len()];
    let mut losses = Buffer::scratch(rows.len());
    // The teacher's logarithms give way to the gradient of the student's products.
    loss::cross_entropy_rows(&products, &targets, tokens, Some(&weights), &mut losses, &mut logs);
    let cross_entropy =
        losses.iter().zip(&weights).map(|(&loss, &weight)| f64::from(loss) / f64::from(weight)).sum::<f64>();
    if let Some(gradient) = gradient {
        let products = Operand::new(&logs, rows.len(), tokens);
        let epilogue = Epilogue { accumulate: true, ..Epilogue::default() };
        let span = rows.start * student.head_dim..rows.end * student.head_dim;
        gemm::multiply(Precision::F32, products, student.rows(0..tokens), &mut gradient[span], &epilogue);
        gemm::multiply(Precision::F32, products.t(), student.rows(rows), gradient, &epilogue);
    }
    cross_entropy - entropy
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Case, Random, assert_near};

    pub(crate) fn cases() -> Vec<Case> {
        let teacher = Random::new(8).tensor(&[7, 6]);
        // Large enough for the divergence to be seen beside f32's rounding.
        vec![Case::new("relation", &[&[7, 4]], move |x| {
            x[0].scale(2.0).relation(&teacher, 2, &[0, 4, 4, 7]).scale(10.0)
        })]
    }

    #[test]
    fn a_student_like_its_teacher_has_no_loss() {
        let x = Random::new(9).tensor(&[BLOCK + 9, 4]).tracked();
        let loss = x.relation(&x.detach(), 2, &[0, 3, BLOCK + 9]);
        assert!(loss.item().abs() < 1e-6);
        assert!(loss.backward().get(&x).expect("tracked").iter().all(|value| value.abs() < 1e-6));
    }

    #[test]
    fn blocks_add_up_to_the_formula() {
        let (tokens, width) = (BLOCK + 5, 3);
        let mut random = Random::new(10);
        let (x, teacher) = (random.tensor(&[tokens, width]), random.tensor(&[tokens, 2]));
        let probabilities = |tensor: &Tensor, row: usize| -> Vec<f64> {
            let width = tensor.width();
            let at = |row: usize| &tensor.data()[row * width..][..width];
            let product = |other: usize| -> f64 {
                at(row).iter().zip(at(other)).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
            };
            let powers: Vec<f64> = (0..tokens).map(|other| (product(other) / (width as f64).sqrt()).exp()).collect();
            let sum: f64 = powers.iter().sum();
            powers.iter().map(|power| power / sum).collect()
        };
        let divergence = |row| -> f64 {
            probabilities(&teacher, row)
                .iter()
                .zip(probabilities(&x, row))
                .map(|(&target, own)| target * (target / own).ln())
                .sum()
        };
        let expected = (0..tokens).map(divergence).sum::<f64>() / tokens as f64;
        assert_near(&[x.relation(&teacher, 1, &[0, tokens]).item()], &[expected as f32], 1e-4, "relation");
    }

    #[test]
    #[should_panic(expected = "relation: shapes [2, 4] and [3, 4] with 2 heads")]
    fn tokens_must_agree() {
        Tensor::zeros([2, 4]).relation(&Tensor::zeros([3, 4]), 2, &[0, 2]);
    }
}
