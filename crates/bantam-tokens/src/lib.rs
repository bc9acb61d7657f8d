//! Text to token ids and back; trains tokenizers; hashed text features.
//!
//! A [`Tokenizer`] is a Hugging Face `tokenizer.json` in memory: trained here ([`Tokenizer::train`]) or read from a
//! foreign model ([`Tokenizer::load`], [`Tokenizer::from_gguf`]). Encoding takes a text and a length limit and cannot fail: all that could go
//! wrong is refused when the tokenizer is loaded. [`Tokenizer::restrict`] cuts the vocabulary down to what a domain
//! uses. [`features`] holds what needs no vocabulary at all: words and hashed n-grams.
//!
//! This crate knows nothing of models, batches or files other than `tokenizer.json`.

mod encoding;
mod engine;
mod error;
pub mod features;
mod gguf;
mod marks;
mod pack;
mod pairs;
mod restrict;
mod special;
mod token_bytes;
mod tokenizer;
mod train;
mod word_cache;

pub use encoding::{Encoding, Shorten};
pub use error::Error;
pub use features::{NgramHasher, words};
pub use gguf::{GgufTokenKind, GgufVocabulary};
pub use marks::{AddedToken, Piece};
pub use pack::pack;
pub use restrict::Restricted;
pub use special::{SpecialIds, SpecialTokens};
pub use token_bytes::TokenBytes;
pub use tokenizer::Tokenizer;
pub use train::{Kind, Normalisation, TrainOptions};
