//! Rows times a matrix of weights: `y = x·Wᵀ + b`, with x `[.., k]`, W `[n, k]`, b `[n]` and y `[.., n]`.

use crate::kept::Keep;
use crate::matrix::Matrix;
use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::activation::Activation;
#[cfg(doc)]
use bantam_kernels::gemm::grouped::GroupedMatrix;
use bantam_kernels::gemm::{self, Epilogue, Operand, Precision};
use bantam_kernels::halves::Halves;
use bantam_kernels::memory::Buffer;
use bantam_kernels::pool;
use std::ops::Range;

impl Tensor {
    /// `x·Wᵀ + b`.
    ///
    /// For the backward pass it keeps the input if the weights are tracked (where a norm or an activation made it, the way to make it
    /// again; for products in bf16, the input rounded and laid out for the gradient), and the weights if the input is. The results of
    /// products in bf16 are kept by later ops rounded to bf16.
    ///
    /// Nothing flows through packed weights: they take no tracked input.
    pub fn linear(&self, matrix: &Matrix, bias: Option<&Tensor>) -> Tensor {
        self.product(matrix, bias, None, false)
    }

    /// [`Tensor::linear_prompt`] without a residual, where products with dense weights in bf16 are rounded as they are stored, and widened by those
    /// who read them. For what stays within a layer: gates, channels, queries, keys and values.
    pub fn linear_rounded(&self, matrix: &Matrix, bias: Option<&Tensor>, first: usize) -> Tensor {
        match matrix {
            Matrix::Dense { precision: Precision::Bf16, .. } => self.product(matrix, bias, None, true),
            _ => self.linear_prompt(matrix, bias, None, first),
        }
    }

    /// `x·Wᵀ + b + residual`, in one pass; `residual` has the shape of the result. Keeps what [`Tensor::linear`] keeps.
    pub fn linear_residual(&self, matrix: &Matrix, bias: Option<&Tensor>, residual: &Tensor) -> Tensor {
        self.product(matrix, bias, Some(residual), false)
    }

    /// [`Tensor::linear`], or [`Tensor::linear_residual`] where there is a residual, of which the rows from `first` on are those of prompts:
    /// [`GroupedMatrix::multiply_prompt`] for weights in groups, and for others as always.
    pub fn linear_prompt(
        &self,
        matrix: &Matrix,
        bias: Option<&Tensor>,
        residual: Option<&Tensor>,
        first: usize,
    ) -> Tensor {
        let Matrix::Grouped(grouped) = matrix else { return self.product(matrix, bias, residual, false) };
        self.expect_linear(matrix, bias, residual);
        let (first, n, k) = (first.min(self.rows()), grouped.rows(), grouped.columns());
        let shape = self.sizes().with_width(n);
        let mut out = Buffer::scratch(shape.length());
        let (answers, prompts) = out.split_at_mut(first * n);
        let residuals = residual.map(|residual| residual.data().split_at(first * n)).unzip();
        let epilogue = |residual| Epilogue { bias: bias.map(Tensor::data), residual, ..Epilogue::default() };
        let x = self.shared();
        let x = x.reading(k);
        let part = |rows: Range<usize>| x.part(rows.start * k..rows.end * k);
        grouped.multiply(part(0..first), first, answers, &epilogue(residuals.0));
        grouped.multiply_prompt(part(first..self.rows()), self.rows() - first, prompts, &epilogue(residuals.1));
        Tensor::new(shape, out)
    }

    /// `activation(x·Wᵀ + b)`: in one pass for packed weights, as two ops otherwise.
    pub fn linear_activated(&self, matrix: &Matrix, bias: Option<&Tensor>, activation: Activation) -> Tensor {
        let fused = match activation {
            Activation::Gelu => gemm::Activation::Gelu,
            Activation::Relu => gemm::Activation::Relu,
            Activation::Silu => gemm::Activation::Silu,
            Activation::Tanh => gemm::Activation::Tanh,
            Activation::GeluTanh => return self.linear(matrix, bias).activation(activation),
        };
        if matches!(matrix, Matrix::Dense { .. }) {
            return self.linear(matrix, bias).activation(activation);
        }
        self.expect_linear(matrix, bias, None);
        let shape = self.sizes().with_width(matrix.rows());
        let mut out = Buffer::scratch(shape.length());
        let epilogue = Epilogue { bias: bias.map(Tensor::data), activation: fused, ..Epilogue::default() };
        match matrix {
            Matrix::Packed(packed) => packed.multiply(self.data(), self.rows(), &mut out, &epilogue),
            Matrix::Grouped(grouped) => {
                grouped.multiply(self.shared().reading(self.width()), self.rows(), &mut out, &epilogue);
            }
            Matrix::Dense { .. } => unreachable!("dense matrices were dealt with"),
        }
        Tensor::new(shape, out)
    }

