//! A model's chat template: Jinja, in an engine that no template can keep busy for long.

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use minijinja_contrib::pycompat::unknown_method_callback;
use regex::Regex;
use serde_json::Value as Json;

use super::{ChatError, python};

/// Steps that a template may take: some hundred for each message, and within a second all the same.
const MOST_STEPS: u64 = 10_000_000;
/// Bytes of text that a template may write: more than a conversation that any model reads.
const MOST_BYTES: usize = 64 << 20;
const NAME: &str = "chat";

pub(super) struct Template {
    engine: Environment<'static>,
    /// Tokens that templates write by their role: `bos_token` and its like.
    roles: BTreeMap<&'static str, String>,
}

impl Template {
    pub(super) fn new(source: &str, roles: BTreeMap<&'static str, String>) -> Result<Self, ChatError> {
        let mut engine = Environment::new();
        engine.set_auto_escape_callback(|_| AutoEscape::None);
        engine.set_trim_blocks(true);
        engine.set_lstrip_blocks(true);
        engine.set_fuel(Some(MOST_STEPS));
        engine.set_unknown_method_callback(unknown_method_callback);
        engine.add_filter("tojson", python::tojson);
        engine.add_function("raise_exception", raise_exception);
        // Where there is no clock, templates have a date of their own.
        #[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
        engine.add_function("strftime_now", strftime_now);
        engine.add_template_owned(NAME, without_training_marks(source)).map_err(|error| told(&error))?;
        Ok(Self { engine, roles })
    }

    /// Whether the template speaks of `word` anywhere.
    pub(super) fn knows(&self, word: &str) -> bool {
        self.engine.get_template(NAME).is_ok_and(|template| template.source().contains(word))
    }

    pub(super) fn render(&self, messages: &[Json], tools: &[Json], answer_next: bool) -> Result<String, ChatError> {
        let mut values: BTreeMap<&str, Value> =
            self.roles.iter().map(|(&name, token)| (name, Value::from(token.as_str()))).collect();
        values.insert("messages", Value::from_serialize(messages));
        values.insert("tools", if tools.is_empty() { Value::from(()) } else { Value::from_serialize(tools) });
        values.insert("documents", Value::from(()));
        values.insert("add_generation_prompt", answer_next.into());
        let template = self.engine.get_template(NAME).map_err(|error| told(&error))?;
        let mut text = Bounded(Vec::new());
        template.render_captured_to(values, &mut text).map_err(|error| told(&error))?;
        String::from_utf8(text.0).map_err(|error| ChatError::Template { line: None, cause: error.to_string() })
    }
}

/// A text that does not grow beyond [`MOST_BYTES`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > MOST_BYTES - self.0.len() {
            return Err(io::Error::other(format!("it writes more than {MOST_BYTES} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
        ErrorKind::WriteFailure => format!("it writes more than {MOST_BYTES} bytes for this conversation"),
        kind => error.detail().map_or_else(|| kind.to_string(), str::to_owned),
    };
    ChatError::Template { line: error.line(), cause }
}
