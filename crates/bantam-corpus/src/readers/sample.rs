//! The first records of a file with all their fields, for whoever must find out which field is what.

use std::path::Path;

use serde_json::Value;

use super::table::Table;
use super::{Kind, Place, decompressed, jsonl};
use crate::Error;

/// A field, and what the records hold there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, as the file has it.
    pub name: String,
    /// A value for each record; `None` where it is missing, empty or null, an object, or a list other than of one word.
    pub values: Vec<Option<String>>,
}

/// The fields of the first `most` records, in their order; none for plain text, which has no fields. A record of more
/// than `max_bytes` is an error.
///
/// # Errors
/// Those of [`read`](super::read).
pub fn sample(path: impl AsRef<Path>, max_bytes: usize, most: usize) -> Result<Vec<Field>, Error> {
    let path = path.as_ref();
    let kind = Kind::of(path).ok_or_else(|| Error::UnknownFormat { path: path.into() })?;
    let (place, bytes) = (Place::new(path), decompressed(path)?);
    match kind {
        Kind::Plain => Ok(Vec::new()),
        Kind::JsonLines => of_records(jsonl::records(place, bytes, max_bytes).take(most)),
        Kind::Comma => of_table(Table::csv(place, bytes, max_bytes)?, most),
        Kind::Tab => of_table(Table::tsv(place, bytes, max_bytes)?, most),
    }
}

fn of_table(mut table: Table, most: usize) -> Result<Vec<Field>, Error> {
    let mut fields: Vec<Field> =
        table.names.iter().map(|name| Field { name: name.clone(), values: Vec::new() }).collect();
    for _ in 0..most {
        let Some(line) = table.next_row().transpose()? else { break };
        for (column, field) in fields.iter_mut().enumerate() {
            field.values.push(table.word(column, line)?);
        }
    }
    Ok(fields)
}

fn of_records(records: impl Iterator<Item = Result<jsonl::Record, Error>>) -> Result<Vec<Field>, Error> {
    let mut fields: Vec<Field> = Vec::new();
    for (seen, record) in records.enumerate() {
        for (name, value) in record?.1 {
            let at = fields.iter().position(|field| field.name == name).unwrap_or_else(|| {
                fields.push(Field { name, values: vec![None; seen] });
                fields.len() - 1
            });
            fields[at].values.push(word(jsonl::alone(&value)));
        }
        fields.iter_mut().for_each(|field| field.values.resize(seen + 1, None));
    }
    Ok(fields)
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}
