//! How long what a template makes will be, before it is made.

use std::fmt::{self, Write};

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

/// Bytes of a list for each item.
const ITEM: usize = 32;
/// Lists in lists in lists: more is an attack on the stack.
const DEEPEST: usize = 64;

/// Bytes, no fewer than an operation, filter, method or function makes of its operands; `usize::MAX` where they are more than `most`.
pub(super) fn made(operation: &str, operands: &[Value], most: usize) -> usize {
    let named = |operand: &Value| {
        operand.try_iter().into_iter().flatten().filter_map(|name| operand.get_item(&name).ok()).collect()
    };
    let each = |operand: &Value| if operand.is_kwargs() { named(operand) } else { vec![operand.clone()] };
    let operands: &[Value] = &operands.iter().flat_map(each).collect::<Vec<_>>();
    let shallow = || sum(operands.iter().map(|operand| length(operand, most)));
    let written = || sum(operands.iter().map(|operand| displayed(operand, most)));
    let numbers = || sum(operands.iter().filter_map(Value::as_usize));
    let text = |index: usize| operands.get(index).and_then(Value::as_str).unwrap_or_default();
    match operation {
        "*" => match operands {
            [left, right] => {
                let times = |made: &Value, count: &Value| {
                    length(made, most).max(1).saturating_mul(count.as_usize().unwrap_or(1))
                };
                times(left, right).max(times(right, left))
            }
            _ => shallow(),
        },
        "in" | "eq" | "equalto" | "==" | "ne" | "!=" | "lt" | "<" | "le" | "<=" | "gt" | ">" | "ge" | ">=" => {
            let seen = |operand| stored(operand, true, most).unwrap_or(usize::MAX);
            sum(operands.iter().map(|operand| operand.as_str().map_or_else(|| seen(operand), str::len)))
        }
        // Texts of lists have what the lists share as often as it occurs in them.
        "~" | "string" | "safe" => written(),
        "escape" | "e" | "pprint" => written().saturating_mul(6),
        "join" => {
            let separators = operands.iter().map(|items| count(items, most)).max().unwrap_or(0);
            written().saturating_add(separators.saturating_mul(text(0).len().max(text(1).len())))
        }
        "sum" => written().saturating_mul(sum(operands.iter().map(|items| count(items, most))).max(1)),
        "replace" => shallow().saturating_add(text(0).matches(text(1)).count().saturating_mul(text(2).len())),
        "indent" => {
            let width = numbers().saturating_add(text(1).len()).max(4);
            shallow().saturating_add(text(0).lines().count().saturating_add(1).saturating_mul(width))
        }
        "format" => {
            let widths = sum(text(0).split(|sign: char| !sign.is_ascii_digit()).map(|digits| match digits {
                "" => 0,
                digits => digits.parse().unwrap_or(usize::MAX),
            }));
            let fields = text(0).matches(['%', '{']).count() + 1;
            sum([written(), widths, numbers()].into_iter()).saturating_mul(fields)
        }
        "batch" | "slice" | "range" => shallow().saturating_add(numbers().saturating_mul(ITEM)),
        // Each letter or word may become an item.
        "list" | "split" | "splitlines" | "lines" | "sort" | "unique" | "reverse" | "dictsort" | "groupby"
        | "items" => shallow().saturating_mul(2 * ITEM),
        "map" => match operands {
            [items, filter, rest @ ..] if filter.as_str().is_some() => {
                let each = |item: Value| made(text(1), &[&[item], rest].concat(), most).saturating_add(ITEM);
                limited(items.try_iter().into_iter().flatten().map(each), most)
            }
            _ => shallow(),
        },
        _ => shallow(),
    }
}

/// How many values are in one that is stored, itself included.
///
/// # Errors
/// When it is too deep, and for a namespace in a namespace: it might be in itself.
pub(super) fn stored(value: &Value, may_be_namespace: bool, most: usize) -> Result<usize, Error> {
    fn walk(value: &Value, depth: usize, may_be_namespace: bool, left: &mut usize) -> Result<(), Error> {
        let fault = |what: &'static str| Err(Error::new(ErrorKind::InvalidOperation, what));
        let Some(object) = value.as_object() else { return Ok(()) };
        if !may_be_namespace && object.type_name().ends_with("::Namespace") {
            return fault("a namespace cannot be stored in a namespace");
        }
        if depth == DEEPEST {
            return fault("it makes lists that are nested too deep");
        }
        let is_map = value.kind() == ValueKind::Map;
        for item in value.try_iter().into_iter().flatten() {
            let Some(rest) = left.checked_sub(1) else {
                return fault("it makes too long a list for this conversation");
            };
            *left = rest;
            let item = if is_map { value.get_item(&item).unwrap_or_default() } else { item };
            walk(&item, depth + 1, may_be_namespace, left)?;
        }
        Ok(())
    }
    let mut left = most;
    walk(value, 0, may_be_namespace, &mut left)?;
    Ok(most - left)
}

/// Bytes of a text, or of a list without what is in it.
fn length(value: &Value, most: usize) -> usize {
    value.as_str().map_or_else(|| count(value, most).saturating_mul(ITEM), str::len)
}

/// How many items there are in a list or map.
fn count(value: &Value, most: usize) -> usize {
    match value.kind() {
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            value.len().unwrap_or_else(|| value.try_iter().into_iter().flatten().take(most.saturating_add(1)).count())
        }
        _ => 0,
    }
}

/// Bytes of a value's text.
fn displayed(value: &Value, most: usize) -> usize {
    struct Counter(usize);

    impl Write for Counter {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
            Ok(())
        }
    }

    if let Some(text) = value.as_str() {
        return text.len();
    }
    let mut left = Counter(most);
    if write!(left, "{value}").is_ok() { most - left.0 } else { usize::MAX }
}

fn sum(sizes: impl Iterator<Item = usize>) -> usize {
    sizes.fold(0, usize::saturating_add)
}

/// Their sum as far as `most`.
fn limited(mut sizes: impl Iterator<Item = usize>, most: usize) -> usize {
    sizes.try_fold(0, |sum: usize, size| sum.checked_add(size).filter(|&sum| sum <= most)).unwrap_or(usize::MAX)
}
