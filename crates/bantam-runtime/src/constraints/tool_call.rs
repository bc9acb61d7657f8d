//! The grammar of an answer that calls tools, in each style of writing calls.

use serde_json::{Value, json};

use super::engine::with_whitespace;
use crate::chat::CallStyle;

/// A grammar in Lark. `tools` are names and schemas of arguments; `special` gives the id of a special token by its
/// spelling.
pub(super) fn grammar(
    style: CallStyle,
    tools: &[(&str, Value)],
    is_one: bool,
    special: &dyn Fn(&str) -> Option<u32>,
) -> String {
    let arguments = if style == CallStyle::Parameters { "parameters" } else { "arguments" };
    let json = with_whitespace(one_of(tools, arguments, "#"));
    let mark = |spelling: &str| special(spelling).map_or_else(|| json!(spelling).to_string(), |id| format!("<[{id}]>"));
    match style {
        CallStyle::Tagged => {
            let rest = if is_one { String::new() } else { " (\"\\n\" tagged)*".to_owned() };
            let (open, close) = (mark("<tool_call>"), mark("</tool_call>"));
            format!("start: tagged{rest}\ntagged: {open} \"\\n\" call \"\\n\" {close}\ncall: %json {json}\n")
        }
        CallStyle::Listed => {
            let most = if is_one { 1 } else { MOST_CALLS };
            let items = one_of(tools, arguments, "#/items");
            let list = with_whitespace(json!({"type": "array", "items": items, "minItems": 1, "maxItems": most}));
            format!("start: {} \" \"? calls\ncalls: %json {list}\n", mark("[TOOL_CALLS]"))
        }
        CallStyle::Parameters | CallStyle::Plain => format!("start: call\ncall: %json {json}\n"),
    }
}

/// Calls of one answer at most, where they stand in a list.
const MOST_CALLS: usize = 16;

/// The schema, at `place`, of a call of one of the tools.
fn one_of(tools: &[(&str, Value)], arguments: &str, place: &str) -> Value {
    let call = |(index, (name, parameters)): (usize, &(&str, Value))| {
        let mut parameters = parameters.clone();
        refer_to(&mut parameters, &format!("{place}/anyOf/{index}/properties/{arguments}"));
        if parameters.get("type").is_none() {
            parameters["type"] = "object".into();
        }
        json!({
            "type": "object",
            "properties": {"name": {"const": name}, arguments: parameters},
            "required": ["name", arguments],
            "additionalProperties": false,
        })
    };
    let calls: Vec<Value> = tools.iter().enumerate().map(call).collect();
    json!({"anyOf": calls})
}

/// Lets references from the root of a schema start from the place to which it was moved.
fn refer_to(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(target) if key == "$ref" => {
                        if let Some(rest) = target.strip_prefix('#') {
                            *target = format!("{place}{rest}");
                        }
                    }
                    other => refer_to(other, place),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| refer_to(item, place)),
        _ => {}
    }
}
