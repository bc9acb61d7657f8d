//! Writes a GGUF file, version 3.

use super::error::GgufError;
use super::formats::TensorFormat;
use super::metadata::Metadata;
use super::reader::{ALIGNMENT, ALIGNMENT_KEY, Gguf, MAGIC};
use super::value::put_text;
use crate::arrays::Array;

/// A tensor to be written.
#[derive(Debug, Clone)]
pub struct NewTensor<'a> {
    /// Its name, 1 to 64 bytes.
    pub name: String,
    /// Its numbers, with 1 to 4 dimensions.
    pub array: &'a Array,
    /// How the numbers are stored.
    pub format: TensorFormat,
}

/// The bytes of a file with these metadata and tensors, in the order given. The same input gives the same bytes.
///
/// # Errors
/// When a format cannot hold the numbers, a name is used twice or is too long, or a tensor has too many dimensions.
pub fn write(metadata: &Metadata, tensors: &[NewTensor]) -> Result<Vec<u8>, GgufError> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&3_u32.to_le_bytes());
    let values: Vec<_> = metadata.iter().filter(|(key, _)| *key != ALIGNMENT_KEY).collect();
    for count in [tensors.len(), values.len()] {
        out.extend_from_slice(&(count as u64).to_le_bytes());
    }
    for (key, value) in values {
        put_text(&mut out, key);
        value.write(&mut out);
    }
    let mut data: Vec<u8> = Vec::new();
    for NewTensor { name, array, format } in tensors {
        data.resize(data.len().next_multiple_of(ALIGNMENT), 0);
        put_text(&mut out, name);
        out.extend_from_slice(&(array.shape.len() as u32).to_le_bytes());
        for &size in array.shape.iter().rev() {
            out.extend_from_slice(&(size as u64).to_le_bytes());
        }
        out.extend_from_slice(&format.number().to_le_bytes());
        out.extend_from_slice(&(data.len() as u64).to_le_bytes());
        data.extend(format.encode_array(name, array)?);
    }
    data.resize(data.len().next_multiple_of(ALIGNMENT), 0);
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    out.extend(data);
    // What the reader refuses must not be written: names and dimensions are checked by the same rules.
    Gguf::parse(&out)?;
    Ok(out)
}
