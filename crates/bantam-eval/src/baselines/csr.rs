//! Sparse rows one after another.

/// Rows of (column, value) pairs, the columns of a row rising.
#[derive(Debug, Clone, PartialEq)]
pub struct SparseRows {
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
    width: usize,
}

impl SparseRows {
    /// No rows yet, of `width` columns.
    pub fn new(width: usize) -> Self {
        Self { starts: vec![0], columns: Vec::new(), values: Vec::new(), width }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// When a column is not below the width.
    pub fn push(&mut self, row: &[(u32, f32)]) {
        for &(column, value) in row {
            assert!((column as usize) < self.width, "column {column} in rows of width {}", self.width);
            self.columns.push(column);
            self.values.push(value);
        }
        self.starts.push(self.columns.len());
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many columns a row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The columns and values of a row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, index: usize) -> (&[u32], &[f32]) {
        let range = self.starts[index]..self.starts[index + 1];
        (&self.columns[range.clone()], &self.values[range])
    }
}
