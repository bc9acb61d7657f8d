//! Calls of tools in an answer that was cut: those that are whole, and as much as there is of the last.

use serde_json::{Deserializer, Value};

use super::Parsed;
use super::calls::{CLOSE, LEADS, OPEN, call_of, identified, may_begin_at};

/// An answer that was cut while it called tools.
#[derive(Debug, Clone, PartialEq)]
pub struct CutCalls {
    /// The text before, and the calls that are whole.
    pub whole: Parsed,
    /// The call that was being written, once its tool is known.
    pub begun: Option<BegunCall>,
}

/// A call that is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunCall {
    /// The tool.
    pub name: String,
    /// The beginning of the arguments' JSON; perhaps nothing yet.
    pub arguments: String,
}

/// Takes an answer that was cut apart; none where it does not call tools, as far as can be told.
pub(super) fn parse(answer: &str) -> Option<CutCalls> {
    let start = may_begin_at(answer);
    let (mut whole, mut begun) = (Parsed { text: answer[..start].trim().to_owned(), calls: Vec::new() }, None);
    let mut rest = within(&answer[start..]);
    let is_tagged = answer[start..].starts_with(OPEN);
    while !rest.is_empty() {
        let mut values = Deserializer::from_str(rest).into_iter::<Value>();
        match values.next()? {
            Ok(value) => {
                whole.calls.push(call_of(&value)?);
                rest = within(&rest[values.byte_offset()..]);
            }
            Err(error) if error.is_eof() => {
                begun = begun_call(rest);
                break;
            }
            // The beginning of a tag, perhaps.
            Err(_) if is_tagged => break,
            Err(_) => return None,
        }
    }
    identified(&mut whole.calls);
    (is_tagged || begun.is_some() || !whole.calls.is_empty()).then_some(CutCalls { whole, begun })
}

/// What comes after all that stands before and between calls.
fn within(mut text: &str) -> &str {
    loop {
        let before = text.len();
        text = text.trim_start_matches(|c: char| c.is_whitespace() || [';', ',', '[', ']'].contains(&c));
        // A lead may begin with a bracket, which was taken off.
        for mark in LEADS.iter().flat_map(|lead| [*lead, lead.trim_start_matches('[')]).chain([OPEN, CLOSE]) {
            text = text.strip_prefix(mark).unwrap_or(text);
        }
        if text.len() == before {
            return text;
        }
    }
}

/// The name and the arguments of an object that breaks off.
fn begun_call(object: &str) -> Option<BegunCall> {
    let mut rest = object.trim_start().strip_prefix('{')?;
    let (mut name, mut arguments) = (None, None);
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        let Some((key, after)) = first::<String>(rest) else { break };
        let Some(value) = after.trim_start().strip_prefix(':').map(str::trim_start) else { break };
        match key.as_str() {
            "function" if value.starts_with('{') => return begun_call(value),
            "arguments" | "parameters" => arguments = Some(value),
            _ => {}
        }
        let Some((found, after)) = first::<Value>(value) else { break };
        match (key.as_str(), found) {
            ("name", Value::String(text)) => name = Some(text),
            ("arguments" | "parameters", _) => arguments = Some(&value[..value.len() - after.len()]),
            _ => {}
        }
        rest = after;
    }
    let arguments = arguments.unwrap_or_default();
    Some(BegunCall { name: name?, arguments: unquoted(arguments).unwrap_or_else(|| arguments.to_owned()) })
}

/// The value that a text begins with, and what follows it.
fn first<T: serde::de::DeserializeOwned>(text: &str) -> Option<(T, &str)> {
    let mut values = Deserializer::from_str(text).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

/// Arguments that are written as a text of JSON, as far as it goes.
fn unquoted(text: &str) -> Option<String> {
    text.strip_prefix('"')?;
    // An escape may break off: the longest is that of two halves of a character.
    let ends = (0..=12.min(text.len() - 1)).map(|cut| text.len() - cut).filter(|&end| text.is_char_boundary(end));
    let mut whole = ends.flat_map(|end| [text[..end].to_owned(), format!("{}\"", &text[..end])]);
    whole.find_map(|text| serde_json::from_str(&text).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The names and arguments of the whole calls, and the one that is cut.
    fn read(answer: &str) -> Option<(String, Vec<Value>, Option<BegunCall>)> {
        let CutCalls { whole, begun } = parse(answer)?;
        let calls = whole.calls.iter().map(|call| json!([call.name, call.arguments])).collect();
        Some((whole.text, calls, begun))
    }

    #[test]
    fn every_beginning_of_a_call_is_a_beginning_of_its_arguments() {
        let arguments = r#"{"city": "R\u00f6me, \"old\"", "days": [1, 2]}"#;
        let text = serde_json::to_string(arguments).unwrap();
        for (before, after, arguments_written) in [
            ("{\"name\": \"weather\", \"arguments\": ", "}", arguments),
            ("Well.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": ", "}\n</tool_call>", arguments),
            ("[TOOL_CALLS] [{\"name\": \"weather\", \"arguments\": ", "}]", arguments),
            ("<|python_tag|>{\"type\": \"function\", \"name\": \"weather\", \"parameters\": ", "}", arguments),
            ("{\"function\": {\"name\": \"weather\", \"arguments\": ", "}}", arguments),
            ("{\"name\": \"weather\", \"arguments\": ", "}", &text),
        ] {
            let answer = format!("{before}{arguments_written}{after}");
            let mut longest = 0;
            for end in before.len()..before.len() + arguments_written.len() {
                let (_, calls, begun) = read(&answer[..end]).unwrap_or_else(|| panic!("{}", &answer[..end]));
                let BegunCall { name, arguments: told } = begun.unwrap();
                assert!(name == "weather" && calls.is_empty() && arguments.starts_with(&told), "{told} of {arguments}");
                longest = longest.max(told.len());
            }
            assert!(longest + 1 >= arguments.len(), "{longest} of {arguments}");
            let (_, calls, begun) = read(&answer).unwrap();
            assert_eq!((calls.len(), begun), (1, None), "{answer}");
        }
    }

    #[test]
    fn whole_calls_stay_and_what_is_no_call_is_none() {
        let two = "So:\n<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>\n<tool_call>{\"name\": \"weather\", \"argu";
        let begun = Some(BegunCall { name: "weather".to_owned(), arguments: String::new() });
        assert_eq!(read(two), Some(("So:".to_owned(), vec![json!(["now", {}])], begun)));
        let between = "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>\n<tool";
        assert_eq!(read(between), Some((String::new(), vec![json!(["now", {}])], None)));
        assert_eq!(read("<tool_call>{\"na"), Some((String::new(), Vec::new(), None)));
        for text in ["It is sunny", "{\"city\": \"Ro", "{\"na", "[1, 2", "", "{", "A <tool"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
