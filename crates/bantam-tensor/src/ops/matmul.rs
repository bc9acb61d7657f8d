//! Product of two matrices: `y = a·b`, with a `[m, k]`, b `[k, n]` and y `[m, n]`.

use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::gemm::{self, Epilogue, Operand, Precision};
use bantam_kernels::memory::Buffer;

impl Tensor {
    /// `self·other`, computed in `precision`. Keeps each factor that the other one's gradient needs.
    pub fn matmul(&self, other: &Tensor, precision: Precision) -> Tensor {
        let (m, k, n) = (self.rows(), self.width(), other.width());
        assert!(
            other.shape().len() == 2 && other.rows() == k,
            "matmul: shapes {:?} and {:?}",
            self.shape(),
            other.shape()
        );
        let shape = self.sizes().with_width(n);
        let mut out = Buffer::scratch(m * n);
        gemm::multiply(
            precision,
            Operand::new(self.data(), m, k),
            Operand::new(other.data(), k, n),
            &mut out,
            &Epilogue::default(),
        );
        Tensor::from_op(shape, out, &[self, other], |_| {
            let a = other.is_tracked().then(|| self.keep());
            let b = self.is_tracked().then(|| other.keep());
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let dy = Operand::new(&upstream, m, n);
                if let Some(b) = b {
                    let b = b.load();
                    inputs.write(0, |gradient, accumulate| {
                        let epilogue = Epilogue { accumulate, ..Epilogue::default() };
                        gemm::multiply(precision, dy, Operand::new(&b, k, n).t(), gradient, &epilogue);
                    });
                }
                if let Some(a) = a {
                    let a = a.load();
                    inputs.write(1, |gradient, accumulate| {
                        let epilogue = Epilogue { accumulate, ..Epilogue::default() };
                        gemm::multiply(precision, Operand::new(&a, m, k).t(), dy, gradient, &epilogue);
                    });
                }
            }
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        vec![
            Case::new("matmul", &[&[3, 5], &[5, 4]], |x| x[0].matmul(&x[1], Precision::F32)),
            Case::new("matmul of a square with itself", &[&[4, 4]], |x| x[0].matmul(&x[0], Precision::F32)),
        ]
    }

    #[test]
    fn products_are_those_of_the_formula() {
        let product = Tensor::from_vec([1, 2], &[2.0, 3.0])
            .matmul(&Tensor::from_vec([2, 2], &[1.0, 2.0, 3.0, 4.0]), Precision::F32);
        assert_eq!(product.data(), [11.0, 16.0]);
    }

    #[test]
    #[should_panic(expected = "matmul: shapes [2, 3] and [2, 3]")]
    fn widths_must_agree() {
        Tensor::zeros([2, 3]).matmul(&Tensor::zeros([2, 3]), Precision::F32);
    }
}
