//! The rows that ids stand for: embedding tables, dense or quantised.

use crate::tensor::Tensor;
use bantam_kernels::gemm::grouped::GroupedMatrix;
use std::sync::Arc;

/// An embedding table: one row per id.
#[derive(Clone)]
pub enum Table {
    /// `[rows, width]`; tracked if it collects a gradient.
    Dense(Tensor),
    /// Rows of 8-bit codes with one factor each, for inference.
    Int8 {
        /// The codes, row by row.
        codes: Arc<[i8]>,
        /// What the codes of each row are multiplied by.
        scales: Arc<[f32]>,
        /// How many codes a row has.
        width: usize,
    },
    /// Codes of few bits in groups with a scale each, for inference: what a head tied to the table multiplies with too.
    Grouped(Arc<GroupedMatrix>),
}

impl Table {
    /// A quantised table; `codes` has `width` numbers for each one of `scales`.
    pub fn int8(codes: Arc<[i8]>, scales: Arc<[f32]>, width: usize) -> Table {
        assert_eq!(
            codes.len(),
            scales.len() * width,
            "a table of {} rows of {width} cannot have {} codes",
            scales.len(),
            codes.len()
        );
        Table::Int8 { codes, scales, width }
    }

    /// How many ids it has rows for.
    pub fn rows(&self) -> usize {
        match self {
            Table::Dense(table) => table.rows(),
            Table::Int8 { scales, .. } => scales.len(),
            Table::Grouped(grouped) => grouped.rows(),
        }
    }

    /// The numbers of a row.
    pub fn width(&self) -> usize {
        match self {
            Table::Dense(table) => table.width(),
            Table::Int8 { width, .. } => *width,
            Table::Grouped(grouped) => grouped.columns(),
        }
    }

    /// Whether it collects a gradient.
    pub fn is_tracked(&self) -> bool {
        match self {
            Table::Dense(table) => table.is_tracked(),
            Table::Int8 { .. } | Table::Grouped(_) => false,
        }
    }

    /// The memory that it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Table::Dense(table) => size_of_val(table.data()),
            Table::Int8 { codes, scales, .. } => codes.len() + size_of_val(&**scales),
            Table::Grouped(grouped) => grouped.bytes(),
        }
    }

    /// Panics unless every id has a row.
    #[track_caller]
    pub(crate) fn expect_ids(&self, op: &str, ids: &[u32]) {
        let rows = self.rows();
        if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
            panic!("{op}: id {id} is outside of a table of shape [{rows}, {}]", self.width());
        }
    }
}
