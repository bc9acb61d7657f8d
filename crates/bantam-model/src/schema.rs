//! The one declaration of a model's weights: names, shapes, axes and initialisation.
//!
//! An architecture's constructor fills a [`Schema`] and keeps the ids. Everything else that must know which weights
//! there are (initialising, loading, saving, counting, optimising, freezing, pruning, quantising) walks the schema.

use std::fmt;

/// Names one dimension of a weight. Two weights that share an axis are cut together when the axis is pruned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// What the dimension counts, for example `width` or `layers.3.channels`.
    pub name: String,
    /// How many entries it has.
    pub size: usize,
}

impl Axis {
    /// An axis of `size` entries.
    pub fn new(name: impl Into<String>, size: usize) -> Self {
        Self { name: name.into(), size }
    }
}

/// How a weight starts out when a model is made from nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Normal with mean zero and this standard deviation.
    Normal(f32),
}

/// What a weight is used as; it decides which formats it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Multiplies rows: `[out, in]`.
    Matrix,
    /// Looked up by row: `[entries, width]`.
    Table,
    /// Added or multiplied element by element: `[size]`.
    Vector,
}

/// One named stretch of rows inside a weight. A fused weight (query, key and value in one matrix) has several, each
/// with the name it carries in a Hugging Face file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The full name in files.
    pub name: String,
    /// The axis of its rows.
    pub rows: Axis,
}

/// One weight of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Row stretches, in order; one for a plain weight.
    pub parts: Vec<Part>,
    /// The axis of its columns; `None` for a vector.
    pub columns: Option<Axis>,
    /// What it is used as.
    pub kind: Kind,
    /// How it starts out.
    pub initial: Initial,
}

impl Entry {
    /// Rows over all parts.
    pub fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows.size).sum()
    }

    /// Shape in memory: `[rows, columns]`, or `[rows]` for a vector.
    pub fn shape(&self) -> Vec<usize> {
        std::iter::once(self.rows()).chain(self.columns.as_ref().map(|axis| axis.size)).collect()
    }

    /// Shape of one part in a file.
    pub fn part_shape(&self, part: &Part) -> Vec<usize> {
        std::iter::once(part.rows.size).chain(self.columns.as_ref().map(|axis| axis.size)).collect()
    }

    /// Numbers in the weight.
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Whether the weight holds no number at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first part's name: what reports and messages call the weight.
    pub fn name(&self) -> &str {
        &self.parts[0].name
    }
}

/// Identifies a matrix of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MatrixId(pub(crate) usize);
/// Identifies a table of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub(crate) usize);
/// Identifies a vector of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VectorId(pub(crate) usize);

/// Every weight of a model, declared once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schema {
    entries: Vec<Entry>,
    scope: Vec<String>,
}

impl Schema {
    /// A schema without weights.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares weights whose names begin with `scope.`.
    pub fn within<T>(&mut self, scope: impl fmt::Display, build: impl FnOnce(&mut Self) -> T) -> T {
        self.scope.push(scope.to_string());
        let built = build(self);
        self.scope.pop();
        built
    }

    /// Declares a matrix `[rows, columns]`.
    pub fn matrix(&mut self, name: &str, rows: Axis, columns: Axis, initial: Initial) -> MatrixId {
        self.fused_matrix(&[(name, rows)], columns, initial)
    }

    /// Declares one matrix in memory that is several in files: the parts stand one below the other.
    pub fn fused_matrix(&mut self, parts: &[(&str, Axis)], columns: Axis, initial: Initial) -> MatrixId {
        MatrixId(self.declare(parts, Some(columns), Kind::Matrix, initial))
    }

    /// Declares a table `[entries, width]`.
    pub fn table(&mut self, name: &str, entries: Axis, width: Axis, initial: Initial) -> TableId {
        TableId(self.declare(&[(name, entries)], Some(width), Kind::Table, initial))
    }

    /// Declares a vector.
    pub fn vector(&mut self, name: &str, size: Axis, initial: Initial) -> VectorId {
        self.fused_vector(&[(name, size)], initial)
    }

    /// Declares one vector in memory that is several in files.
    pub fn fused_vector(&mut self, parts: &[(&str, Axis)], initial: Initial) -> VectorId {
        VectorId(self.declare(parts, None, Kind::Vector, initial))
    }

    /// The declared weights, in order of declaration.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How `matrix` was declared.
    pub fn matrix_entry(&self, matrix: MatrixId) -> &Entry {
        &self.entries[matrix.0]
    }

    /// How `table` was declared.
    pub fn table_entry(&self, table: TableId) -> &Entry {
        &self.entries[table.0]
    }

    /// Numbers in all weights together.
    pub fn parameters(&self) -> usize {
        self.entries.iter().map(Entry::len).sum()
    }

    fn declare(&mut self, parts: &[(&str, Axis)], columns: Option<Axis>, kind: Kind, initial: Initial) -> usize {
        let parts = parts
            .iter()
            .map(|(name, rows)| {
                let mut full = self.scope.clone();
                full.push((*name).to_owned());
                Part { name: full.join("."), rows: rows.clone() }
            })
            .collect();
        self.entries.push(Entry { parts, columns, kind, initial });
        self.entries.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_make_full_names_and_fused_parts_add_up() {
        let mut schema = Schema::new();
        let width = Axis::new("width", 8);
        schema.within("layers.0", |schema| {
            schema.within("attention", |schema| {
                schema.fused_matrix(
                    &[("query.weight", Axis::new("heads", 8)), ("key.weight", Axis::new("kv", 4))],
                    width.clone(),
                    Initial::Normal(0.02),
                )
            })
        });
        let entry = &schema.entries()[0];
        assert_eq!(entry.parts[1].name, "layers.0.attention.key.weight");
        assert_eq!(entry.shape(), [12, 8]);
        assert_eq!(schema.parameters(), 96);
    }
}
