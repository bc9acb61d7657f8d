//! Calls of tools in what models write: in tags, in a list, or as bare JSON.

use serde_json::Value;

use super::ToolCall;

pub(super) const OPEN: &str = "<tool_call>";
pub(super) const CLOSE: &str = "</tool_call>";
/// What stands before calls that are bare JSON.
pub(super) const LEADS: [&str; 3] = ["<|python_tag|>", "[TOOL_CALLS]", "```json"];

/// An answer, taken apart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parsed {
    /// What is not a call.
    pub text: String,
    /// The calls, in order.
    pub calls: Vec<ToolCall>,
}

/// Takes an answer apart.
pub(super) fn parse(answer: &str) -> Parsed {
    let mut parsed = if answer.contains(OPEN) { tagged(answer) } else { bare(answer) };
    identified(&mut parsed.calls);
    parsed
}

/// Gives the calls of an answer their ids.
pub(super) fn identified(calls: &mut [ToolCall]) {
    for (index, call) in calls.iter_mut().enumerate() {
        call.id = id_of(index, call);
    }
}

/// The byte from which the answer may be a call.
pub(super) fn may_begin_at(answer: &str) -> usize {
    if let Some(place) = answer.find(OPEN) {
        return place;
    }
    let start = answer.len() - answer.trim_start().len();
    let trimmed = &answer[start..];
    let leads = LEADS.iter().any(|lead| trimmed.starts_with(lead) || lead.starts_with(trimmed));
    if trimmed.starts_with(['{', '[']) || leads {
        return start;
    }
    // The last bytes may be the beginning of a tag.
    let most = (OPEN.len() - 1).min(answer.len());
    let begun = (1..=most).rev().find(|&length| answer.as_bytes().ends_with(&OPEN.as_bytes()[..length]));
    answer.len() - begun.unwrap_or(0)
}

fn tagged(answer: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut rest = answer;
    while let Some(open) = rest.find(OPEN) {
        let inside = &rest[open + OPEN.len()..];
        let (body, after) = inside.split_once(CLOSE).unwrap_or((inside, ""));
        let calls = serde_json::from_str(body.trim()).ok().and_then(|value| call_of(&value));
        match calls {
            Some(call) => {
                parsed.text += &rest[..open];
                parsed.calls.push(call);
            }
            None => parsed.text += &rest[..rest.len() - after.len()],
        }
        rest = after;
    }
    parsed.text += rest;
    if !parsed.calls.is_empty() {
        parsed.text = parsed.text.trim().to_owned();
    }
    parsed
}

/// An answer that is nothing but calls: objects one after another, or in a list.
fn bare(answer: &str) -> Parsed {
    let mut body = answer.trim();
    for lead in LEADS {
        body = body.strip_prefix(lead).unwrap_or(body).trim_start();
    }
    // Where the tags are special tokens, the text has none of them, or only those that close.
    let body = body.strip_suffix("```").unwrap_or(body).replace(CLOSE, "");
    calls_of(&body).map_or_else(
        || Parsed { text: answer.to_owned(), calls: Vec::new() },
        |calls| Parsed { text: String::new(), calls },
    )
}

fn calls_of(body: &str) -> Option<Vec<ToolCall>> {
    let mut calls = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match values.next()?.ok()? {
            Value::Array(items) => calls.extend(items.iter().map(call_of).collect::<Option<Vec<_>>>()?),
            value => calls.push(call_of(&value)?),
        }
        // Llama 3 puts a semicolon between calls.
        rest = rest[values.byte_offset()..].trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    }
    (!calls.is_empty()).then_some(calls)
}

/// An object with a name and arguments, as far as it is one.
pub(super) fn call_of(value: &Value) -> Option<ToolCall> {
    let value = value.get("function").filter(|function| function.is_object()).unwrap_or(value);
    let name = value.get("name")?.as_str()?.to_owned();
    let arguments = match value.get("arguments").or_else(|| value.get("parameters"))? {
        Value::String(text) => serde_json::from_str(text).ok()?,
        other => other.clone(),
    };
    arguments.is_object().then(|| ToolCall { id: String::new(), name, arguments })
}

