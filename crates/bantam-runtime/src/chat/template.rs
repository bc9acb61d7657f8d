//! A model's chat template: Jinja, in an engine that no template can keep busy for long, nor have it fill the memory.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::{Environment, Error, ErrorKind, Value};
use minijinja_contrib::pycompat::unknown_method_callback;
use regex::Regex;
use serde_json::Value as Json;

use super::bounded::{self, Program};
use super::{ChatError, python};

/// Steps that a template may take: some hundred for each message, and within a second all the same.
const MOST_STEPS: u64 = 10_000_000;
/// Bytes of the texts that a template may make in all, what it writes included, beside those for each byte of the conversation: with these, a
/// template may copy all that it has so far for each of five hundred messages.
const MOST_BYTES: usize = 16 << 20;
const MOST_BYTES_PER_BYTE: usize = 256;
/// Bytes of what it writes, beside its own source once for each message and tool: tokenizers take eighty for each.
const MOST_TEXT: usize = 64 << 10;
const MOST_TEXT_PER_BYTE: usize = 32;
const NAME: &str = "chat";

pub(super) struct Template {
    engine: Environment<'static>,
    source: String,
    /// Tokens that templates write by their role: `bos_token` and its like.
    roles: BTreeMap<&'static str, String>,
}

impl Template {
    pub(super) fn new(source: &str, roles: BTreeMap<&'static str, String>) -> Result<Self, ChatError> {
        let mut engine = Environment::new();
        engine.set_fuel(Some(MOST_STEPS));
        engine.set_unknown_method_callback(unknown_method_callback);
        engine.add_filter("tojson", python::tojson);
        engine.add_function("raise_exception", raise_exception);
        // Where there is no clock, templates have a date of their own.
        #[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
        engine.add_function("strftime_now", strftime_now);
        bounded::prepare(&mut engine);
        let source = bounded::prepared(&without_training_marks(source)).map_err(|error| told(&error))?;
        Program::of(&source, NAME).map_err(|error| told(&error))?;
        Ok(Self { engine, source, roles })
    }

    /// Whether the template speaks of `word` anywhere.
    pub(super) fn knows(&self, word: &str) -> bool {
        self.source.contains(word)
    }

    pub(super) fn render(&self, messages: &[Json], tools: &[Json], answer_next: bool) -> Result<String, ChatError> {
        let mut values: BTreeMap<&str, Value> =
            self.roles.iter().map(|(&name, token)| (name, Value::from(token.as_str()))).collect();
        values.insert("messages", Value::from_serialize(messages));
        values.insert("tools", if tools.is_empty() { Value::from(()) } else { Value::from_serialize(tools) });
        values.insert("documents", Value::from(()));
        values.insert("add_generation_prompt", answer_next.into());
        let bytes: usize = messages.iter().chain(tools).map(bytes_of).sum();
        let most = MOST_BYTES + MOST_BYTES_PER_BYTE * bytes;
        let program = Program::of(&self.source, NAME).map_err(|error| told(&error))?;
        let text = program.render(&self.engine, values, most).map_err(|error| told(&error))?;
        let parts = messages.len() + tools.len() + 1;
        if text.len() > MOST_TEXT + MOST_TEXT_PER_BYTE * bytes + self.source.len() * parts {
            return Err(told(&bounded::too_long()));
        }
        Ok(text)
    }
}

/// The texts in a value.
fn bytes_of(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(bytes_of).sum(),
        Json::Object(items) => items.iter().map(|(key, value)| key.len() + bytes_of(value)).sum(),
        _ => 1,
    }
}

/// `{% generation %}` marks what is learnt in training; it changes no text.
fn without_training_marks(source: &str) -> String {
    static BEGIN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\{%([-+]?)\s*generation\s*([-+]?)%\}").expect("a fixed expression"));
    static END: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\{%([-+]?)\s*endgeneration\s*([-+]?)%\}").expect("a fixed expression"));
    let begun = BEGIN.replace_all(source, "{%$1 if true $2%}");
    END.replace_all(&begun, "{%$1 endif $2%}").into_owned()
}

fn raise_exception(cause: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, cause.to_owned()))
}

#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
fn strftime_now(pattern: &str) -> Result<String, Error> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    super::dates::formatted(pattern, now.as_secs()).ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, format!("strftime_now has a sign in {pattern:?} that is not known"))
    })
}

/// The line and the innermost cause.
fn told(error: &Error) -> ChatError {
    let cause = match error.kind() {
        ErrorKind::OutOfFuel => "it takes too many steps for this conversation".to_owned(),
        kind => error.detail().map_or_else(|| kind.to_string(), str::to_owned),
    };
    ChatError::Template { line: error.line(), cause }
}