    #[track_caller]
    fn expect_linear(&self, matrix: &Matrix, bias: Option<&Tensor>, residual: Option<&Tensor>) {
        let (rows, columns) = (matrix.rows(), matrix.columns());
        assert_eq!(
            self.width(),
            columns,
            "linear: shape {:?} times a matrix of shape [{rows}, {columns}]",
            self.shape()
        );
        if let Some(bias) = bias {
            assert_eq!(
                bias.shape(),
                [rows],
                "linear: a bias of shape {:?} for a matrix of shape [{rows}, {columns}]",
                bias.shape()
            );
        }
        if let Some(residual) = residual {
            let shape = self.sizes().with_width(rows);
            assert_eq!(
                residual.shape(),
                &*shape,
                "linear: a residual of shape {:?} for a product of shape {shape:?}",
                residual.shape()
            );
        }
        if !matches!(matrix, Matrix::Dense { .. }) {
            let tracked = [Some(self), bias, residual].into_iter().flatten().any(Tensor::is_tracked);
            assert!(!tracked, "linear: packed weights take no gradient: train with dense ones, or detach the input");
        }
    }

    /// The product, which is rounded where dense weights are multiplied in bf16 and `rounds` says so.
    fn product(&self, matrix: &Matrix, bias: Option<&Tensor>, residual: Option<&Tensor>, rounds: bool) -> Tensor {
        self.expect_linear(matrix, bias, residual);
        let (m, n, k) = (self.rows(), matrix.rows(), matrix.columns());
        let shape = self.sizes().with_width(n);
        let epilogue =
            Epilogue { bias: bias.map(Tensor::data), residual: residual.map(Tensor::data), ..Epilogue::default() };
        let written = |write: &dyn Fn(&mut [f32])| {
            let mut out = Buffer::scratch(shape.length());
            write(&mut out);
            out
        };
        let (weight, precision) = match matrix {
            Matrix::Packed(packed) => {
                return Tensor::new(shape, written(&|out| packed.multiply(self.data(), m, out, &epilogue)));
            }
            Matrix::Grouped(_) => return self.linear_prompt(matrix, bias, residual, m),
            Matrix::Dense { weight, precision } => (weight, *precision),
        };
        // What a step's products share is packed once; without gradients a product packs for itself.
        let shares = precision == Precision::Bf16 && (self.is_tracked() || weight.is_tracked());
        let (out, columns) = if shares {
            let (rows, columns) = gemm::pack_input(self.shared().reading(k), m, k, weight.is_tracked());
            let factor = weight.shared().factor(n, k, true);
            let out = if rounds {
                gemm::multiply_factors_rounded(&rows, &factor, epilogue.bias).into()
            } else {
                Shared::from(written(&|out| gemm::multiply_factors(&rows, &factor, out, &epilogue)))
            };
            (out, columns)
        } else {
            let (x, weight) = (Operand::new(self.data(), m, k), Operand::new(weight.data(), n, k).t());
            let out = written(&|out| gemm::multiply(precision, x, weight, out, &epilogue));
            (if rounds { Halves::pack(&out).into() } else { out.into() }, None)
        };

        const INPUT: usize = 0;
        const WEIGHT: usize = 1;
        let mut inputs = vec![self, weight];
        let bias_input = bias.map(|bias| push(&mut inputs, bias));
        let residual_input = residual.map(|residual| push(&mut inputs, residual));
        Tensor::from_op(shape, out, &inputs, |keep| {
            if precision == Precision::Bf16 && residual.is_none() {
                *keep = Keep::Half;
            }
            let x = (weight.is_tracked() && !shares).then(|| self.keep());
            let w = self.is_tracked().then(|| weight.keep());
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                if let Some(bias) = bias_input {
                    inputs.add(bias, |gradient| add_rows(&upstream, gradient));
                }
                let wants = [inputs.wants(INPUT), inputs.wants(WEIGHT)];
                let [dy_rows, dy_columns] =
                    if shares { gemm::pack_upstream(upstream.reading(n), m, n, wants) } else { [None, None] };
                if let (Some(x), Some(dy)) = (columns, dy_columns) {
                    inputs.write(WEIGHT, |gradient, accumulate| {
                        gemm::multiply_factors(&dy, &x, gradient, &Epilogue { accumulate, ..Epilogue::default() });
                    });
                }
                if let Some(x) = x {
                    let x = x.load();
                    inputs.write(WEIGHT, |gradient, accumulate| {
                        let epilogue = Epilogue { accumulate, ..Epilogue::default() };
                        let dy = Operand::new(&upstream, m, n).t();
                        gemm::multiply(precision, dy, Operand::new(&x, m, k), gradient, &epilogue);
                    });
                }
                if let Some(w) = w {
                    let w = w.load();
                    inputs.write(INPUT, |gradient, accumulate| {
                        let epilogue = Epilogue { accumulate, ..Epilogue::default() };
                        match dy_rows {
                            Some(dy) => gemm::multiply_factors(&dy, &w.factor(n, k, false), gradient, &epilogue),
                            None => {
                                let dy = Operand::new(&upstream, m, n);
                                gemm::multiply(precision, dy, Operand::new(&w, n, k), gradient, &epilogue);
                            }
                        }
                    });
                }
                if let Some(residual) = residual_input {
                    inputs.give(residual, upstream);
                }
            }
        })
    }
}

