//! The text of an answer that may call tools, told as far as it is certain.

use bantam_runtime::chat::{BegunCall, ChatFormat, CutCalls, Parsed, ToolCall};
use bantam_runtime::generation::Finish;
use bantam_runtime::generation::engine::Finished;
use serde_json::{Value, json};

use crate::forms::ToolUse;
use crate::identifier::identifier;

/// Follows an answer. Without tools all of its text is certain at once; with tools, it is up to where a call may begin.
pub(crate) struct ToolText {
    tool_use: ToolUse,
    text: String,
    told: usize,
}

/// What an answer says and calls.
#[derive(Default)]
pub(crate) struct Said {
    /// What is not a call.
    pub(crate) text: String,
    /// The calls that are whole.
    pub(crate) calls: Vec<ToolCall>,
    /// The call that a limit cut, with its id.
    begun: Option<(String, BegunCall)>,
}

impl Said {
    /// Whether it calls tools, if only by the beginning of a call.
    pub(crate) fn has_calls(&self) -> bool {
        !self.calls.is_empty() || self.begun.is_some()
    }

    /// All calls as a chat spells them; the arguments of the last may break off.
    pub(crate) fn spelled(&self) -> Vec<Value> {
        let begun = self.begun.iter().map(|(id, call)| {
            json!({"id": id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
        });
        self.calls.iter().map(|call| json!(call)).chain(begun).collect()
    }

    /// The call that is not whole: its id, its tool and the beginning of its arguments.
    pub(crate) fn begun(&self) -> Option<(&str, &str, &str)> {
        self.begun.as_ref().map(|(id, call)| (id.as_str(), call.name.as_str(), call.arguments.as_str()))
    }
}

impl ToolText {
    /// For an answer that may call tools, must, or does not.
    pub(crate) fn new(tool_use: &ToolUse) -> Self {
        Self { tool_use: tool_use.clone(), text: String::new(), told: 0 }
    }

    /// The text and the calls of a whole answer.
    pub(crate) fn whole(tool_use: &ToolUse, answer: &str, finished: &Finished, format: &ChatFormat) -> Said {
        let mut this = Self::new(tool_use);
        let text = this.push(answer, format);
        let end = this.end("", finished.finish, format);
        Said { text: text + &end.text, ..end }
    }

    /// Takes the next piece; gives the text that can be told.
    pub(crate) fn push(&mut self, piece: &str, format: &ChatFormat) -> String {
        match &self.tool_use {
            ToolUse::Never => return piece.to_owned(),
            ToolUse::Must(_) => {
                // All of it is calls.
                self.text.push_str(piece);
                return String::new();
            }
            ToolUse::Free => self.text.push_str(piece),
        }
        // Spaces before a call do not belong to the text.
        let certain = self.text[..format.call_may_begin_at(&self.text)].trim_end().len();
        let fresh = self.text.get(self.told..certain).unwrap_or_default().to_owned();
        self.told = self.told.max(certain);
        fresh
    }

    /// Takes the end; gives the text that was not told, and the calls.
    pub(crate) fn finish(self, finished: &Finished, format: &ChatFormat) -> Said {
        self.end(&finished.text, finished.finish, format)
    }

    fn end(mut self, piece: &str, finish: Finish, format: &ChatFormat) -> Said {
        if self.tool_use == ToolUse::Never {
            return Said { text: piece.to_owned(), ..Said::default() };
        }
        self.text.push_str(piece);
        let is_cut = matches!(finish, Finish::Length | Finish::Context | Finish::Deadline);
        let is_held = matches!(self.tool_use, ToolUse::Must(_));
        let parsed = format.tool_calls(&self.text);
        let cut = if is_cut && (parsed.calls.is_empty() || is_held) { format.cut_tool_calls(&self.text) } else { None };
        let (parsed, begun) = match cut {
            Some(CutCalls { whole, begun }) => (whole, begun),
            // Not even the tool is known.
            None if is_cut && is_held && parsed.calls.is_empty() => (Parsed::default(), None),
            None => (parsed, None),
        };
        let is_text = parsed.text == self.text;
        let told = &self.text[..self.told];
        let rest = parsed.text.strip_prefix(if is_text { told } else { told.trim_start() });
        Said {
            text: rest.unwrap_or_default().to_owned(),
            // Ids that no other answer has: conversations tell calls apart by them.
            calls: parsed.calls.into_iter().map(|call| ToolCall { id: identifier("call_"), ..call }).collect(),
            begun: begun.map(|call| (identifier("call_"), call)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bantam_runtime::chat::ToolChoice;

    use super::*;

    fn ended(finish: Finish) -> Finished {
        let (text, time) = (String::new(), Duration::ZERO);
        Finished {
            text,
            finish,
            fault: None,
            prompt_tokens: 1,
            reused_tokens: 0,
            answer_tokens: 1,
            waiting_time: time,
            prompt_time: time,
            answer_time: time,
        }
    }

    /// The text, and the calls with their arguments as texts.
    fn read(tool_use: &ToolUse, answer: &str, finish: Finish) -> (String, Vec<(String, String)>) {
        let said = ToolText::whole(tool_use, answer, &ended(finish), &ChatFormat::plain());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let call = |call: &Value| (text(&call["function"]["name"]), text(&call["function"]["arguments"]));
        (said.text.clone(), said.spelled().iter().map(call).collect())
    }

    #[test]
    fn a_call_that_a_limit_cuts_is_a_call_and_never_text() {
        let call = r#"{"name": "get_weather", "arguments": {"city": "Rome"}}"#;
        let must = ToolUse::Must(ToolChoice::Required);
        for end in 0..call.len() {
            let (text, calls) = read(&must, &call[..end], Finish::Length);
            assert_eq!(text, "", "{}", &call[..end]);
            assert!(calls.iter().all(|(name, start)| name == "get_weather" && call.contains(start.as_str())));
            assert_eq!(calls.len(), usize::from(end > 21), "{}", &call[..end]);
        }
        let cut = vec![("get_weather".to_owned(), r#"{"city": "Ro"#.to_owned())];
        let answer = format!("Let me see. <tool_call>{}", &call[..49]);
        assert_eq!(read(&ToolUse::Free, &answer, Finish::Length), ("Let me see.".to_owned(), cut));
        // What ends by itself, or is no call, is text as before.
        assert_eq!(read(&ToolUse::Free, &call[..48], Finish::End), (call[..48].to_owned(), Vec::new()));
        let json = r#"{"city": "Ro"#;
        assert_eq!(read(&ToolUse::Free, json, Finish::Length), (json.to_owned(), Vec::new()));
        assert_eq!(read(&ToolUse::Never, call, Finish::Length), (call.to_owned(), Vec::new()));
    }
}
