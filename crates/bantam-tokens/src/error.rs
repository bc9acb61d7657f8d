//! The ways in which a tokenizer can be refused.

use std::path::PathBuf;

/// Why a tokenizer could not be read, written or trained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted: `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The bytes are not JSON.
    #[error(
        "{} is not JSON (line {line}, column {column}: {reason}); fetch the file again: it may be cut off",
        place(path.as_ref())
    )]
    NotJson {
        /// The file, when there is one.
        path: Option<PathBuf>,
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
        /// What the parser expected.
        reason: String,
    },
    /// JSON or bytes of another kind than `tokenizer.json`.
    #[error("{} is {found}, not a Hugging Face tokenizer.json; {remedy}", place(path.as_ref()))]
    Foreign {
        /// The file, when there is one.
        path: Option<PathBuf>,
        /// What it looks like.
        found: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A `tokenizer.json` that contradicts itself or uses an unknown part.
    #[error("{} cannot be used as a tokenizer: {reason}", place(path.as_ref()))]
    Refused {
        /// The file, when there is one.
        path: Option<PathBuf>,
        /// What is wrong in it, naming the key.
        reason: String,
    },
    /// The training texts hold no word.
    #[error("there is no text to train a tokenizer on; give at least one text with a letter or a digit in it")]
    NoText,
    /// The vocabulary asked for cannot hold the smallest pieces.
    #[error(
        "a vocabulary of {wanted} is too small: special tokens and single characters need {least}; ask for {least} or more"
    )]
    VocabularyTooSmall {
        /// What was asked for.
        wanted: usize,
        /// The least that works for these texts.
        least: usize,
    },
    /// The training options contradict themselves.
    #[error("special token {token:?} is named twice; give each role its own text")]
    RepeatedSpecial {
        /// The repeated token.
        token: String,
    },
    /// An id to keep that the vocabulary does not have.
    #[error("token id {id} is outside the vocabulary of {vocabulary}; keep only ids that this tokenizer produces")]
    UnknownId {
        /// The id.
        id: u32,
        /// How many ids there are.
        vocabulary: usize,
    },
}

/// Names the file, or says that the bytes came from memory.
fn place(path: Option<&PathBuf>) -> String {
    path.map_or_else(|| "the tokenizer".to_owned(), |path| path.display().to_string())
}
