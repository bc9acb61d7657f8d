//! JSON as Python writes it: `tojson` of the templates is `json.dumps`, with other spaces than elsewhere.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::bounded;
use super::marks::SEAL;

/// The filter `tojson`, as `transformers` has it: no escapes for HTML, and letters as they are unless `ensure_ascii`.
#[expect(clippy::needless_pass_by_value, reason = "filters get their options so")]
pub(super) fn tojson(state: &State, value: &Value, indent: Option<Value>, options: Kwargs) -> Result<String, Error> {
    let indent = options.get::<Option<Value>>("indent")?.or(indent).filter(|indent| !indent.is_none());
    let indent = match indent {
        None => None,
        Some(indent) => Some(" ".repeat(usize::try_from(indent)?.min(16))),
    };
    let writer = Writer {
        indent,
        ensure_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        separators: options.get::<Option<Value>>("separators")?.as_ref().map(pair).transpose()?,
        most: bounded::left(state)?,
    };
    options.assert_all_used()?;
    let mut text = String::new();
    writer.write(value, 0, &mut text)?;
    bounded::charge(state, text.len())?;
    Ok(text)
}

/// What stands between items, and between key and value.
fn pair(value: &Value) -> Result<(String, String), Error> {
    let both: Vec<String> = value.try_iter()?.map(|item| item.to_string()).collect();
    <[String; 2]>::try_from(both)
        .map(|[comma, colon]| (comma, colon))
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, "separators of tojson are not two texts"))
}

/// Nested deeper is an attack.
const DEEPEST: usize = 100;

struct Writer {
    indent: Option<String>,
    ensure_ascii: bool,
    sort_keys: bool,
    separators: Option<(String, String)>,
    /// Bytes at most, up to the end of an item.
    most: usize,
}

impl Writer {
    fn write(&self, value: &Value, depth: usize, text: &mut String) -> Result<(), Error> {
        let fault = |what: String| Error::new(ErrorKind::InvalidOperation, what);
        if depth > DEEPEST {
            return Err(fault("tojson of a value that is nested too deep".to_owned()));
        }
        if text.len() > self.most {
            return Err(bounded::too_long());
        }
        match value.kind() {
            ValueKind::None => text.push_str("null"),
            ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => text.push_str(&value.to_string()),
            ValueKind::Number => text.push_str(&float(f64::try_from(value.clone())?)),
            ValueKind::String => self.write_text(value.as_str().unwrap_or_default(), text),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.write_all(items.len(), '[', ']', depth, text, |index, text| {
                    self.write(&items[index], depth + 1, text)
                })?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort();
                }
                let colon = self.separators.as_ref().map_or(": ", |separators| &separators.1);
                self.write_all(keys.len(), '{', '}', depth, text, |index, text| {
                    self.write_text(&keys[index].to_string(), text);
                    text.push_str(colon);
                    self.write(&value.get_item(&keys[index])?, depth + 1, text)
                })?;
            }
            other => return Err(fault(format!("tojson of {other}, which is no JSON"))),
        }
        Ok(())
    }

    fn write_all(
        &self,
        count: usize,
        open: char,
        close: char,
        depth: usize,
        text: &mut String,
        mut one: impl FnMut(usize, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        text.push(open);
        let line = |depth: usize, text: &mut String| {
            if let Some(indent) = &self.indent {
                text.push('\n');
                text.push_str(&indent.repeat(depth));
            }
        };
        let usual = if self.indent.is_some() { "," } else { ", " };
        let comma = self.separators.as_ref().map_or(usual, |separators| &separators.0);
        for index in 0..count {
            if index > 0 {
                text.push_str(comma);
            }
            line(depth + 1, text);
            one(index, text)?;
        }
        if count > 0 {
            line(depth, text);
        }
        text.push(close);
        Ok(())
    }

    fn write_text(&self, value: &str, text: &mut String) {
        text.push('"');
        for character in value.chars() {
            match character {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{8}' => text.push_str("\\b"),
                '\u{C}' => text.push_str("\\f"),
                '\0'..='\u{1F}' => text.push_str(&format!("\\u{:04x}", u32::from(character))),
                SEAL => text.push(SEAL),
                // Python counts the last of ASCII among what it writes as it is.
                '\u{80}'.. if self.ensure_ascii => {
                    let mut units = [0; 2];
                    for unit in character.encode_utf16(&mut units) {
                        text.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                other => text.push(other),
            }
        }
        text.push('"');
    }
}

/// A fraction as Python's `repr` writes it.
fn float(number: f64) -> String {
    if !number.is_finite() {
        return match number {
            _ if number.is_nan() => "NaN",
            f64::INFINITY => "Infinity",
            _ => "-Infinity",
        }
        .to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ if number.fract() == 0.0 => format!("{number:.1}"),
        _ => number.to_string(),
    }
}
