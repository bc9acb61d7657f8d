//! GGUF: the model files of ggml and llama.cpp, read and written.
//!
//! A file is a header, metadata (typed values by key), a list of tensors, and the tensors' bytes. [`Gguf`] reads it from
//! borrowed bytes, so a memory map is read without a copy; [`write()`] makes one. [`blocks`] holds the number formats.
//! [`llama_of`] and [`write_llama`] go from a file to a Llama and back. Specification: `docs/gguf.md`
//! of the ggml project, version 3.

pub mod blocks;
mod cursor;
mod error;
mod file;
mod formats;
mod metadata;
mod model;
mod names;
mod reader;
mod value;
mod vocabulary;
mod writer;

pub use error::{FileError, GgufError};
pub(crate) use file::{assemble, dense};
pub use file::{read_grouped_predictor, read_predictor, read_tokenizer, write_predictor};
pub use formats::TensorFormat;
pub use metadata::Metadata;
pub use model::{llama_of, stored_llama_of, write_llama};
pub use reader::{Gguf, GgufTensor};
pub use value::{List, Value};
pub use vocabulary::vocabulary_of;
pub use writer::{NewTensor, write};
