//! From files to documents.
//!
//! A file's kind is told by its name: `.jsonl` (also `.ndjson`, `.json` with an object per line), `.csv`, `.tsv`,
//! `.txt` (also `.text`, `.md`), each also compressed (`.gz`, `.zst`), in UTF-8, or in UTF-16 with a byte order mark. A folder is read with all such files below it,
//! sorted by path. Reading streams: one record at a time, none longer than a limit.

mod benchmarks;
mod encoding;
mod fields;
mod jsonl;
mod line_starts;
mod lines;
mod plain;
mod sample;
mod separator;
mod table;

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use benchmarks::{Benchmark, Imported, OUT_OF_SCOPE, import};
pub use fields::{find_field, usual_labels, usual_texts};
pub use sample::{Field, sample};
use table::Table;

use crate::{Document, Error, Source};

/// How files are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadOptions {
    /// Name of the field that holds the text; `None`: the first of the usual names that is there (`text`, `utterance`,
    /// `question`, `sentence`, `message`, ...).
    pub text: Option<String>,
    /// Name of the field that holds the label; `None`: the first of the usual names (`label`, `intent`, `category`,
    /// `class`, ...), or no label. A field named here must be there.
    pub label: Option<String>,
    /// Whether labels are passed over, whatever they are.
    #[serde(skip)]
    pub ignores_labels: bool,
    /// What a text without a label is where labels are learnt.
    pub empty_labels: EmptyLabels,
    /// Most bytes of one record; more is an error that names the line.
    pub max_bytes: usize,
    /// What one document of a plain text file is.
    pub plain: Plain,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            text: None,
            label: None,
            ignores_labels: false,
            empty_labels: EmptyLabels::Refused,
            max_bytes: 1_000_000,
            plain: Plain::Lines,
        }
    }
}

/// What a text without a label is where labels are learnt. The readers give it without one; whoever learns decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmptyLabels {
    /// An error.
    #[default]
    Refused,
    /// Unlabelled text, as if it stood in a file of its own.
    Unlabelled,
}

/// What one document of a plain text file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plain {
    /// Each line; blank ones are passed over.
    #[default]
    Lines,
    /// The whole file.
    Files,
}

/// Documents of one file, one at a time. After an error it ends.
pub type Documents = Box<dyn Iterator<Item = Result<Document, Error>> + Send>;

/// Reads a file or all known files below a folder.
///
/// # Errors
/// The first that occurs; [`Error::Empty`] if there is no document at all.
pub fn read(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Vec<Document>, Error> {
    let path = path.as_ref();
    let mut documents = Vec::new();
    for file in files(path)? {
        for document in open(&file, options)? {
            documents.push(document?);
        }
    }
    if documents.is_empty() { Err(Error::Empty { path: path.into() }) } else { Ok(documents) }
}

/// Opens one file; its documents come as they are asked for.
///
/// # Errors
/// [`Error::Read`], [`Error::UnknownFormat`], and for tables what is wrong with their header.
pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Documents, Error> {
    let path = path.as_ref();
    let kind = Kind::of(path).ok_or_else(|| Error::UnknownFormat { path: path.into() })?;
    let place = Place::new(path);
    let bytes = decompressed(path)?;
    Ok(match kind {
        Kind::JsonLines => Box::new(jsonl::documents(place, bytes, options)),
        Kind::Comma => Box::new(table::documents(Table::csv(place, bytes, options.max_bytes)?, options)?),
        Kind::Tab => Box::new(table::documents(Table::tsv(place, bytes, options.max_bytes)?, options)?),
        Kind::Plain => Box::new(plain::documents(place, bytes, options)),
    })
}

/// `path` itself, or the files of known kinds below it, sorted. Hidden files, READMEs and licences are no data.
fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let fail = |source| Error::Read { path: path.into(), source };
    if !fs::metadata(path).map_err(fail)?.is_dir() {
        return Ok(vec![path.into()]);
    }
    let (mut open, mut found) = (vec![path.to_path_buf()], Vec::new());
    while let Some(folder) = open.pop() {
        let fail = |source| Error::Read { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_string_lossy().to_lowercase();
            let data = ![".", "readme", "license", "licence"].iter().any(|prefix| name.starts_with(prefix));
            // A link to a folder is not followed: it could lead round in a circle.
            match entry.file_type().map_err(fail)?.is_dir() {
                true if data => open.push(entry.path()),
                false if data && Kind::of(&entry.path()).is_some() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

#[derive(Clone, Copy)]
enum Kind {
    JsonLines,
    Comma,
    Tab,
    Plain,
}

impl Kind {
    fn of(path: &Path) -> Option<Kind> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "jsonl" | "ndjson" | "json" => Some(Kind::JsonLines),
            "csv" => Some(Kind::Comma),
            "tsv" => Some(Kind::Tab),
            "txt" | "text" | "md" => Some(Kind::Plain),
            _ => None,
        }
    }
}

/// The bytes of a file as UTF-8, decompressed as its name says.
fn decompressed(path: &Path) -> Result<Box<dyn Read + Send>, Error> {
    let fail = |source| Error::Read { path: path.into(), source };
    let file = BufReader::with_capacity(1 << 16, File::open(path).map_err(fail)?);
    let bytes: Box<dyn Read + Send> =
        match path.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase).as_deref() {
            Some("gz") => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Some("zst") => Box::new(zstd::stream::read::Decoder::with_buffer(file).map_err(fail)?),
            _ => Box::new(file),
        };
    encoding::utf8(bytes).map_err(fail)
}

/// The file that is being read, for documents and messages.
#[derive(Clone)]
struct Place {
    path: PathBuf,
    file: String,
}

impl Place {
    fn new(path: &Path) -> Self {
        Place { path: path.into(), file: path.to_string_lossy().into_owned() }
    }

    fn source(&self, line: u64) -> Source {
        Source { file: self.file.clone(), line }
    }

    fn document(&self, line: u64, id: Option<String>, text: String, label: Option<String>) -> Document {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        Document { id: id.unwrap_or_else(|| format!("{name}:{line}")), text, label, source: self.source(line) }
    }
}
