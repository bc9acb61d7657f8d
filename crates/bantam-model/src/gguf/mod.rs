//! GGUF: the model files of ggml and llama.cpp, read and written.
//!
//! A file is a header, metadata (typed values by key), a list of tensors, and the tensors' bytes. [`Gguf`] reads it from
//! borrowed bytes, so a memory map is read without a copy; [`write()`] makes one. [`blocks`] holds the number formats.
//! Specification: `docs/gguf.md` of the ggml project, version 3.

pub mod blocks;
mod cursor;
mod error;
mod formats;
mod metadata;
mod reader;
mod value;
mod writer;

pub use error::{FileError, GgufError};
pub use formats::TensorFormat;
pub use metadata::Metadata;
pub use reader::{Gguf, GgufTensor};
pub use value::{List, Value};
pub use writer::{NewTensor, write};