/// `call_` and letters that the call decides: the same answer gives the same ids, and two calls of one answer differ.
fn id_of(index: usize, call: &ToolCall) -> String {
    // FNV-1a in 128 bits.
    const PRIME: u128 = (1 << 88) + 0x13B;
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in format!("{index} {} {}", call.name, call.arguments).bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    }
    let letters = (0..24).map(|_| {
        let letter = char::from(b'a' + (hash % 26) as u8);
        hash /= 26;
        letter
    });
    format!("call_{}", letters.collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(answer: &str) -> (String, Vec<(String, Value)>) {
        let Parsed { text, calls } = parse(answer);
        (text, calls.into_iter().map(|call| (call.name, call.arguments)).collect())
    }

    #[test]
    fn calls_are_read_as_each_family_writes_them() {
        let rome = || ("weather".to_owned(), json!({"city": "Rome"}));
        let one = (String::new(), vec![rome()]);
        for answer in [
            "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>",
            "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}",
            "{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"}}",
            "<|python_tag|>{\"type\": \"function\", \"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"}}\n",
            "[TOOL_CALLS] [{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}, \"id\": \"abcdefghi\"}]",
            " [{\"name\": \"weather\", \"arguments\": \"{\\\"city\\\": \\\"Rome\\\"}\"}]",
            "```json\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n```",
            "{\"function\": {\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}}",
        ] {
            assert_eq!(read(answer), one, "{answer}");
        }
        let now = ("now".to_owned(), json!({}));
        let two = "Let me see.\n<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}</tool_call>\n\
                   <tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>";
        assert_eq!(read(two), ("Let me see.".to_owned(), vec![rome(), now.clone()]));
        let several =
            "{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"}}; {\"name\": \"now\", \"parameters\": {}}";
        assert_eq!(read(several), (String::new(), vec![rome(), now]));
    }

    #[test]
    fn what_is_no_call_stays_text() {
        for answer in [
            "It is sunny in Rome.",
            "{\"city\": \"Rome\"}",
            "{\"name\": \"Rome\"}",
            "{\"name\": \"weather\", \"arguments\": 5}",
            "{\"name\": \"weather\", \"arguments\": {}} is how it is called",
            "[]",
            "[1, 2]",
            "{\"name\": \"weather\", \"arguments\": {",
            "",
            "<tool_call>{\"name\": </tool_call>",
            "<tool_call>",
        ] {
            assert_eq!(read(answer), (answer.to_owned(), vec![]), "{answer}");
        }
    }

    #[test]
    fn ids_are_letters_that_repeat_and_differ() {
        let call = "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>";
        let ids = |answer: &str| parse(answer).calls.into_iter().map(|call| call.id).collect::<Vec<_>>();
        let twice = ids(&call.repeat(2));
        assert_eq!(twice[..1], ids(call));
        assert_ne!(twice[0], twice[1]);
        assert!(twice[0].strip_prefix("call_").unwrap().bytes().all(|letter| letter.is_ascii_lowercase()));
    }

    #[test]
    fn what_may_be_a_call_is_held_back_and_no_more() {
        let shown = |answer: &str| answer[..may_begin_at(answer)].to_owned();
        assert_eq!(shown("It is <b"), "It is <b");
        assert_eq!(shown("It is <tool"), "It is ");
        assert_eq!(shown("It is <tool_call>{\"name\""), "It is ");
        assert_eq!(shown(" {\"na"), " ");
        assert_eq!(shown("[TOOL"), "");
        assert_eq!(shown("<|pyth"), "");
        assert_eq!(shown("``"), "");
        assert_eq!(shown("A [list] {of} things"), "A [list] {of} things");
    }
}
