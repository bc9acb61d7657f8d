//! Anything that rows can be multiplied by: the one place where number formats meet.

use crate::tensor::Tensor;
use bantam_kernels::gemm::grouped::{Bits, GroupedMatrix};
use bantam_kernels::gemm::{PackedFormat, PackedMatrix, Precision};
use std::sync::Arc;

/// The weights of a linear layer, `[rows, columns]` = `[features out, features in]`.
#[derive(Clone)]
pub enum Matrix {
    /// Numbers as they are trained.
    Dense {
        /// `[rows, columns]`; tracked if it collects a gradient.
        weight: Tensor,
        /// What products with it are computed in, forward and backward.
        precision: Precision,
    },
    /// Numbers laid out, and perhaps quantised, for inference. No gradient passes through.
    Packed(Arc<PackedMatrix>),
    /// Codes of few bits in groups with a scale each, for inference.
    Grouped(Arc<GroupedMatrix>),
}

impl Matrix {
    /// Dense weights, whose products are computed in `precision`.
    pub fn dense(weight: Tensor, precision: Precision) -> Matrix {
        assert_eq!(weight.shape().len(), 2, "a matrix has two sizes, not shape {:?}", weight.shape());
        Matrix::Dense { weight, precision }
    }

    /// What its numbers are stored as, by the name that Hugging Face gives such a type.
    pub fn number_type(&self) -> &'static str {
        match self {
            Matrix::Dense { .. } => "float32",
            Matrix::Packed(packed) => match packed.format() {
                PackedFormat::F32 => "float32",
                PackedFormat::Bf16 => "bfloat16",
                PackedFormat::Int8 => "int8",
            },
            Matrix::Grouped(grouped) => match grouped.bits() {
                Bits::Four => "int4",
                Bits::Eight => "int8",
            },
        }
    }

    /// The features that a product has.
    pub fn rows(&self) -> usize {
        match self {
            Matrix::Dense { weight, .. } => weight.rows(),
            Matrix::Packed(packed) => packed.rows(),
            Matrix::Grouped(grouped) => grouped.rows(),
        }
    }

    /// The features that a row multiplied by it has.
    pub fn columns(&self) -> usize {
        match self {
            Matrix::Dense { weight, .. } => weight.width(),
            Matrix::Packed(packed) => packed.columns(),
            Matrix::Grouped(grouped) => grouped.columns(),
        }
    }

    /// Whether the rows of prompts are multiplied with other bits than those of answers.
    pub fn reads_prompts_apart(&self) -> bool {
        matches!(self, Matrix::Grouped(_)) && GroupedMatrix::reads_prompts_apart()
    }

    /// Whether it collects a gradient.
    pub fn is_tracked(&self) -> bool {
        match self {
            Matrix::Dense { weight, .. } => weight.is_tracked(),
            Matrix::Packed(_) | Matrix::Grouped(_) => false,
        }
    }

    /// The memory that it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Matrix::Dense { weight, .. } => size_of_val(weight.data()),
            Matrix::Packed(packed) => packed.bytes(),
            Matrix::Grouped(grouped) => grouped.bytes(),
        }
    }
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let format = match self {
            Matrix::Dense { precision, .. } => format!("dense {precision:?}"),
            Matrix::Packed(packed) => format!("packed {:?}", packed.format()),
            Matrix::Grouped(grouped) => format!("grouped {:?}", grouped.bits()),
        };
        write!(formatter, "Matrix [{}, {}] {format}", self.rows(), self.columns())
    }
}
