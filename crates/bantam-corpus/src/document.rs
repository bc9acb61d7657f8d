//! A document: a text with its label, and where it came from.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;

/// One text of a corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its name: the `id` field of the file if there is one, else `file:line`.
    pub id: String,
    /// The text.
    pub text: String,
    /// Its class, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Where it came from.
    pub source: Source,
}

/// The place of a document in the files that were read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// The file, as it was named to the reader.
    pub file: String,
    /// Its line, from 1; for a record over several lines, the first.
    pub line: u64,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file, self.line)
    }
}

/// Writes documents as JSON lines, whole or not at all.
///
/// # Errors
/// [`Error::Write`].
pub fn save(path: impl AsRef<Path>, documents: &[Document]) -> Result<(), Error> {
    let mut bytes = Vec::new();
    for document in documents {
        serde_json::to_writer(&mut bytes, document).expect("a document is plain data");
        bytes.push(b'\n');
    }
    Ok(bantam_artifact::write_atomic(path.as_ref(), &bytes)?)
}

/// Reads what [`save`] wrote, with the sources that it recorded.
///
/// # Errors
/// [`Error::Read`], [`Error::BadJson`].
pub fn load(path: impl AsRef<Path>) -> Result<Vec<Document>, Error> {
    let path = path.as_ref();
    let text = std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let lines = text.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(index, line)| {
            serde_json::from_slice(line).map_err(|fault| Error::BadJson {
                path: path.into(),
                line: index as u64 + 1,
                column: fault.column(),
                reason: fault.to_string(),
            })
        })
        .collect()
}
