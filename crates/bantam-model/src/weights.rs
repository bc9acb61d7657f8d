//! Every number of a model, by id: the table that training, pruning and quantising turn into another table.

use std::collections::BTreeMap;
use std::sync::Arc;

use bantam_kernels::gemm::grouped::{Bits, GROUP, GroupedMatrix};
use bantam_kernels::gemm::{PackedFormat, PackedMatrix, Precision};
use bantam_kernels::memory::give_back_program;
use bantam_tensor::{Matrix, Table, Tensor};

use crate::arrays::{Array, Arrays, Values};
use crate::random::Random;
use crate::schema::{Entry, Initial, Kind, MatrixId, Schema, TableId, VectorId};

/// One weight in the form that the layers use.
#[derive(Clone)]
enum Weight {
    Matrix(Matrix),
    Table(Table),
    Vector(Tensor),
}

/// The numbers of a model, laid out as its [`Schema`] declares. Cloning is cheap.
#[derive(Clone)]
pub struct Weights {
    schema: Arc<Schema>,
    values: Vec<Weight>,
    precision: Precision,
}

/// Everything that does not fit between a schema and the arrays of a file, all at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct MismatchError {
    /// Declared, but not in the file.
    pub missing: Vec<String>,
    /// In the file, but not declared.
    pub unexpected: Vec<String>,
    /// In both, with different shapes: name, declared, found.
    pub misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl MismatchError {
    fn describe(&self) -> String {
        let mut lines = vec!["the weights do not fit the architecture".to_owned()];
        let list = |names: &[String]| {
            let shown: Vec<_> = names.iter().take(8).map(String::as_str).collect();
            let more = names.len().saturating_sub(8);
            if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
        };
        if !self.missing.is_empty() {
            lines.push(format!("missing: {}", list(&self.missing)));
        }
        if !self.unexpected.is_empty() {
            lines.push(format!("not expected: {}", list(&self.unexpected)));
        }
        for (name, declared, found) in self.misshapen.iter().take(8) {
            lines.push(format!("`{name}` should have shape {declared:?}, but has {found:?}"));
        }
        lines.push(
            "check that the sizes (config.json, or the metadata of a GGUF file) and the weights belong together"
                .to_owned(),
        );
        lines.join("; ")
    }
}

impl Weights {
    /// Draws fresh weights as the schema says. The same seed gives the same numbers on every machine.
    pub fn initialise(schema: &Arc<Schema>, seed: u64, precision: Precision) -> Self {
        let values = schema.entries().iter().enumerate().map(|(index, entry)| {
            let mut random = Random::new(seed, index as u64);
            let numbers = match entry.initial {
                Initial::Zeros => vec![0.0; entry.len()],
                Initial::Ones => vec![1.0; entry.len()],
                Initial::Normal(deviation) => (0..entry.len()).map(|_| random.normal() * deviation).collect(),
            };
            dense(entry, &numbers, precision)
        });
        Self { schema: Arc::clone(schema), values: values.collect(), precision }
    }

    /// Lays out the arrays of a file. Int8 arrays and groups become packed matrices and tables; plain ones stay dense, and what is fused of
    /// several kinds becomes so.
    ///
    /// # Errors
    /// Names every missing, unexpected and misshapen array at once.
    pub fn from_arrays(schema: &Arc<Schema>, arrays: &Arrays, precision: Precision) -> Result<Self, MismatchError> {
        check(schema, arrays)?;
        let values = schema.entries().iter().map(|entry| {
            let parts: Vec<&Array> = entry.parts.iter().map(|part| &arrays[&part.name]).collect();
            if let Some(grouped) = joined_groups(entry, &parts).map(Arc::new) {
                return match entry.kind {
                    Kind::Table => Weight::Table(Table::Grouped(grouped)),
                    _ => Weight::Matrix(Matrix::Grouped(grouped)),
                };
            }
            let packed = parts.iter().all(|part| matches!(part.values, Values::Int8 { .. }));
            match (packed, entry.kind) {
                (true, Kind::Matrix) => {
                    let (codes, scales) = joined_codes(&parts);
                    let packed = PackedMatrix::from_int8(&codes, &scales, entry.rows(), entry.shape()[1]);
                    Weight::Matrix(Matrix::Packed(Arc::new(packed)))
                }
                (true, Kind::Table) => {
                    let (codes, scales) = joined_codes(&parts);
                    let width = entry.shape()[1];
                    Weight::Table(Table::Int8 { codes: codes.into(), scales: scales.into(), width })
                }
                _ => dense(entry, &parts.iter().flat_map(|part| part.to_f32()).collect::<Vec<_>>(), precision),
            }
        });
        Ok(Self { schema: Arc::clone(schema), values: values.collect(), precision })
    }

