//! Tables: CSV (RFC 4180, quotes) and TSV (no quotes, as IANA has it), with a header line.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use csv::ByteRecord;

use super::fields::Fields;
use super::{Place, ReadOptions};
use crate::{Document, Error};

/// Bytes that the parser may read ahead of the record it is at.
const READ_AHEAD: usize = 64 * 1024;

/// Documents of a table. A cell that is empty in the label's column means no label.
pub(super) fn documents(
    place: Place,
    input: Box<dyn Read + Send>,
    delimiter: u8,
    options: &ReadOptions,
) -> Result<impl Iterator<Item = Result<Document, Error>> + Send + use<>, Error> {
    let mut table = Table::open(place, input, delimiter, options.max_bytes)?;
    let names: Vec<&str> = table.names.iter().map(String::as_str).collect();
    let fields = Fields::choose(&names, options, &table.place, 1)?;
    let column = |name: &String| names.iter().position(|other| other == name);
    // `choose` answers with names out of `names`.
    let text = column(&fields.text).unwrap_or(0);
    let (label, id) = (fields.label.as_ref().and_then(column), fields.id.as_ref().and_then(column));
    let mut ended = false;
    Ok(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let outcome = table.next_row()?.and_then(|line| {
            let word = |column: Option<usize>| column.map_or(Ok(None), |column| table.word(column, line));
            Ok(table.place.document(line, word(id)?, table.cell(text, line)?, word(label)?))
        });
        ended = outcome.is_err();
        Some(outcome)
    }))
}

/// A table that is read row by row.
pub(super) struct Table {
    place: Place,
    /// The header.
    pub(super) names: Vec<String>,
    reader: csv::Reader<Bounded>,
    row: ByteRecord,
    read_since_row: Arc<AtomicUsize>,
    limit: usize,
}

impl Table {
    /// Reads the header.
    pub(super) fn open(place: Place, input: Box<dyn Read + Send>, delimiter: u8, limit: usize) -> Result<Self, Error> {
        let read_since_row = Arc::new(AtomicUsize::new(0));
        let bounded = Bounded { input, read: Arc::clone(&read_since_row), limit: limit.saturating_add(READ_AHEAD) };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(delimiter == b',')
            .flexible(true)
            .from_reader(bounded);
        let row = reader.byte_headers().map_err(|fault| table_error(&place, 1, limit, fault))?.clone();
        if row.is_empty() {
            return Err(Error::Empty { path: place.path });
        }
        let names = (0..row.len()).map(|at| text_of(&row, at, 1, &place)).collect::<Result<_, Error>>()?;
        Ok(Self { place, names, reader, row, read_since_row, limit })
    }

    /// Goes to the next row and answers its line; `None` after the last.
    pub(super) fn next_row(&mut self) -> Option<Result<u64, Error>> {
        self.read_since_row.store(0, Ordering::Relaxed);
        let line = self.reader.position().line();
        match self.reader.read_byte_record(&mut self.row) {
            Ok(false) => None,
            Ok(true) => Some(self.checked(self.row.position().map_or(line, csv::Position::line))),
            Err(fault) => Some(Err(table_error(&self.place, line, self.limit, fault))),
        }
    }

    fn checked(&self, line: u64) -> Result<u64, Error> {
        let path = || self.place.path.clone();
        if self.row.as_slice().len() > self.limit {
            return Err(Error::TooLong { path: path(), line, limit: self.limit });
        }
        if self.row.len() != self.names.len() {
            let reason = format!("{} fields, but the header has {}", self.row.len(), self.names.len());
            return Err(Error::BadTable { path: path(), line, reason });
        }
        Ok(line)
    }

    /// A cell of the row.
    fn cell(&self, column: usize, line: u64) -> Result<String, Error> {
        text_of(&self.row, column, line, &self.place)
    }

    /// A cell without blanks around it; `None` if nothing is left.
    pub(super) fn word(&self, column: usize, line: u64) -> Result<Option<String>, Error> {
        let word = self.cell(column, line)?.trim().to_owned();
        Ok(Some(word).filter(|word| !word.is_empty()))
    }
}

fn text_of(record: &ByteRecord, at: usize, line: u64, place: &Place) -> Result<String, Error> {
    std::str::from_utf8(&record[at]).map(str::to_owned).map_err(|fault| Error::NotUtf8 {
        path: place.path.clone(),
        line,
        column: fault.valid_up_to() + 1,
    })
}

fn table_error(place: &Place, line: u64, limit: usize, fault: csv::Error) -> Error {
    match fault.into_kind() {
        csv::ErrorKind::Io(source) => match source.downcast::<RecordTooLong>() {
            Ok(_) => Error::TooLong { path: place.path.clone(), line, limit },
            Err(source) => Error::Read { path: place.path.clone(), source },
        },
        other => Error::BadTable { path: place.path.clone(), line, reason: format!("{other:?}") },
    }
}

/// Stops a record without an end (an unclosed quote) before it fills the memory.
struct Bounded {
    input: Box<dyn Read + Send>,
    read: Arc<AtomicUsize>,
    limit: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("a record is too long")]
struct RecordTooLong;

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        if self.read.fetch_add(read, Ordering::Relaxed) + read > self.limit {
            return Err(io::Error::other(RecordTooLong));
        }
        Ok(read)
    }
}
