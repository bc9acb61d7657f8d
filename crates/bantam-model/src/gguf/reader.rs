//! Reads a GGUF file from its bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bantam_kernels::memory::Mapped;

use super::cursor::Cursor;
use super::error::GgufError;
use super::formats::{TensorFormat, known_name};
use super::metadata::Metadata;
use super::value::Value;
use crate::arrays::{Array, Values};
use crate::stored::Stored;

/// The letters that begin every file.
pub(super) const MAGIC: [u8; 4] = *b"GGUF";
/// The multiple at which tensors begin, where `general.alignment` does not say otherwise.
pub(super) const ALIGNMENT: usize = 32;
/// The key that says it.
pub(super) const ALIGNMENT_KEY: &str = "general.alignment";
const MOST_DIMENSIONS: u32 = 4;
const LONGEST_KEY_BYTES: usize = 65_535;
const LONGEST_NAME_BYTES: usize = 64;

/// A GGUF file, checked whole; the tensors' bytes stay where they are.
#[derive(Debug, Clone)]
pub struct Gguf<'a> {
    version: u32,
    metadata: Metadata,
    tensors: BTreeMap<String, GgufTensor<'a>>,
}

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufTensor<'a> {
    /// Dimensions, outermost first (a file has them the other way round): `[rows, columns]` for a matrix.
    pub shape: Vec<usize>,
    /// How the numbers are stored.
    pub format: TensorFormat,
    /// The stored numbers: as many whole blocks as the shape has, row after row.
    pub bytes: &'a [u8],
}

impl GgufTensor<'_> {
    /// The numbers, decoded.
    pub fn to_array(&self) -> Array {
        Array::plain(self.shape.clone(), self.format.decode(self.bytes))
    }

    /// A matrix whose numbers stay in `file`, whose bytes these are; a vector is decoded.
    pub fn to_stored_array(&self, file: &Arc<Mapped>) -> Array {
        match self.shape[..] {
            [_, columns] => match Stored::new(file, self.bytes, self.format, columns) {
                Some(stored) => Array { shape: self.shape.clone(), values: Values::Stored(stored) },
                None => self.to_array(),
            },
            _ => self.to_array(),
        }
    }
}

/// A tensor as the list before the data describes it.
struct Listed {
    name: String,
    shape: Vec<usize>,
    format: TensorFormat,
    offset: u64,
    bytes: usize,
}

impl<'a> Gguf<'a> {
    /// Reads the bytes of a whole file. Memory beyond `bytes` is only taken for metadata and names.
    ///
    /// # Errors
    /// Names the place and what is wrong there: cut-off files, sizes that overflow or reach beyond the file, tensors
    /// that overlap or are misaligned, repeated keys and names, text that is not UTF-8, unknown types and versions.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GgufError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(GgufError::Magic { found: bytes[..bytes.len().min(4)].to_vec() });
        }
        let mut cursor = Cursor::new(bytes);
        cursor.take(4, "the first letters")?;
        let version = cursor.u32("the version")?;
        match version {
            2 | 3 => {}
            _ if (1..=3).contains(&version.swap_bytes()) => return Err(GgufError::BigEndian),
            found => return Err(GgufError::Version { found }),
        }
        let tensor_count = cursor.u64("the number of tensors")?;
        let value_count = cursor.u64("the number of metadata")?;
        let metadata = read_metadata(&mut cursor, value_count)?;
        let alignment = alignment(&metadata)?;
        let listed = (0..tensor_count).map(|_| read_listed(&mut cursor)).collect::<Result<Vec<_>, _>>()?;
        // A file without tensors need not be filled up to where they would begin.
        let data = cursor.at().checked_next_multiple_of(alignment).and_then(|start| bytes.get(start..)).unwrap_or(&[]);
        let tensors = place(listed, data, alignment)?;
        Ok(Self { version, metadata, tensors })
    }

    /// The version of the format, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The values by key.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The values by key, without the rest of the file.
    pub fn into_metadata(self) -> Metadata {
        self.metadata
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, GgufTensor<'a>> {
        &self.tensors
    }
}