    /// [`Weights::from_arrays`] for generation: matrices and tables in groups of few bits. Groups that the arrays have stay what they are; the rest
    /// is fitted to `bits` row by row. Memory of arrays that are still in their file is given back on the way, and that of code which ran until then
    /// before and after, so that the most that is in memory is little more than what stays.
    ///
    /// # Errors
    /// As [`Weights::from_arrays`].
    pub fn grouped_from_arrays(schema: &Arc<Schema>, arrays: &Arrays, bits: Bits) -> Result<Self, MismatchError> {
        check(schema, arrays)?;
        give_back_program();
        let precision = Precision::F32;
        let values = schema.entries().iter().map(|entry| {
            let parts: Vec<&Array> = entry.parts.iter().map(|part| &arrays[&part.name]).collect();
            if entry.kind == Kind::Vector {
                return dense(entry, &parts.iter().flat_map(|part| part.to_f32()).collect::<Vec<_>>(), precision);
            }
            let grouped = joined_groups(entry, &parts).unwrap_or_else(|| {
                GroupedMatrix::quantize_rows(entry.rows(), entry.shape()[1], bits, |row, out| {
                    let (part, row) = part_of(&parts, row);
                    part.decode_row(row, out);
                })
            });
            parts.iter().for_each(|part| part.forget());
            match entry.kind {
                Kind::Table => Weight::Table(Table::Grouped(Arc::new(grouped))),
                _ => Weight::Matrix(Matrix::Grouped(Arc::new(grouped))),
            }
        });
        let weights = Self { schema: Arc::clone(schema), values: values.collect(), precision };
        give_back_program();
        Ok(weights)
    }

    /// The numbers by name, as they stand in a file.
    ///
    /// # Panics
    /// When a weight was packed for inference: packing is one way, and the arrays it came from are what is saved.
    pub fn to_arrays(&self) -> Arrays {
        let mut arrays = Arrays::new();
        for (entry, tensor) in self.tensors() {
            let mut rest = tensor.data();
            for part in &entry.parts {
                let shape = entry.part_shape(part);
                let (numbers, after) = rest.split_at(shape.iter().product());
                arrays.insert(part.name.clone(), Array::plain(shape, numbers.to_vec()));
                rest = after;
            }
        }
        arrays
    }

    /// What was declared.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The matrix `id`.
    pub fn matrix(&self, id: MatrixId) -> &Matrix {
        match &self.values[id.0] {
            Weight::Matrix(matrix) => matrix,
            _ => unreachable!("a MatrixId is only handed out for a matrix"),
        }
    }

    /// The table `id`.
    pub fn table(&self, id: TableId) -> &Table {
        match &self.values[id.0] {
            Weight::Table(table) => table,
            _ => unreachable!("a TableId is only handed out for a table"),
        }
    }

    /// The vector `id`.
    pub fn vector(&self, id: VectorId) -> &Tensor {
        match &self.values[id.0] {
            Weight::Vector(vector) => vector,
            _ => unreachable!("a VectorId is only handed out for a vector"),
        }
    }

    /// A table as a matrix that rows are multiplied with: a head tied to its embedding.
    ///
    /// # Panics
    /// When the table is packed: a model for inference keeps its head as a matrix of its own.
    pub fn projection(&self, id: TableId) -> Matrix {
        match self.table(id) {
            Table::Dense(table) => Matrix::Dense { weight: table.clone(), precision: self.precision },
            Table::Grouped(table) => Matrix::Grouped(Arc::clone(table)),
            Table::Int8 { .. } => panic!("a packed table cannot serve as a head"),
        }
    }

    /// Weights whose dense numbers collect gradients where `train` says so: an optimiser's view of the model.
    #[must_use]
    pub fn tracked(&self, train: impl Fn(&Entry) -> bool) -> Self {
        let values = self.schema.entries().iter().zip(&self.values).map(|(entry, weight)| match weight {
            weight if !train(entry) => weight.clone(),
            Weight::Matrix(Matrix::Dense { weight, precision }) => {
                Weight::Matrix(Matrix::Dense { weight: weight.clone().tracked(), precision: *precision })
            }
            Weight::Table(Table::Dense(table)) => Weight::Table(Table::Dense(table.clone().tracked())),
            Weight::Vector(vector) => Weight::Vector(vector.clone().tracked()),
            packed => packed.clone(),
        });
        Self { schema: Arc::clone(&self.schema), values: values.collect(), precision: self.precision }
    }

    /// The same numbers with every dense matrix packed once for fast inference; training them is no longer possible.
    #[must_use]
    pub fn packed(&self, format: PackedFormat) -> Self {
        let values = self.values.iter().map(|weight| match weight {
            Weight::Matrix(Matrix::Dense { weight, .. }) => {
                let [rows, columns] = [weight.shape()[0], weight.shape()[1]];
                Weight::Matrix(Matrix::Packed(Arc::new(PackedMatrix::pack(weight.data(), rows, columns, format))))
            }
            other => other.clone(),
        });
        Self { schema: Arc::clone(&self.schema), values: values.collect(), precision: self.precision }
    }

