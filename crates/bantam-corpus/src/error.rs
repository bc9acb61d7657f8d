//! What can be wrong with a user's data, with the place and the remedy in each message.

use std::path::PathBuf;

/// Why a corpus could not be read or curated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system or the decompressor said no.
    #[error("cannot read {}: {source}; check the path, and that the file is whole", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// A result could not be written.
    #[error(transparent)]
    Write(#[from] bantam_artifact::Error),
    /// A file of a kind that no reader takes.
    #[error(
        "{} is of no known kind; use .jsonl, .csv, .tsv or .txt, each also with .gz or .zst", path.display()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder without a single document.
    #[error("{} holds no documents; it needs at least one line of text, or a file of a known kind", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
    /// A line or record that is too long to be one text.
    #[error(
        "{}, line {line}: longer than {limit} bytes; split the text, or raise `max_bytes` if it really is one text",
        path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// Bytes that are no UTF-8.
    #[error(
        "{}, line {line}, byte column {column}: not UTF-8; convert the file, e.g. `iconv -f latin1 -t utf-8`",
        path.display()
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The byte in the line (in a table: in the field), from 1.
        column: usize,
    },
    /// A line that is no JSON object.
    #[error("{}, line {line}, column {column}: no JSON object ({reason}); one object per line is wanted", path.display())]
    BadJson {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// A table whose rows disagree.
    #[error("{}, line {line}: {reason}; each row needs as many fields as the header", path.display())]
    BadTable {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A record without a wanted field.
    #[error(
        "{}, line {line}: {wanted}; there are: {there}; name the right one with --{holds} NAME, or in a recipe with \
         `{holds} = \"NAME\"` under [data.read]",
        path.display()
    )]
    MissingField {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What there is not: a field of a given name, or one with a usual name.
        wanted: String,
        /// What the field holds: `text` or `label`.
        holds: &'static str,
        /// The fields there are, separated by commas.
        there: String,
    },
    /// A field that is no text.
    #[error("{}, line {line}: field {field:?} is {found}, but {wanted} is wanted", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The field.
        field: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// A benchmark file that has not the published shape.
    #[error("{} is not in the format of {format}: {reason}", path.display())]
    BadBenchmark {
        /// The file.
        path: PathBuf,
        /// The benchmark.
        format: &'static str,
        /// What differs.
        reason: String,
    },
    /// A filter name that is not in the registry.
    #[error("there is no filter {name:?}; there are: {known}")]
    UnknownFilter {
        /// The name.
        name: String,
        /// All names, separated by commas.
        known: String,
    },
    /// An option outside its range.
    #[error("{option} is {value}, but must be {range}")]
    BadOption {
        /// The option.
        option: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        range: &'static str,
    },
    /// Documents without a label where labels are learnt.
    #[error(
        "{count} documents have no label, the first at {first}; label them, leave them out, or let a recipe take them for \
         unlabelled texts with `empty_labels = \"unlabelled\"` under [data.read]"
    )]
    Unlabelled {
        /// How many.
        count: usize,
        /// Place of the first.
        first: String,
    },
    /// Nothing to tell apart.
    #[error("a classifier needs at least 2 labels, but there are {found} ({there}); add examples of another label")]
    TooFewLabels {
        /// How many.
        found: usize,
        /// The labels there are.
        there: String,
    },
}
