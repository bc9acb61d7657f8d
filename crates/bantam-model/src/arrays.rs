//! Named numbers as they stand in a file: the form in which weights are loaded, saved, pruned and quantised.
//!
//! The file format is safetensors. An int8 array `name` comes with its row scales as `name.scales`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bantam_kernels::gemm::grouped::{Bits, GROUP};
use bantam_kernels::memory::Mapped;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::gguf::TensorFormat;
use crate::stored::Stored;

/// The suffix of the array that holds the row scales of an int8 array.
const SCALES: &str = ".scales";

/// The numbers of one array.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Plain numbers.
    F32(Vec<f32>),
    /// `value[r][c] = codes[r][c] * scales[r]`.
    Int8 {
        /// Row-major codes, -127..=127.
        codes: Vec<i8>,
        /// One scale per row.
        scales: Vec<f32>,
    },
    /// Whole groups of 32 numbers in each row, with a scale each: `value = code * scale of its group`.
    Grouped {
        /// How many bits a code has; it is kept in a byte all the same.
        bits: Bits,
        /// Row-major codes.
        codes: Vec<i8>,
        /// One scale per group, row by row.
        scales: Vec<f16>,
    },
    /// Numbers that are still in their file.
    Stored(Stored),
}

/// Numbers with their shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The numbers, row-major.
    pub values: Values,
}

impl Array {
    /// A plain array.
    pub fn plain(shape: Vec<usize>, values: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "shape {shape:?} against {} numbers", values.len());
        Self { shape, values: Values::F32(values) }
    }

    /// Rows: the first dimension.
    pub fn rows(&self) -> usize {
        self.shape[0]
    }

    /// Numbers in one row.
    pub fn row_len(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// Numbers in all.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no numbers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the numbers and their scales.
    pub fn bytes(&self) -> usize {
        match &self.values {
            Values::F32(values) => values.len() * 4,
            Values::Int8 { codes, scales } => codes.len() + scales.len() * 4,
            Values::Grouped { codes, scales, .. } => codes.len() + scales.len() * 2,
            Values::Stored(stored) => stored.bytes(),
        }
    }

    /// The numbers as f32, decoded where they are packed.
    pub fn to_f32(&self) -> Vec<f32> {
        if let Values::F32(values) = &self.values {
            return values.clone();
        }
        let mut all = vec![0.0; self.len()];
        let rows = all.chunks_exact_mut(self.row_len().max(1));
        rows.enumerate().for_each(|(row, out)| self.decode_row(row, out));
        all
    }

    /// Gives back what memory a file's numbers take, where they are still in it.
    pub(crate) fn forget(&self) {
        if let Values::Stored(stored) = &self.values {
            stored.forget();
        }
    }

    /// Writes the numbers of a row to `out`, decoded where they are packed.
    pub(crate) fn decode_row(&self, row: usize, out: &mut [f32]) {
        let width = self.row_len();
        let decode = |codes: &[i8], scale: f32, out: &mut [f32]| {
            out.iter_mut().zip(codes).for_each(|(out, &code)| *out = f32::from(code) * scale);
        };
        match &self.values {
            Values::F32(values) => out.copy_from_slice(&values[row * width..][..width]),
            Values::Int8 { codes, scales } => decode(&codes[row * width..][..width], scales[row], out),
            Values::Grouped { codes, scales, .. } => {
                let groups = codes[row * width..][..width].chunks(GROUP).zip(&scales[row * (width / GROUP)..]);
                groups.zip(out.chunks_mut(GROUP)).for_each(|((codes, scale), out)| decode(codes, scale.to_f32(), out));
            }
            Values::Stored(stored) => stored.decode(row, out),
        }
    }

    /// The rows `keep`, in that order.
    #[must_use]
    pub fn select_rows(&self, keep: &[usize]) -> Self {
        let width = self.row_len();
        let mut shape = self.shape.clone();
        shape[0] = keep.len();
        let values = match &self.values {
            Values::F32(values) => {
                Values::F32(keep.iter().flat_map(|&r| values[r * width..(r + 1) * width].iter().copied()).collect())
            }
            Values::Int8 { codes, scales } => Values::Int8 {
                codes: keep.iter().flat_map(|&r| codes[r * width..(r + 1) * width].iter().copied()).collect(),
                scales: keep.iter().map(|&r| scales[r]).collect(),
            },
            Values::Grouped { bits, codes, scales } => Values::Grouped {
                bits: *bits,
                codes: keep.iter().flat_map(|&r| codes[r * width..(r + 1) * width].iter().copied()).collect(),
                scales: keep
                    .iter()
                    .flat_map(|&r| scales[r * width / GROUP..(r + 1) * width / GROUP].iter().copied())
                    .collect(),
            },
            Values::Stored(stored) => Values::Stored(stored.select_rows(keep)),
        };
        Self { shape, values }
    }

    /// The columns `keep` of a two-dimensional array, in that order. Row scales of an int8 array stay as they are; groups and what is in a file are decoded.
    #[must_use]
    pub fn select_columns(&self, keep: &[usize]) -> Self {
        let width = self.row_len();
        let values = match &self.values {
            Values::F32(values) => {
                Values::F32(values.chunks(width).flat_map(|row| keep.iter().map(|&c| row[c])).collect())
            }
            Values::Int8 { codes, scales } => Values::Int8 {
                codes: codes.chunks(width).flat_map(|row| keep.iter().map(|&c| row[c])).collect(),
                scales: scales.clone(),
            },
            Values::Grouped { .. } | Values::Stored(_) => {
                return Self::plain(self.shape.clone(), self.to_f32()).select_columns(keep);
            }
        };
        Self { shape: vec![self.shape[0], keep.len()], values }
    }
}