    /// The same numbers with every dense matrix and table in groups of few bits, for generation: a head tied to its table stays one with it.
    #[must_use]
    pub fn grouped(&self, bits: Bits) -> Self {
        let grouped = |weight: &Tensor| {
            Arc::new(GroupedMatrix::quantize(weight.data(), weight.shape()[0], weight.shape()[1], bits))
        };
        let values = self.values.iter().map(|weight| match weight {
            Weight::Matrix(Matrix::Dense { weight, .. }) => Weight::Matrix(Matrix::Grouped(grouped(weight))),
            Weight::Table(Table::Dense(table)) => Weight::Table(Table::Grouped(grouped(table))),
            other => other.clone(),
        });
        Self { schema: Arc::clone(&self.schema), values: values.collect(), precision: self.precision }
    }

    /// The memory that all numbers take.
    pub fn bytes(&self) -> usize {
        let bytes = |weight: &Weight| match weight {
            Weight::Matrix(matrix) => matrix.bytes(),
            Weight::Table(table) => table.bytes(),
            Weight::Vector(vector) => size_of_val(vector.data()),
        };
        self.values.iter().map(bytes).sum()
    }

    /// Whether any matrix multiplies the rows of prompts with other bits than those of answers.
    pub fn reads_prompts_apart(&self) -> bool {
        self.values.iter().any(|weight| matches!(weight, Weight::Matrix(matrix) if matrix.reads_prompts_apart()))
    }

    /// What the numbers of its largest matrix are stored as; see [`Matrix::number_type`].
    pub fn number_type(&self) -> &'static str {
        let matrices = self.values.iter().filter_map(|weight| match weight {
            Weight::Matrix(matrix) => Some(matrix),
            _ => None,
        });
        matrices.max_by_key(|matrix| matrix.rows() * matrix.columns()).map_or("float32", Matrix::number_type)
    }

    /// The dense weights in order of declaration.
    ///
    /// # Panics
    /// When a weight is packed.
    pub fn tensors(&self) -> impl Iterator<Item = (&Entry, &Tensor)> {
        self.schema.entries().iter().zip(&self.values).map(|(entry, weight)| match weight {
            Weight::Matrix(Matrix::Dense { weight, .. }) => (entry, weight),
            Weight::Table(Table::Dense(table)) => (entry, table),
            Weight::Vector(vector) => (entry, vector),
            _ => panic!("`{}` is packed: only dense weights can be walked as tensors", entry.name()),
        })
    }

    /// The dense weights, to be changed in place. Where a gradient graph still holds one, changing it copies it first.
    ///
    /// # Panics
    /// When a weight is packed.
    pub fn tensors_mut(&mut self) -> impl Iterator<Item = (&Entry, &mut Tensor)> {
        self.schema.entries().iter().zip(&mut self.values).map(|(entry, weight)| match weight {
            Weight::Matrix(Matrix::Dense { weight, .. }) => (entry, weight),
            Weight::Table(Table::Dense(table)) => (entry, table),
            Weight::Vector(vector) => (entry, vector),
            _ => panic!("`{}` is packed: only dense weights can be changed", entry.name()),
        })
    }

    /// A copy that shares no number with this one.
    #[must_use]
    pub fn detached_copy(&self) -> Self {
        let copy = |tensor: &Tensor| Tensor::from_vec(tensor.shape(), tensor.data());
        let values = self.values.iter().map(|weight| match weight {
            Weight::Matrix(Matrix::Dense { weight, precision }) => {
                Weight::Matrix(Matrix::Dense { weight: copy(weight), precision: *precision })
            }
            Weight::Table(Table::Dense(table)) => Weight::Table(Table::Dense(copy(table))),
            Weight::Vector(vector) => Weight::Vector(copy(vector)),
            packed => packed.clone(),
        });
        Self { schema: Arc::clone(&self.schema), values: values.collect(), precision: self.precision }
    }
}

fn dense(entry: &Entry, numbers: &[f32], precision: Precision) -> Weight {
    let tensor = Tensor::from_vec(entry.shape().as_slice(), numbers);
    match entry.kind {
        Kind::Matrix => Weight::Matrix(Matrix::Dense { weight: tensor, precision }),
        Kind::Table => Weight::Table(Table::Dense(tensor)),
        Kind::Vector => Weight::Vector(tensor),
    }
}

