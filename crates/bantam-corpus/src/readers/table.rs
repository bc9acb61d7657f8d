//! Tables: CSV (RFC 4180, quotes; semicolons and tabs are recognised) and TSV (no quotes, as IANA has it), with a header
//! line.

use std::io::{self, Read};

use csv::ByteRecord;

use super::fields::Fields;
use super::line_starts::LineStarts;
use super::separator::{Beginning, look};
use super::{Place, ReadOptions};
use crate::{Document, Error};

/// Bytes that the parser may read ahead of the record it is at.
const READ_AHEAD: usize = 64 * 1024;

/// Documents of a table. A cell that is empty in the label's column means no label.
pub(super) fn documents(
    mut table: Table,
    options: &ReadOptions,
) -> Result<impl Iterator<Item = Result<Document, Error>> + Send + use<>, Error> {
    let names: Vec<&str> = table.names.iter().map(String::as_str).collect();
    let fields = Fields::choose(&names, options, &table.place, table.header_line)?;
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
    header_line: u64,
    reader: csv::Reader<Input>,
    row: ByteRecord,
    limit: usize,
}

impl Table {
    /// Reads the header of a CSV file; what parts its columns is told from it.
    pub(super) fn csv(place: Place, input: Box<dyn Read + Send>, limit: usize) -> Result<Self, Error> {
        let beginning = look(input).map_err(|source| Error::Read { path: place.path.clone(), source })?;
        Self::open(place, beginning, true, limit)
    }

    /// Reads the header of a TSV file.
    pub(super) fn tsv(place: Place, input: Box<dyn Read + Send>, limit: usize) -> Result<Self, Error> {
        Self::open(place, Beginning { separator: b'\t', line: 1, input }, false, limit)
    }

    fn open(place: Place, beginning: Beginning, has_quotes: bool, limit: usize) -> Result<Self, Error> {
        let Beginning { separator, line, input } = beginning;
        let input =
            Input { input, since_row: 0, limit: limit.saturating_add(READ_AHEAD), lines: LineStarts::new(line) };
        let mut reader =
            csv::ReaderBuilder::new().delimiter(separator).quoting(has_quotes).flexible(true).from_reader(input);
        let row = reader.byte_headers().map_err(|fault| table_error(&place, line, limit, fault))?.clone();
        if row.is_empty() {
            return Err(Error::Empty { path: place.path });
        }
        let header_line = reader.get_mut().lines.at(0);
        let names = (0..row.len()).map(|at| text_of(&row, at, header_line, &place)).collect::<Result<_, Error>>()?;
        Ok(Self { place, names, header_line, reader, row, limit })
    }

    /// Goes to the next row and answers its line; `None` after the last.
    pub(super) fn next_row(&mut self) -> Option<Result<u64, Error>> {
        self.reader.get_mut().since_row = 0;
        let start = self.reader.position().byte();
        let outcome = self.reader.read_byte_record(&mut self.row);
        // The parser's own count of lines is one behind where they end with `\r\n`.
        let line = self.reader.get_mut().lines.at(start);
        match outcome {
            Ok(false) => None,
            Ok(true) => Some(self.checked(line)),
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

/// What the parser reads: counts lines, and stops a record without an end (an unclosed quote) before it fills the memory.
struct Input {
    input: Box<dyn Read + Send>,
    since_row: usize,
    limit: usize,
    lines: LineStarts,
}

#[derive(Debug, thiserror::Error)]
#[error("a record is too long")]
struct RecordTooLong;

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.since_row += read;
        if self.since_row > self.limit {
            return Err(io::Error::other(RecordTooLong));
        }
        self.lines.see(&buffer[..read]);
        Ok(read)
    }
}