/// Arrays by name, in the order of their names.
pub type Arrays = BTreeMap<String, Array>;

/// Why safetensors bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ArraysError {
    /// The container itself is broken.
    #[error("not a readable safetensors file ({0}); copy or download it again")]
    Container(#[from] safetensors::SafeTensorError),
    /// A number type that models do not use.
    #[error("array `{name}` has type {found}, and only F32, F16, BF16 and I8 weights can be read; convert it first")]
    Type {
        /// The array.
        name: String,
        /// Its type, as safetensors names it.
        found: String,
    },
    /// An int8 array without scales that fit.
    #[error(
        "int8 array `{name}` has no array `{name}.scales` with one F32 number per row; write the file again with `bantam quantize`"
    )]
    Scales {
        /// The array.
        name: String,
    },
}

/// Reads all arrays of a safetensors file, widening half-precision numbers to f32.
///
/// # Errors
/// When the container is damaged, or an array has a type that weights never have.
pub fn read_safetensors(bytes: &[u8]) -> Result<Arrays, ArraysError> {
    read(bytes, &|_| None)
}

/// [`read_safetensors`] with matrices of plain numbers that stay in the file.
///
/// # Errors
/// As [`read_safetensors`].
pub fn stored_safetensors(file: &Arc<Mapped>) -> Result<Arrays, ArraysError> {
    read(file, &|view| {
        let format = match view.dtype() {
            Dtype::F32 => TensorFormat::F32,
            Dtype::F16 => TensorFormat::F16,
            Dtype::BF16 => TensorFormat::Bf16,
            _ => return None,
        };
        let &[_, columns] = view.shape() else { return None };
        Stored::new(file, view.data(), format, columns).map(Values::Stored)
    })
}