/// A matrix or table whose parts are all groups of codes with the same number of bits.
fn joined_groups(entry: &Entry, parts: &[&Array]) -> Option<GroupedMatrix> {
    if entry.kind == Kind::Vector {
        return None;
    }
    let stored = |part: &&Array| match &part.values {
        Values::Stored(stored) => stored.group_bits(),
        _ => None,
    };
    let kept = |part: &&Array| match &part.values {
        Values::Grouped { bits, .. } => Some(*bits),
        _ => None,
    };
    let shared = |bits: &dyn Fn(&&Array) -> Option<Bits>| {
        let first = bits(parts.first()?)?;
        parts.iter().all(|part| bits(part) == Some(first)).then_some(first)
    };
    let (rows, width) = (entry.rows(), entry.shape()[1]);
    if let Some(bits) = shared(&stored) {
        return Some(GroupedMatrix::from_words(rows, width, bits, |row, scales, words| match part_of(parts, row) {
            (Array { values: Values::Stored(stored), .. }, row) => stored.groups(row, scales, words),
            _ => unreachable!("the parts were just checked"),
        }));
    }
    let bits = shared(&kept)?;
    Some(GroupedMatrix::from_groups(rows, width, bits, |row, group, into| match part_of(parts, row) {
        (Array { values: Values::Grouped { codes, scales, .. }, .. }, row) => {
            into.copy_from_slice(&codes[row * width + group * GROUP..][..GROUP]);
            scales[row * (width / GROUP) + group]
        }
        _ => unreachable!("the parts were just checked"),
    }))
}

/// The part that has a row of the whole, and which of its rows that is.
fn part_of<'a>(parts: &[&'a Array], row: usize) -> (&'a Array, usize) {
    let mut row = row;
    for part in parts {
        if row < part.rows() {
            return (part, row);
        }
        row -= part.rows();
    }
    unreachable!("the parts have as many rows as the entry")
}

fn joined_codes(parts: &[&Array]) -> (Vec<i8>, Vec<f32>) {
    let (mut all_codes, mut all_scales) = (Vec::new(), Vec::new());
    for part in parts {
        if let Values::Int8 { codes, scales } = &part.values {
            all_codes.extend_from_slice(codes);
            all_scales.extend_from_slice(scales);
        }
    }
    (all_codes, all_scales)
}

/// Compares what is declared with what there is.
pub(crate) fn check(schema: &Schema, arrays: &Arrays) -> Result<(), MismatchError> {
    let declared: BTreeMap<&str, Vec<usize>> = schema
        .entries()
        .iter()
        .flat_map(|entry| entry.parts.iter().map(|part| (part.name.as_str(), entry.part_shape(part))))
        .collect();
    let mut error = MismatchError { missing: Vec::new(), unexpected: Vec::new(), misshapen: Vec::new() };
    for (&name, shape) in &declared {
        match arrays.get(name) {
            None => error.missing.push(name.to_owned()),
            Some(array) if array.shape != *shape => {
                error.misshapen.push((name.to_owned(), shape.clone(), array.shape.clone()));
            }
            Some(_) => {}
        }
    }
    error.unexpected = arrays.keys().filter(|name| !declared.contains_key(name.as_str())).cloned().collect();
    if error.missing.is_empty() && error.unexpected.is_empty() && error.misshapen.is_empty() {
        Ok(())
    } else {
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Axis;

    fn schema() -> Arc<Schema> {
        let mut schema = Schema::new();
        let width = Axis::new("width", 3);
        schema.fused_matrix(
            &[("query", Axis::new("heads", 2)), ("key", Axis::new("heads", 2))],
            width.clone(),
            Initial::Normal(1.0),
        );
        schema.vector("gain", width, Initial::Ones);
        Arc::new(schema)
    }

    #[test]
    fn fused_parts_are_saved_apart_and_come_back_together() {
        let weights = Weights::initialise(&schema(), 7, Precision::F32);
        let arrays = weights.to_arrays();
        assert_eq!(arrays.keys().collect::<Vec<_>>(), ["gain", "key", "query"]);
        let back = Weights::from_arrays(&schema(), &arrays, Precision::F32).unwrap();
        assert_eq!(back.to_arrays(), arrays);
        assert_ne!(arrays, Weights::initialise(&schema(), 8, Precision::F32).to_arrays());
    }

    #[test]
    fn all_that_does_not_fit_is_told_at_once() {
        let mut arrays = Weights::initialise(&schema(), 7, Precision::F32).to_arrays();
        arrays.remove("key");
        arrays.insert("bias".into(), Array::plain(vec![1], vec![0.0]));
        arrays.insert("gain".into(), Array::plain(vec![2], vec![0.0; 2]));
        let error = Weights::from_arrays(&schema(), &arrays, Precision::F32).err().unwrap();
        assert_eq!(error.missing, ["key"]);
        assert_eq!(error.unexpected, ["bias"]);
        assert_eq!(error.misshapen, [("gain".to_owned(), vec![3], vec![2])]);
    }
}
