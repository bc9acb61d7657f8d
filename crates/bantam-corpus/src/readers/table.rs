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
    let read_since_record = Arc::new(AtomicUsize::new(0));
    let limit = options.max_bytes;
    let bounded = Bounded { input, read: Arc::clone(&read_since_record), limit: limit.saturating_add(READ_AHEAD) };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).quoting(delimiter == b',').flexible(true).from_reader(bounded);
    let header = reader.byte_headers().map_err(|fault| table_error(&place, 1, limit, fault))?.clone();
    if header.is_empty() {
        return Err(Error::Empty { path: place.path });
    }
    let names = (0..header.len()).map(|at| text_of(&header, at, 1, &place)).collect::<Result<Vec<String>, Error>>()?;
    let fields = Fields::choose(&names.iter().map(String::as_str).collect::<Vec<_>>(), options, &place, 1)?;
    let column = |name: &String| names.iter().position(|other| other == name);
    // `choose` answers with names out of `names`.
    let text_column = column(&fields.text).unwrap_or(0);
    let (label_column, id_column) = (fields.label.as_ref().and_then(column), fields.id.as_ref().and_then(column));
    let mut record = ByteRecord::new();
    let mut ended = false;
    Ok(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        read_since_record.store(0, Ordering::Relaxed);
        let line = reader.position().line();
        let outcome = match reader.read_byte_record(&mut record) {
            Ok(false) => return None,
            Ok(true) => {
                let line = record.position().map_or(line, csv::Position::line);
                row(&place, &record, line, limit, names.len(), (text_column, label_column, id_column))
            }
            Err(fault) => Err(table_error(&place, line, limit, fault)),
        };
        ended = outcome.is_err();
        Some(outcome)
    }))
}

fn row(
    place: &Place,
    record: &ByteRecord,
    line: u64,
    limit: usize,
    width: usize,
    (text, label, id): (usize, Option<usize>, Option<usize>),
) -> Result<Document, Error> {
    if record.as_slice().len() > limit {
        return Err(Error::TooLong { path: place.path.clone(), line, limit });
    }
    if record.len() != width {
        let reason = format!("{} fields, but the header has {width}", record.len());
        return Err(Error::BadTable { path: place.path.clone(), line, reason });
    }
    let word = |column: Option<usize>| -> Result<Option<String>, Error> {
        let word = column.map(|column| text_of(record, column, line, place)).transpose()?;
        Ok(word.map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()))
    };
    Ok(place.document(line, word(id)?, text_of(record, text, line, place)?, word(label)?))
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
