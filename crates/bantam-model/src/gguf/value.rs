//! Typed values of the metadata.

use super::cursor::Cursor;
use super::error::GgufError;

/// Lists in lists beyond this depth are an attack on the stack, not metadata.
const DEEPEST_LIST: usize = 8;

/// One value of the metadata.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each variant is named like the type that it holds")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(String),
    List(List),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// A list of values of one type.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each variant is named like the type that it holds")]
pub enum List {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    Text(Vec<String>),
    List(Vec<List>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

/// Writes out what is alike for all types: the number of the type in the file, and how its numbers are read and written.
macro_rules! for_every_number {
    ($use:ident) => {
        $use! { 0 U8 u8, 1 I8 i8, 2 U16 u16, 3 I16 i16, 4 U32 u32, 5 I32 i32, 6 F32 f32, 10 U64 u64, 11 I64 i64, 12 F64 f64 }
    };
}

const BOOL: u32 = 7;
const TEXT: u32 = 8;
const LIST: u32 = 9;

impl Value {
    /// Reads the type's number and the value.
    pub(super) fn read(cursor: &mut Cursor, key: &str) -> Result<Self, GgufError> {
        let kind = cursor.u32(key)?;
        macro_rules! read {
            ($($number:literal $variant:ident $type:ty),*) => {
                match kind {
                    $($number => Value::$variant(<$type>::from_le_bytes(cursor.array(key)?)),)*
                    BOOL => Value::Bool(truth(cursor.array::<1>(key)?[0], key)?),
                    TEXT => Value::Text(cursor.text(key)?.to_owned()),
                    LIST => Value::List(List::read(cursor, key, 1)?),
                    _ => return Err(unknown_kind(kind, key)),
                }
            };
        }
        Ok(for_every_number!(read))
    }

    /// Writes the type's number and the value.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        macro_rules! write {
            ($($number:literal $variant:ident $type:ty),*) => {
                match self {
                    $(Value::$variant(value) => {
                        put_u32(out, $number);
                        out.extend_from_slice(&value.to_le_bytes());
                    })*
                    Value::Bool(value) => {
                        put_u32(out, BOOL);
                        out.push(u8::from(*value));
                    }
                    Value::Text(text) => {
                        put_u32(out, TEXT);
                        put_text(out, text);
                    }
                    Value::List(list) => {
                        put_u32(out, LIST);
                        list.write(out);
                    }
                }
            };
        }
        for_every_number!(write);
    }

    /// What messages call the type.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::F32(_) | Value::F64(_) => "a fraction",
            Value::Bool(_) => "true or false",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            _ => "a whole number",
        }
    }
}

impl List {
    /// Reads the items' type, their count and the items.
    fn read(cursor: &mut Cursor, key: &str, depth: usize) -> Result<Self, GgufError> {
        if depth > DEEPEST_LIST {
            return Err(GgufError::damaged(key, format!("lists within lists, {depth} deep")));
        }
        let kind = cursor.u32(key)?;
        let count = cursor.u64(key)?;
        macro_rules! read {
            ($($number:literal $variant:ident $type:ty),*) => {
                match kind {
                    $($number => List::$variant(
                        cursor.items(count, key)?.iter().map(|&bytes| <$type>::from_le_bytes(bytes)).collect(),
                    ),)*
                    BOOL => List::Bool(cursor.take(count, key)?.iter().map(|&byte| truth(byte, key)).collect::<Result<_, _>>()?),
                    // Nothing is reserved for these: the count may be a lie, and each item is checked as it is read.
                    TEXT => List::Text((0..count).map(|_| Ok(cursor.text(key)?.to_owned())).collect::<Result<_, GgufError>>()?),
                    LIST => List::List((0..count).map(|_| List::read(cursor, key, depth + 1)).collect::<Result<_, _>>()?),
                    _ => return Err(unknown_kind(kind, key)),
                }
            };
        }
        Ok(for_every_number!(read))
    }

    fn write(&self, out: &mut Vec<u8>) {
        macro_rules! write {
            ($($number:literal $variant:ident $type:ty),*) => {
                match self {
                    $(List::$variant(items) => {
                        put_head(out, $number, items.len());
                        items.iter().for_each(|item| out.extend_from_slice(&item.to_le_bytes()));
                    })*
                    List::Bool(items) => {
                        put_head(out, BOOL, items.len());
                        out.extend(items.iter().map(|&item| u8::from(item)));
                    }
                    List::Text(items) => {
                        put_head(out, TEXT, items.len());
                        items.iter().for_each(|item| put_text(out, item));
                    }
                    List::List(items) => {
                        put_head(out, LIST, items.len());
                        items.iter().for_each(|item| item.write(out));
                    }
                }
            };
        }
        for_every_number!(write);
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        macro_rules! len {
            ($($number:literal $variant:ident $type:ty),*) => {
                match self {
                    $(List::$variant(items) => items.len(),)*
                    List::Bool(items) => items.len(),
                    List::Text(items) => items.len(),
                    List::List(items) => items.len(),
                }
            };
        }
        for_every_number!(len)
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Appends a length and the bytes of `text`.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_head(out: &mut Vec<u8>, kind: u32, count: usize) {
    put_u32(out, kind);
    out.extend_from_slice(&(count as u64).to_le_bytes());
}

fn truth(byte: u8, key: &str) -> Result<bool, GgufError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(GgufError::damaged(key, format!("true or false is written as {other}"))),
    }
}

fn unknown_kind(kind: u32, key: &str) -> GgufError {
    GgufError::damaged(key, format!("values of type {kind}, and types end at 12"))
}
