//! How a model's conversations are put into tokens.

use std::collections::BTreeMap;

use bantam_tokens::Tokenizer;
use serde_json::{Map, Value, json};

use super::marks::{Marks, SEAL};
use super::template::Template;
use super::{ChatError, CutCalls, Message, Parsed, Tool, ToolCall, calls, cut_calls};

/// Spellings that end an answer: tokens where a vocabulary has them as such, else texts.
pub(crate) const ENDS: [&str; 9] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|end_of_turn|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
];
const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

/// How a model writes that it calls a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallStyle {
    /// `<tool_call>{"name": ..., "arguments": ...}</tool_call>`, as Hermes and Qwen do.
    Tagged,
    /// `[TOOL_CALLS] [{"name": ..., "arguments": ...}]`, as Mistral does.
    Listed,
    /// `{"name": ..., "parameters": ...}`, as Llama 3 does.
    Parameters,
    /// `{"name": ..., "arguments": ...}`.
    Plain,
}

/// Puts conversations into a model's tokens, and finds calls of tools in its answers.
pub struct ChatFormat {
    kind: Kind,
    style: CallStyle,
    stops: Vec<String>,
}

enum Kind {
    Template(Box<Template>, Marks),
    Plain,
    Broken(ChatError),
}

impl ChatFormat {
    /// The format of a model's own template, in Jinja.
    ///
    /// # Errors
    /// [`ChatError::Template`] with the line where the template is not Jinja.
    pub fn new(template: &str, tokenizer: &Tokenizer) -> Result<Self, ChatError> {
        let special = tokenizer.special();
        let ids = [
            ("bos_token", special.begin),
            ("eos_token", special.end),
            ("unk_token", special.unknown),
            ("pad_token", special.pad),
        ];
        let spelled = ids.into_iter().filter_map(|(name, id)| Some((name, tokenizer.token(id?)?)));
        let roles: BTreeMap<&str, String> = spelled.collect();
        let added = tokenizer.added_tokens();
        let is_text = |end: &&str| template.contains(end) && !added.iter().any(|token| token.spelling == **end);
        Ok(Self {
            kind: Kind::Template(Box::new(Template::new(template, roles)?), Marks::of(tokenizer, template)),
            style: style_of(template),
            stops: ENDS.iter().filter(|end| is_text(end)).map(|&end| end.to_owned()).collect(),
        })
    }

    /// A format for models without template: each message on lines of its own, after `User:`, `Assistant:` or `Tool:`;
    /// what the system says comes as it is.
    pub fn plain() -> Self {
        let stops = ["\nUser:", "\nTool:"].map(str::to_owned).to_vec();
        Self { kind: Kind::Plain, style: CallStyle::Plain, stops }
    }

    /// A format that says why it cannot be used, each time.
    pub(crate) fn broken(cause: ChatError) -> Self {
        Self { kind: Kind::Broken(cause), ..Self::plain() }
    }

    /// Whether the model has no template of its own.
    pub fn is_plain(&self) -> bool {
        matches!(self.kind, Kind::Plain)
    }

    /// How calls are written.
    pub fn call_style(&self) -> CallStyle {
        self.style
    }

    /// Texts that end an answer, for [`crate::generation::GenerateOptions::stop`].
    pub fn stops(&self) -> Vec<String> {
        self.stops.clone()
    }

    /// The tokens of a conversation; with `answer_next`, up to where the assistant's answer begins. The text begins as
    /// the tokenizer has texts begin, once, whether the template writes that or not. Tokens with a role come from the
    /// template alone: where a message spells one, it is text.
    ///
    /// # Errors
    /// For an unknown role, for no message at all, and when the template refuses the conversation or fails.
    pub fn render(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        tools: &[Tool],
        answer_next: bool,
    ) -> Result<Vec<u32>, ChatError> {
        let plain;
        let marks = match &self.kind {
            Kind::Template(_, marks) => marks,
            Kind::Plain | Kind::Broken(_) => {
                plain = Marks::of(tokenizer, "");
                &plain
            }
        };
        let content = marks.encode(&self.sealed_text(marks, messages, tools, answer_next)?, tokenizer);
        let begin = tokenizer.around().0;
        let mut content = content.as_slice();
        // A template that writes its beginning twice is a known mistake.
        while let [first, second, ..] = content
            && first == second
            && tokenizer.special().begin == Some(*first)
        {
            content = &content[1..];
        }
        Ok(if content.starts_with(begin) { content.to_vec() } else { [begin, content].concat() })
    }

    /// The text of a conversation, as the template writes it.
    ///
    /// # Errors
    /// As [`ChatFormat::render`].
    pub fn text(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        tools: &[Tool],
        answer_next: bool,
    ) -> Result<String, ChatError> {
        let marks = Marks::of(tokenizer, "");
        Ok(self.sealed_text(&marks, messages, tools, answer_next)?.replace(SEAL, ""))
    }

