//! The metadata of a file: values by key, asked for by type.

use std::collections::BTreeMap;

use super::error::GgufError;
use super::value::{List, Value};

/// Values by key, in the order of the keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    values: BTreeMap<String, Value>,
}

impl Metadata {
    /// No metadata.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a value at `key`, in place of the one that was there.
    pub fn insert(&mut self, key: impl Into<String>, value: Value) {
        self.values.insert(key.into(), value);
    }

    /// The value at `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// Takes the value at `key` out.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.values.remove(key)
    }

    /// All values, in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The text at `key`.
    ///
    /// # Errors
    /// When it is absent, or no text.
    pub fn text(&self, key: &str) -> Result<&str, GgufError> {
        required(
            self.find(key, "text", |value| match value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            })?,
            key,
        )
    }

    /// The whole number at `key`, of any width; `None` where it is absent.
    ///
    /// # Errors
    /// When it is no whole number, or negative.
    pub fn whole(&self, key: &str) -> Result<Option<usize>, GgufError> {
        self.find(key, "a whole number from 0", |value| match *value {
            Value::U8(number) => Some(number.into()),
            Value::U16(number) => Some(number.into()),
            Value::U32(number) => usize::try_from(number).ok(),
            Value::U64(number) => usize::try_from(number).ok(),
            Value::I8(number) => usize::try_from(number).ok(),
            Value::I16(number) => usize::try_from(number).ok(),
            Value::I32(number) => usize::try_from(number).ok(),
            Value::I64(number) => usize::try_from(number).ok(),
            _ => None,
        })
    }

    /// The fraction at `key`; `None` where it is absent.
    ///
    /// # Errors
    /// When it is no fraction, or not finite.
    pub fn fraction(&self, key: &str) -> Result<Option<f32>, GgufError> {
        self.find(key, "a finite fraction", |value| {
            let number = match *value {
                Value::F32(number) => number,
                Value::F64(number) => number as f32,
                _ => return None,
            };
            number.is_finite().then_some(number)
        })
    }

    /// The truth at `key`; `None` where it is absent.
    ///
    /// # Errors
    /// When it is neither true nor false.
    pub fn truth(&self, key: &str) -> Result<Option<bool>, GgufError> {
        self.find(key, "true or false", |value| match *value {
            Value::Bool(truth) => Some(truth),
            _ => None,
        })
    }

    /// The list at `key`; `None` where it is absent.
    ///
    /// # Errors
    /// When it is no list.
    pub fn list(&self, key: &str) -> Result<Option<&List>, GgufError> {
        self.find(key, "a list", |value| match value {
            Value::List(list) => Some(list),
            _ => None,
        })
    }

    fn find<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, GgufError> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        let kind = || GgufError::Kind { key: key.to_owned(), found: value.kind(), expected };
        convert(value).ok_or_else(kind).map(Some)
    }
}

/// What must not be absent.
pub(super) fn required<T>(value: Option<T>, key: &str) -> Result<T, GgufError> {
    value.ok_or_else(|| GgufError::Missing { key: key.to_owned() })
}
