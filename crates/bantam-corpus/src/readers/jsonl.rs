//! JSON lines: one object per line.

use std::io::Read;

use serde_json::{Map, Value};

use super::fields::Fields;
use super::lines::Lines;
use super::{Place, ReadOptions};
use crate::{Document, Error};

/// Documents of a stream of JSON lines. Blank lines are passed over.
pub(super) fn documents<R: Read>(
    place: Place,
    input: R,
    options: &ReadOptions,
) -> impl Iterator<Item = Result<Document, Error>> + use<R> {
    let (mut records, options) = (records(place.clone(), input, options.max_bytes), options.clone());
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let outcome = records.next()?.and_then(|(line, record)| document(&place, line, &record, &options));
        ended = outcome.is_err();
        Some(outcome)
    })
}

/// A line's number and its object.
pub(super) type Record = (u64, Map<String, Value>);

/// The objects of a stream of JSON lines.
pub(super) fn records<R: Read>(
    place: Place,
    input: R,
    limit: usize,
) -> impl Iterator<Item = Result<Record, Error>> + use<R> {
    let mut lines = Lines::new(place.clone(), input, limit);
    std::iter::from_fn(move || {
        loop {
            match lines.next_line()? {
                Ok((_, text)) if text.trim().is_empty() => {}
                Ok((line, text)) => return Some(record(&place, line, &text)),
                Err(error) => return Some(Err(error)),
            }
        }
    })
}

fn record(place: &Place, line: u64, text: &str) -> Result<Record, Error> {
    let fault = |fault: serde_json::Error| Error::BadJson {
        path: place.path.clone(),
        line,
        column: fault.column(),
        reason: fault.to_string(),
    };
    Ok((line, serde_json::from_str(text).map_err(fault)?))
}

fn document(place: &Place, line: u64, record: &Map<String, Value>, options: &ReadOptions) -> Result<Document, Error> {
    let names: Vec<&str> = record.keys().map(String::as_str).collect();
    let fields = Fields::choose(&names, options, place, line)?;
    let not_text = |field: &str, found, wanted| Error::NotText {
        path: place.path.clone(),
        line,
        field: field.into(),
        found,
        wanted,
    };
    let text = match &record[&fields.text] {
        Value::String(text) => text.clone(),
        other => return Err(not_text(&fields.text, kind(other), "text")),
    };
    // Numbers and truth values are labels and identifiers as good as words; null is none.
    let word = |field: &Option<String>| match field.as_ref().map(|field| (field, alone(&record[field]))) {
        None | Some((_, Value::Null)) => Ok(None),
        Some((_, Value::String(word))) => Ok(Some(word.trim().to_owned()).filter(|word| !word.is_empty())),
        Some((_, value @ (Value::Number(_) | Value::Bool(_)))) => Ok(Some(value.to_string())),
        Some((field, other)) => Err(not_text(field, kind(other), "a single word or number")),
    };
    Ok(place.document(line, word(&fields.id)?, text, word(&fields.label)?))
}

/// The word in a list of one, as multi-label formats write a single label; an empty list is no value.
pub(super) fn alone(value: &Value) -> &Value {
    match value {
        Value::Array(values) => match &values[..] {
            [] => &Value::Null,
            [word @ Value::String(_)] => word,
            _ => value,
        },
        _ => value,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