    /// The calls of tools in an answer, and the text beside them. What cannot be read as a call stays text.
    pub fn tool_calls(&self, answer: &str) -> Parsed {
        calls::parse(answer)
    }

    /// The same in an answer that was cut, of which the last call is not whole; none where it does not call tools, as far as can be told.
    pub fn cut_tool_calls(&self, answer: &str) -> Option<CutCalls> {
        cut_calls::parse(answer)
    }

    /// The byte of the answer so far from which it may be a call; all before it is text for certain, and may be shown.
    pub fn call_may_begin_at(&self, answer: &str) -> usize {
        calls::may_begin_at(answer)
    }

    fn sealed_text(
        &self,
        marks: &Marks,
        messages: &[Message],
        tools: &[Tool],
        answer_next: bool,
    ) -> Result<String, ChatError> {
        if messages.is_empty() {
            return Err(ChatError::Empty);
        }
        if let Some(index) = messages.iter().position(|message| !ROLES.contains(&message.role.as_str())) {
            return Err(ChatError::Role { index, role: messages[index].role.clone() });
        }
        match &self.kind {
            Kind::Broken(cause) => Err(cause.clone()),
            Kind::Plain => Ok(plain_text(marks, messages, tools, answer_next)),
            Kind::Template(template, _) => {
                let knows_developer = template.knows("developer");
                let messages: Vec<Value> =
                    messages.iter().map(|message| for_template(message, marks, knows_developer)).collect();
                let tools: Vec<Value> = tools.iter().map(|tool| described(tool, marks)).collect();
                template.render(&messages, &tools, answer_next)
            }
        }
    }
}

fn style_of(template: &str) -> CallStyle {
    if template.contains("<tool_call>") {
        CallStyle::Tagged
    } else if template.contains("[TOOL_CALLS]") {
        CallStyle::Listed
    } else if template.contains("<|python_tag|>") || template.contains("\"parameters\": ") {
        CallStyle::Parameters
    } else {
        CallStyle::Plain
    }
}

/// A message as templates read it, sealed.
fn for_template(message: &Message, marks: &Marks, knows_developer: bool) -> Value {
    let role = match message.role.as_str() {
        "developer" if !knows_developer => "system",
        role => role,
    };
    let is_assistant = role == "assistant";
    let mut fields = Map::new();
    fields.insert("role".to_owned(), role.into());
    let content = match &message.content {
        Some(content) => marks.seal(content, is_assistant).into(),
        None if message.tool_calls.is_empty() => "".into(),
        None => Value::Null,
    };
    fields.insert("content".to_owned(), content);
    for (key, text) in [("name", &message.name), ("tool_call_id", &message.tool_call_id)] {
        if let Some(text) = text {
            fields.insert(key.to_owned(), marks.seal(text, false).into());
        }
    }
    if !message.tool_calls.is_empty() {
        let seal = |text: &str| marks.seal(text, false);
        let called = |call: &ToolCall| {
            // Templates read the arguments as an object.
            let function = json!({"name": seal(&call.name), "arguments": marks.seal_value(&call.arguments)});
            json!({"id": seal(&call.id), "type": "function", "function": function})
        };
        let calls: Vec<Value> = message.tool_calls.iter().map(called).collect();
        fields.insert("tool_calls".to_owned(), calls.into());
    }
    fields.into()
}

/// A tool as templates read it, sealed.
fn described(tool: &Tool, marks: &Marks) -> Value {
    let mut function = json!({"name": marks.seal(&tool.name, false)});
    if let Some(description) = &tool.description {
        function["description"] = marks.seal(description, false).into();
    }
    function["parameters"] = marks.seal_value(&tool.parameters);
    json!({"type": "function", "function": function})
}

fn plain_text(marks: &Marks, messages: &[Message], tools: &[Tool], answer_next: bool) -> String {
    let mut text = String::new();
    if !tools.is_empty() {
        text += "These tools may be called, by an answer of the form {\"name\": ..., \"arguments\": {...}}:\n";
        tools.iter().for_each(|tool| text += &format!("{}\n", described(tool, marks)));
        text.push('\n');
    }
    for message in messages {
        let content = marks.seal(message.content.as_deref().unwrap_or_default(), message.role == "assistant");
        text += &match message.role.as_str() {
            "user" => format!("User: {content}\n"),
            "assistant" => format!("Assistant: {content}{}\n", plain_calls(&message.tool_calls, marks)),
            "tool" | "function" => format!("Tool: {content}\n"),
            _ => format!("{content}\n\n"),
        };
    }
    if answer_next {
        text += "Assistant:";
    }
    text
}

fn plain_calls(calls: &[ToolCall], marks: &Marks) -> String {
    let written = |call: &ToolCall| {
        let name = marks.seal(&call.name, false);
        json!({"name": name, "arguments": marks.seal_value(&call.arguments)}).to_string()
    };
    calls.iter().map(written).collect::<Vec<_>>().join("\n")
}
