//! The form that an answer must have: JSON, a schema, a pattern, a grammar, or the call of a tool.

use bantam_runtime::chat::{Tool, ToolChoice};
use bantam_runtime::sampling::Constraint;
use serde_json::Value;

use crate::body::Fields;
use crate::failure::Failure;
use crate::service::Language;

/// A form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    /// Any JSON object.
    Object,
    /// JSON that fits a schema.
    Schema(Value),
    /// Text that matches a regular expression as a whole.
    Pattern(String),
    /// One of several texts.
    Choice(Vec<String>),
    /// Text of a grammar, in llama.cpp's notation or in Lark's.
    Grammar(String),
    /// Calls of tools.
    Calls(ToolChoice),
}

/// What a field holds.
#[derive(Clone, Copy)]
enum Spelled {
    Schema,
    Pattern,
    Grammar,
    Choice,
}

/// The parts of `structured_outputs`, beside `json_object`.
const OUTPUTS: &[(&str, Spelled)] = &[
    ("json", Spelled::Schema),
    ("regex", Spelled::Pattern),
    ("grammar", Spelled::Grammar),
    ("choice", Spelled::Choice),
];

/// The same as fields of their own: of older versions of vLLM, and of llama.cpp.
const OF_OTHERS: &[(&str, Spelled)] = &[
    ("guided_json", Spelled::Schema),
    ("guided_regex", Spelled::Pattern),
    ("guided_grammar", Spelled::Grammar),
    ("guided_choice", Spelled::Choice),
    ("json_schema", Spelled::Schema),
    ("grammar", Spelled::Grammar),
];

/// Whether an answer calls tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToolUse {
    /// It does not.
    Never,
    /// As the model likes.
    Free,
    /// It has to.
    Must(ToolChoice),
}

/// Reads `response_format` of a chat or a completion, `structured_outputs` as vLLM has them, and the fields that its older versions and
/// llama.cpp have for each.
pub(crate) fn form(fields: &mut Fields) -> Result<Option<Form>, Failure> {
    let standard = fields
        .take::<Value>("response_format")?
        .map(|format| format_of(&format, "response_format"))
        .transpose()?
        .flatten();
    let mut found: Vec<Form> = standard.into_iter().collect();
    found.extend(named(fields, OF_OTHERS)?);
    if let Some(outputs) = fields.take::<Value>("structured_outputs")? {
        let mut outputs = Fields::of(outputs, "structured_outputs")?;
        found.extend(named(&mut outputs, OUTPUTS)?);
        found.extend(outputs.take::<bool>("json_object")?.filter(|&asked| asked).map(|_| Form::Object));
        outputs.expect_taken("structured_outputs")?;
    }
    if found.len() > 1 {
        let remedy = "send one of response_format and structured_outputs, with one of json, json_object, regex, grammar and choice";
        return Err(Failure::field("structured_outputs", "an answer cannot have two forms", remedy));
    }
    Ok(found.pop())
}

/// The forms that stand in fields of these names.
fn named(fields: &mut Fields, names: &[(&str, Spelled)]) -> Result<Vec<Form>, Failure> {
    let mut found = Vec::new();
    for &(name, spelled) in names {
        found.extend(match spelled {
            Spelled::Schema => fields.take(name)?.map(|schema| schema_of(schema, name)).transpose()?.map(Form::Schema),
            Spelled::Pattern => fields.take(name)?.map(Form::Pattern),
            Spelled::Grammar => fields.take(name)?.map(Form::Grammar),
            Spelled::Choice => fields.take(name)?.map(Form::Choice),
        });
    }
    Ok(found)
}

/// Reads the format of an answer; none for plain text. Schemas are in `json_schema` in a chat, and beside the type in a response;
/// `huggingface_hub` sends them as `value` of a `json_object`, and users of llama.cpp as its `schema`.
pub(crate) fn format_of(format: &Value, place: &str) -> Result<Option<Form>, Failure> {
    match format["type"].as_str() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(match format.get("value").or_else(|| format.get("schema")) {
            Some(schema @ Value::Object(_)) => Form::Schema(schema.clone()),
            _ => Form::Object,
        })),
        Some("json_schema") => {
            let schema = format["json_schema"].get("schema").or_else(|| format.get("schema"));
            match schema {
                Some(schema @ (Value::Object(_) | Value::Bool(_))) => Ok(Some(Form::Schema(schema.clone()))),
                _ => Err(Failure::field(
                    place,
                    format!("{place} has no schema"),
                    r#"send {"type": "json_schema", "json_schema": {"name": "...", "schema": {}}}"#,
                )),
            }
        }
        _ => {
            let message = format!("{place} has the type {}", format["type"]);
            Err(Failure::field(place, message, "take one of: text, json_object, json_schema"))
        }
    }
}

/// A schema, which some clients send as text.
fn schema_of(value: Value, name: &str) -> Result<Value, Failure> {
    let remedy = "send the schema as an object";
    let schema = match value {
        Value::String(text) => serde_json::from_str(&text)
            .map_err(|error| Failure::field(name, format!("the schema in `{name}` is no JSON: {error}"), remedy))?,
        schema => schema,
    };
    match schema {
        Value::Object(_) | Value::Bool(_) => Ok(schema),
        _ => Err(Failure::field(name, format!("`{name}` holds no schema"), remedy)),
    }
}

/// Reads `tool_choice`, whose function is in `function` in a chat, and beside the type in a response.
pub(crate) fn tool_use(fields: &mut Fields, tools: &[Tool]) -> Result<ToolUse, Failure> {
    let free = if tools.is_empty() { ToolUse::Never } else { ToolUse::Free };
    let Some(choice) = fields.take::<Value>("tool_choice")? else { return Ok(free) };
    let named = choice["function"]["name"].as_str().or_else(|| choice["name"].as_str());
    match (choice.as_str(), named) {
        (Some("none"), _) => Ok(ToolUse::Never),
        (Some("auto"), _) => Ok(free),
        (Some("required"), _) if !tools.is_empty() => Ok(ToolUse::Must(ToolChoice::Required)),
        (_, Some(name)) if tools.iter().any(|tool| tool.name == name) => {
            Ok(ToolUse::Must(ToolChoice::Named(name.to_owned())))
        }
        _ => {
            let message = format!("tool_choice is {choice}, which `tools` does not have");
            Err(Failure::field("tool_choice", message, r#"send "none", "auto", "required" or the function of a tool"#))
        }
    }
}

impl Form {
    /// What holds an answer to it. The first one of a model takes a while, and so do long schemas.
    pub(crate) fn constraint(&self, language: &Language, tools: &[Tool]) -> Result<Box<dyn Constraint>, Failure> {
        let constraints = language.constraints()?;
        let made = match self {
            Self::Object => constraints.json_object(),
            Self::Schema(schema) => constraints.json_schema(schema),
            Self::Pattern(pattern) => constraints.regex(pattern),
            Self::Choice(texts) => constraints.choices(texts),
            Self::Grammar(grammar) => constraints.grammar(grammar),
            Self::Calls(choice) => constraints.tool_call(language.chat(), tools, choice),
        };
        let field = match self {
            Self::Object | Self::Schema(_) => "response_format",
            Self::Pattern(_) | Self::Choice(_) | Self::Grammar(_) => "structured_outputs",
            Self::Calls(_) => "tools",
        };
        let remedy = match self {
            Self::Grammar(_) => "write it in the notation of llama.cpp or of Lark, simplify it, or leave it out",
            _ => "simplify it, or leave it out",
        };
        made.map_err(|error| Failure::field(field, error.to_string(), remedy))
    }
}