fn push<'a>(inputs: &mut Vec<&'a Tensor>, input: &'a Tensor) -> usize {
    inputs.push(input);
    inputs.len() - 1
}

/// Adds all rows of `data` to `sums`. Each thread takes columns of its own, so that the order of additions is the same for any number.
fn add_rows(data: &[f32], sums: &mut [f32]) {
    const COLUMNS: usize = 64;
    let width = sums.len();
    pool::for_each_chunk(sums, COLUMNS, |piece, sums| {
        for row in data.chunks_exact(width) {
            for (sum, value) in sums.iter_mut().zip(&row[piece * COLUMNS..]) {
                *sum += value;
            }
        }
    });
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Case, Random, assert_near};
    use bantam_kernels::gemm::{PackedFormat, PackedMatrix};
    use std::sync::Arc;

    fn exact(weight: &Tensor) -> Matrix {
        Matrix::dense(weight.clone(), Precision::F32)
    }

    pub(crate) fn cases() -> Vec<Case> {
        vec![
            Case::new("linear", &[&[5, 7], &[4, 7]], |x| x[0].linear(&exact(&x[1]), None)),
            Case::new("linear with bias", &[&[2, 3, 7], &[4, 7], &[4]], |x| x[0].linear(&exact(&x[1]), Some(&x[2]))),
            Case::new("linear with residual", &[&[5, 7], &[4, 7], &[4], &[5, 4]], |x| {
                x[0].linear_residual(&exact(&x[1]), Some(&x[2]), &x[3])
            }),
            Case::new("linear of one tensor with itself", &[&[5, 5]], |x| {
                x[0].linear_residual(&exact(&x[0]), None, &x[0])
            }),
            Case::new("linear with activation", &[&[5, 7], &[4, 7], &[4]], |x| {
                x[0].linear_activated(&exact(&x[1]), Some(&x[2]), Activation::Tanh)
            }),
            Case::new("two linears over one input", &[&[5, 7], &[4, 7], &[4, 7]], |x| {
                x[0].linear(&exact(&x[1]), None).add(&x[0].linear(&exact(&x[2]), None))
            }),
        ]
    }

    #[test]
    fn products_are_those_of_the_formula() {
        let x = Tensor::from_vec([1, 2], &[2.0, 3.0]);
        let matrix = exact(&Tensor::from_vec([3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, -1.0]));
        let y = x.linear_residual(
            &matrix,
            Some(&Tensor::from_vec([3], &[0.5, 0.0, 0.0])),
            &Tensor::from_vec([1, 3], &[1.0, 1.0, 1.0]),
        );
        assert_eq!(y.data(), [3.5, 4.0, 0.0]);
    }

    #[test]
    fn bf16_gradients_are_near_those_of_f32() {
        let mut random = Random::new(5);
        let (x, w) = (random.tensor(&[33, 48]).tracked(), random.tensor(&[40, 48]).tracked());
        let gradients = |precision| {
            // The square makes the second op keep the product.
            let y = x.linear(&Matrix::dense(w.clone(), precision), None);
            let gradients = y.multiply(&y).sum().backward();
            [&x, &w].map(|leaf| gradients.get(leaf).expect("tracked").to_vec())
        };
        let (exact, rounded) = (gradients(Precision::F32), gradients(Precision::Bf16));
        for (exact, rounded) in exact.iter().zip(&rounded) {
            assert_near(rounded, exact, 1e-2, "bf16 gradient");
        }
    }

    #[test]
    fn rounded_products_are_those_of_bf16_rounded_once_and_carry_the_same_gradients() {
        let mut random = Random::new(8);
        let (x, w, bias) = (random.tensor(&[33, 48]), random.tensor(&[40, 48]), random.tensor(&[40]));
        let rounded = |x: &Tensor, w: &Tensor| {
            x.linear_rounded(&Matrix::dense(w.clone(), Precision::Bf16), Some(&bias), usize::MAX)
        };
        let plain = rounded(&x, &w);
        let whole = x.linear(&Matrix::dense(w.clone(), Precision::Bf16), Some(&bias));
        for (rounded, whole) in plain.data().iter().zip(whole.data()) {
            assert!(rounded.to_bits() & 0xFFFF == 0 && (rounded - whole).abs() <= whole.abs() / 256.0);
        }
        let (x, w) = (x.tracked(), w.tracked());
        assert_eq!(rounded(&x, &w).data(), plain.data());
        // Gates that are made of the product as they are packed, and of numbers that lie in memory.
        let down = Matrix::dense(random.tensor(&[8, 20]), Precision::Bf16);
        let gradients = |wide: Tensor| {
            let gradients = wide.gated(Activation::Silu).linear(&down, None).sum().backward();
            [&x, &w].map(|leaf| gradients.get(leaf).expect("tracked").to_vec())
        };
        let whole = gradients(x.linear(&Matrix::dense(w.clone(), Precision::F32), Some(&bias)));
        for (rounded, whole) in gradients(rounded(&x, &w)).iter().zip(&whole) {
            assert_near(rounded, whole, 2e-2, "gradient through a rounded product");
        }
    }

    #[test]
    fn packed_weights_give_what_dense_ones_give() {
        let mut random = Random::new(6);
        let (x, w, bias) = (random.tensor(&[3, 32]), random.tensor(&[16, 32]), random.tensor(&[16]));
        let packed = Matrix::Packed(Arc::new(PackedMatrix::pack(w.data(), 16, 32, PackedFormat::F32)));
        assert_eq!((packed.rows(), packed.columns(), packed.is_tracked()), (16, 32, false));
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu, Activation::Tanh]
        {
            let dense = x.linear_activated(&exact(&w), Some(&bias), activation);
            assert_near(x.linear_activated(&packed, Some(&bias), activation).data(), dense.data(), 1e-5, "packed");
        }
    }

    #[test]
    #[should_panic(expected = "packed weights take no gradient")]
    fn packed_weights_take_no_gradient() {
        let packed = Matrix::Packed(Arc::new(PackedMatrix::pack(&[1.0; 4], 2, 2, PackedFormat::F32)));
        Tensor::zeros([1, 2]).tracked().linear(&packed, None);
    }

    #[test]
    #[should_panic(expected = "linear: shape [2, 3] times a matrix of shape [4, 5]")]
    fn widths_must_agree() {
        Tensor::zeros([2, 3]).linear(&exact(&Tensor::zeros([4, 5])), None);
    }
}
