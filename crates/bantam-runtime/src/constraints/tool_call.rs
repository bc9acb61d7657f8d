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
    let call = one_of(tools, arguments);
    let json = with_whitespace(call.clone());
    let mark = |spelling: &str| special(spelling).map_or_else(|| json!(spelling).to_string(), |id| format!("<[{id}]>"));
    match style {
        CallStyle::Tagged => {
            let rest = if is_one { String::new() } else { " (\"\\n\" tagged)*".to_owned() };
            let (open, close) = (mark("<tool_call>"), mark("</tool_call>"));
            format!("start: tagged{rest}\ntagged: {open} \"\\n\" call \"\\n\" {close}\ncall: %json {json}\n")
        }
        CallStyle::Listed => {
            let most = if is_one { 1 } else { MOST_CALLS };
            let list = with_whitespace(json!({"type": "array", "items": call, "minItems": 1, "maxItems": most}));
            format!("start: {} \" \"? calls\ncalls: %json {list}\n", mark("[TOOL_CALLS]"))
        }
        CallStyle::Parameters | CallStyle::Plain => format!("start: call\ncall: %json {json}\n"),
    }
}

/// Calls of one answer at most, where they stand in a list.
const MOST_CALLS: usize = 16;

/// The schema of a call of one of the tools.
fn one_of(tools: &[(&str, Value)], arguments: &str) -> Value {
    let call = |(name, parameters): &(&str, Value)| {
        json!({
            "type": "object",
            "properties": {"name": {"const": name}, arguments: parameters},
            "required": ["name", arguments],
            "additionalProperties": false,
        })
    };
    let calls: Vec<Value> = tools.iter().map(call).collect();
    json!({"anyOf": calls})
}