fn read(bytes: &[u8], stored: &dyn Fn(&TensorView<'_>) -> Option<Values>) -> Result<Arrays, ArraysError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut arrays = Arrays::new();
    for (name, view) in file.iter() {
        if name.ends_with(SCALES) && file.tensor(name.trim_end_matches(SCALES)).is_ok_and(|v| v.dtype() == Dtype::I8) {
            continue;
        }
        let values = match view.dtype() {
            _ if let Some(values) = stored(&view) => values,
            Dtype::F32 => Values::F32(read_f32(view.data())),
            Dtype::F16 => Values::F32(read_pairs(view.data(), |b| f16::from_le_bytes(b).to_f32())),
            Dtype::BF16 => Values::F32(read_pairs(view.data(), |b| bf16::from_le_bytes(b).to_f32())),
            // Position ids and the like, which some old checkpoints carry: never weights, so they are passed over.
            Dtype::I64 | Dtype::I32 | Dtype::BOOL => continue,
            Dtype::I8 => {
                let scales = file
                    .tensor(&format!("{name}{SCALES}"))
                    .ok()
                    .filter(|scales| scales.dtype() == Dtype::F32 && view.shape().first() == scales.shape().first())
                    .map(|scales| read_f32(scales.data()))
                    .filter(|scales| view.shape().first() == Some(&scales.len()))
                    .ok_or_else(|| ArraysError::Scales { name: name.to_owned() })?;
                Values::Int8 { codes: view.data().iter().map(|&b| b.cast_signed()).collect(), scales }
            }
            other => return Err(ArraysError::Type { name: name.to_owned(), found: format!("{other:?}") }),
        };
        arrays.insert(name.to_owned(), Array { shape: view.shape().to_vec(), values });
    }
    Ok(arrays)
}

/// Writes arrays as the bytes of a safetensors file; the same arrays give the same bytes. Groups, which the format has no type for, are decoded.
pub fn write_safetensors(arrays: &Arrays) -> Vec<u8> {
    let mut blobs: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, array) in arrays {
        match &array.values {
            Values::F32(values) => blobs.push((name.clone(), Dtype::F32, array.shape.clone(), f32_bytes(values))),
            Values::Grouped { .. } | Values::Stored(_) => {
                blobs.push((name.clone(), Dtype::F32, array.shape.clone(), f32_bytes(&array.to_f32())));
            }
            Values::Int8 { codes, scales } => {
                let bytes = codes.iter().map(|&code| code.cast_unsigned()).collect();
                blobs.push((name.clone(), Dtype::I8, array.shape.clone(), bytes));
                blobs.push((format!("{name}{SCALES}"), Dtype::F32, vec![scales.len()], f32_bytes(scales)));
            }
        }
    }
    let views = blobs.iter().map(|(name, dtype, shape, bytes)| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).expect("the byte count follows from the shape"))
    });
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize(views, Some(metadata)).expect("views are consistent by construction")
}

fn read_f32(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

fn read_pairs(bytes: &[u8], decode: impl Fn([u8; 2]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<2>().0.iter().map(|&b| decode(b)).collect()
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Arrays {
        let mut arrays = Arrays::new();
        arrays.insert("plain".into(), Array::plain(vec![2, 3], vec![1.0, -2.0, 3.5, 0.0, 5.0, 6.25]));
        let values = Values::Int8 { codes: vec![1, -127, 3, 4], scales: vec![0.5, 0.25] };
        arrays.insert("packed".into(), Array { shape: vec![2, 2], values });
        arrays
    }

    #[test]
    fn written_arrays_read_back_equal_and_bytes_are_stable() {
        let bytes = write_safetensors(&sample());
        assert_eq!(read_safetensors(&bytes).unwrap(), sample());
        assert_eq!(bytes, write_safetensors(&sample()));
    }

    #[test]
    fn every_truncation_and_a_missing_scale_is_an_error() {
        let bytes = write_safetensors(&sample());
        for len in 0..bytes.len() {
            assert!(read_safetensors(&bytes[..len]).is_err(), "{len} bytes were accepted");
        }
        let view = TensorView::new(Dtype::I8, vec![2], &[1, 2]).unwrap();
        let bytes = safetensors::serialize([("lonely", view)], None).unwrap();
        let message = read_safetensors(&bytes).unwrap_err().to_string();
        assert!(message.contains("lonely.scales"), "{message}");
    }

    #[test]
    fn selection_keeps_rows_columns_and_scales_together() {
        let packed = &sample()["packed"];
        assert_eq!(packed.to_f32(), [0.5, -63.5, 0.75, 1.0]);
        assert_eq!(packed.select_rows(&[1]).to_f32(), [0.75, 1.0]);
        assert_eq!(packed.select_columns(&[1]).to_f32(), [-63.5, 1.0]);
        assert_eq!(sample()["plain"].select_columns(&[2, 0]).to_f32(), [3.5, 1.0, 6.25, 0.0]);
    }
}