fn read_metadata(cursor: &mut Cursor, count: u64) -> Result<Metadata, GgufError> {
    let mut metadata = Metadata::new();
    for _ in 0..count {
        let key = cursor.text("a key of the metadata")?;
        if key.is_empty() || key.len() > LONGEST_KEY_BYTES {
            return Err(GgufError::damaged("a key of the metadata", format!("it has {} bytes", key.len())));
        }
        let value = Value::read(cursor, key)?;
        if metadata.get(key).is_some() {
            return Err(GgufError::damaged(key, "the key is there twice"));
        }
        metadata.insert(key, value);
    }
    Ok(metadata)
}

fn alignment(metadata: &Metadata) -> Result<usize, GgufError> {
    match metadata.get(ALIGNMENT_KEY) {
        None => Ok(ALIGNMENT),
        Some(Value::U32(number)) if number.is_power_of_two() => Ok(*number as usize),
        Some(other) => Err(GgufError::damaged(ALIGNMENT_KEY, format!("{other:?} is no 32-bit power of two"))),
    }
}

fn read_listed(cursor: &mut Cursor) -> Result<Listed, GgufError> {
    let name = cursor.text("the name of a tensor")?.to_owned();
    if name.is_empty() || name.len() > LONGEST_NAME_BYTES {
        return Err(GgufError::damaged("the name of a tensor", format!("{name:?} has {} bytes", name.len())));
    }
    let place = format!("tensor `{name}`");
    let dimensions = cursor.u32(&place)?;
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return Err(GgufError::damaged(place, format!("{dimensions} dimensions, where 1 to {MOST_DIMENSIONS} can be")));
    }
    let sizes = cursor.items::<8>(dimensions.into(), &place)?.iter().rev().map(|&size| u64::from_le_bytes(size));
    let shape: Option<Vec<usize>> = sizes.map(|size| usize::try_from(size).ok()).collect();
    let number = cursor.u32(&place)?;
    let offset = cursor.u64(&place)?;
    let Some(format) = TensorFormat::from_number(number) else {
        return Err(GgufError::Format { name, number, called: known_name(number) });
    };
    let size = shape.and_then(|shape| Some((bytes_of(&shape, format)?, shape)));
    let Some((bytes, shape)) = size else {
        return Err(GgufError::damaged(place, "its dimensions multiply to more than can be counted"));
    };
    let columns = shape[shape.len() - 1];
    if !columns.is_multiple_of(format.block_len()) {
        let (block, format) = (format.block_len(), format.name());
        return Err(GgufError::damaged(
            place,
            format!("rows of {columns} numbers are no whole {format} blocks of {block}"),
        ));
    }
    Ok(Listed { name, shape, format, offset, bytes })
}

/// The bytes of a tensor, `None` when they cannot be counted.
fn bytes_of(shape: &[usize], format: TensorFormat) -> Option<usize> {
    // An empty dimension hides others that overflow, so that each is counted as one at least.
    shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size.max(1)))?.checked_mul(4)?;
    let numbers: usize = shape.iter().product();
    (numbers / format.block_len()).checked_mul(format.block_bytes())
}

/// Finds each tensor's bytes in `data`.
fn place<'a>(
    mut listed: Vec<Listed>,
    data: &'a [u8],
    alignment: usize,
) -> Result<BTreeMap<String, GgufTensor<'a>>, GgufError> {
    listed.sort_by_key(|tensor| (tensor.offset, tensor.bytes));
    let mut tensors = BTreeMap::new();
    let (mut end, mut before) = (0, String::new());
    for Listed { name, shape, format, offset, bytes } in listed {
        let place = || format!("tensor `{name}`");
        if !offset.is_multiple_of(alignment as u64) {
            return Err(GgufError::damaged(place(), format!("it begins at {offset}, no multiple of {alignment}")));
        }
        let found = usize::try_from(offset).ok().and_then(|start| data.get(start..)?.get(..bytes));
        let Some(found) = found else {
            let problem = format!(
                "its {bytes} bytes from {offset} reach beyond the {} bytes of all tensors: the file is cut off",
                data.len()
            );
            return Err(GgufError::damaged(place(), problem));
        };
        // Overlaps would let a small file ask for much memory.
        if offset < end {
            return Err(GgufError::damaged(place(), format!("it overlaps tensor `{before}`")));
        }
        (end, before) = (offset + bytes as u64, name.clone());
        if tensors.insert(name.clone(), GgufTensor { shape, format, bytes: found }).is_some() {
            return Err(GgufError::damaged(place(), "the name is there twice"));
        }
    }
    Ok(tensors)
}
