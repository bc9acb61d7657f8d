//! The ways in which a GGUF file can be refused.

use std::path::PathBuf;

/// Why bytes are not a GGUF file that can be used. [`FileError`] adds the file's name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GgufError {
    /// The first four bytes are not `GGUF`.
    #[error("not a GGUF file: it begins with {found:02x?}, not with the letters GGUF; pass another file")]
    Magic {
        /// The first bytes, at most four.
        found: Vec<u8>,
    },
    /// Numbers are stored with the most significant byte first.
    #[error("a big-endian GGUF file, and only little-endian ones are read; convert it with gguf-convert-endian first")]
    BigEndian,
    /// A version of the format that is not known.
    #[error("GGUF version {found}, and only versions 2 and 3 are read; convert the model again with a current program")]
    Version {
        /// The version in the header.
        found: u32,
    },
    /// The file ends too early.
    #[error("cut off: {place} at byte {at} needs {needed} bytes, and {left} are left; copy or download the file again")]
    Truncated {
        /// What was being read.
        place: String,
        /// Where it begins.
        at: usize,
        /// How many bytes it needs.
        needed: u64,
        /// How many there are.
        left: usize,
    },
    /// A part of the file holds what it cannot hold.
    #[error("{place}: {problem}; {remedy}")]
    Damaged {
        /// The key, the tensor or the part of the header.
        place: String,
        /// What is wrong there.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A tensor of a number format that is not known here.
    #[error(
        "tensor `{name}` has type {number}{}, which is not read here; quantise the model again as F32, F16, BF16, Q8_0, \
         Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K", called.map_or_else(String::new, |name| format!(" ({name})"))
    )]
    Format {
        /// The tensor.
        name: String,
        /// The number of the type in the file.
        number: u32,
        /// What ggml calls it, where that is known.
        called: Option<&'static str>,
    },
    /// Metadata that a model must have, and has not.
    #[error("the metadata have no `{key}`; convert the model again with a current program")]
    Missing {
        /// The key.
        key: String,
    },
    /// Metadata of another type than the key has.
    #[error("`{key}` is {found}, and should be {expected}; convert the model again with a current program")]
    Kind {
        /// The key.
        key: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A model that is not computed here.
    #[error("{what} is not supported here; supported: {supported}")]
    Unsupported {
        /// The key and its value.
        what: String,
        /// What would be.
        supported: &'static str,
    },
    /// The tensors do not fit the sizes in the metadata.
    #[error(transparent)]
    Mismatch(#[from] crate::MismatchError),
    /// The vocabulary in the metadata is not one.
    #[error("the vocabulary: {0}")]
    Vocabulary(String),
    /// Numbers that the chosen format cannot hold.
    #[error("tensor `{name}` cannot be written as {format}: {problem}")]
    Unfit {
        /// The tensor.
        name: String,
        /// The chosen format.
        format: &'static str,
        /// Why not, and what to do.
        problem: String,
    },
}

impl GgufError {
    /// A fault that only a fresh copy of the file heals.
    pub(crate) fn damaged(place: impl Into<String>, problem: impl Into<String>) -> Self {
        let remedy = "the file is damaged or was written wrongly: fetch or convert it again";
        GgufError::Damaged { place: place.into(), problem: problem.into(), remedy }
    }
}

/// Why a model file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The bytes are not a model that can be used.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: GgufError,
    },
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] bantam_artifact::Error),
}
