//! Answers that have a form for certain: a JSON schema, a regular expression, a grammar, a call of a tool.
//!
//! [`Constraints`] is made once for a model and shared; each answer gets its own
//! [`Constraint`](crate::sampling::Constraint). What no answer can meet is refused before the first token.

// The engine asks for the time, which only JavaScript knows there.
#[cfg_attr(all(target_arch = "wasm32", target_os = "unknown"), path = "engine_absent.rs")]
mod engine;
mod gbnf;
mod schema;
mod tool_call;

use bantam_tokens::Tokenizer;
use serde_json::{Value, json};

use self::engine::Engine;
use crate::chat::{ChatFormat, Tool, ToolChoice};
use crate::sampling::Constraint;

/// Why answers cannot be held to a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// No form can be held with this tokenizer, or on this machine.
    #[error("answers cannot be held to a form: {0}")]
    Unavailable(String),
    /// A JSON schema that is not supported, or that nothing meets.
    #[error("the JSON schema{}: {cause}", place_of(place))]
    Schema {
        /// Where, as a JSON pointer; empty for the whole.
        place: String,
        /// What is wrong there.
        cause: String,
    },
    /// A regular expression that is none, is not supported, or that nothing matches.
    #[error("the regular expression: {0}")]
    Regex(String),
    /// Texts to choose from, of which there are none or too many.
    #[error("the choices: {0}")]
    Choices(String),
    /// A grammar that is none, or that nothing matches.
    #[error("the grammar: {0}")]
    Grammar(String),
    /// A tool that must be called and is not there.
    #[error("no tool is named {0:?}; name one of those given")]
    UnknownTool(String),
    /// A tool with arguments that cannot be held to.
    #[error("the parameters of the tool {tool:?}{}: {cause}", place_of(place))]
    Tool {
        /// The tool.
        tool: String,
        /// Where in its parameters, as a JSON pointer.
        place: String,
        /// What is wrong there.
        cause: String,
    },
}

fn place_of(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" at {place}") }
}

/// What a text must be.
#[cfg_attr(
    all(target_arch = "wasm32", target_os = "unknown"),
    expect(dead_code, reason = "nothing reads it where the engine is absent")
)]
enum Form {
    Schema(Value),
    Regex(String),
    Grammar(String),
}

/// Holds a model's answers to forms.
pub struct Constraints {
    engine: Engine,
    /// Tokens that are named in grammars by their ids.
    special: Vec<(String, u32)>,
}

impl Constraints {
    /// For a tokenizer, the tokens that end an answer, and a model that scores `vocabulary` tokens.
    ///
    /// # Errors
    /// [`ConstraintError::Unavailable`] where the tokens have no text of their own.
    pub fn new(tokenizer: &Tokenizer, ends: &[u32], vocabulary: usize) -> Result<Self, ConstraintError> {
        let bytes = tokenizer.token_bytes().map_err(|error| ConstraintError::Unavailable(error.to_string()))?;
        let added = tokenizer.added_tokens();
        let special: Vec<(String, u32)> =
            added.into_iter().filter(|token| token.is_special).map(|token| (token.spelling, token.id)).collect();
        let engine = Engine::new(bytes, &special, ends, vocabulary).map_err(ConstraintError::Unavailable)?;
        Ok(Self { engine, special })
    }

    /// Answers that are JSON and meet a schema.
    ///
    /// # Errors
    /// [`ConstraintError::Schema`] with the place of a keyword that is not supported, and for a contradiction.
    pub fn json_schema(&self, schema: &Value) -> Result<Box<dyn Constraint>, ConstraintError> {
        let schema = schema::checked(schema).map_err(|(place, cause)| ConstraintError::Schema { place, cause })?;
        let failed = |cause| ConstraintError::Schema { place: String::new(), cause };
        self.engine.follow(Form::Schema(schema)).map_err(failed)
    }

    /// Answers that are a JSON object.
    ///
    /// # Errors
    /// [`ConstraintError::Schema`] where the vocabulary cannot spell one.
    pub fn json_object(&self) -> Result<Box<dyn Constraint>, ConstraintError> {
        self.json_schema(&json!({"type": "object"}))
    }

    /// Answers that a regular expression matches as a whole.
    ///
    /// # Errors
    /// [`ConstraintError::Regex`].
    pub fn regex(&self, expression: &str) -> Result<Box<dyn Constraint>, ConstraintError> {
        expect_short(expression, MOST_BYTES).map_err(ConstraintError::Regex)?;
        self.engine.follow(Form::Regex(expression.to_owned())).map_err(ConstraintError::Regex)
    }

    /// Answers that are one of several texts.
    ///
    /// # Errors
    /// [`ConstraintError::Choices`].
    pub fn choices(&self, texts: &[String]) -> Result<Box<dyn Constraint>, ConstraintError> {
        let failed = ConstraintError::Choices;
        if texts.is_empty() {
            return Err(failed("there are none".to_owned()));
        }
        let expression = texts.iter().map(|text| regex::escape(text)).collect::<Vec<_>>().join("|");
        expect_short(&expression, MOST_CHOICE_BYTES).map_err(failed)?;
        self.engine.follow(Form::Regex(expression)).map_err(failed)
    }

    /// Answers that a grammar makes, written as for llama.cpp (GBNF, whose rules have `::=`) or as for Lark (llguidance's documentation has the
    /// syntax).
    ///
    /// # Errors
    /// [`ConstraintError::Grammar`].
    pub fn grammar(&self, grammar: &str) -> Result<Box<dyn Constraint>, ConstraintError> {
        let failed = ConstraintError::Grammar;
        expect_short(grammar, MOST_BYTES).map_err(failed)?;
        let lark = if gbnf::is_gbnf(grammar) {
            gbnf::to_lark(grammar).map_err(failed)?
        } else if deepest(grammar) > MOST_NESTED {
            return Err(failed(format!("brackets are nested deeper than {MOST_NESTED}")));
        } else {
            grammar.to_owned()
        };
        self.engine.follow(Form::Grammar(lark)).map_err(failed)
    }

    /// Answers that call tools, as the model's format has calls.
    ///
    /// # Errors
    /// [`ConstraintError::UnknownTool`], or [`ConstraintError::Tool`] for the first tool whose arguments cannot be held to.
    pub fn tool_call(
        &self,
        format: &ChatFormat,
        tools: &[Tool],
        choice: &ToolChoice,
    ) -> Result<Box<dyn Constraint>, ConstraintError> {
        let chosen: Vec<&Tool> = match choice {
            ToolChoice::Required => tools.iter().collect(),
            ToolChoice::Named(name) => tools.iter().filter(|tool| tool.name == *name).collect(),
        };
        if chosen.is_empty() {
            let name = if let ToolChoice::Named(name) = choice { name.as_str() } else { "" };
            return Err(ConstraintError::UnknownTool(name.to_owned()));
        }
        let (mut checked, mut objects) = (Vec::new(), 0);
        for tool in &chosen {
            let failed = |place, cause| ConstraintError::Tool { tool: tool.name.clone(), place, cause };
            objects += schema::objects(&tool.parameters);
            if objects > schema::MOST_OBJECTS {
                let cause =
                    format!("this and the tools before it have {objects} objects, more than {}", schema::MOST_OBJECTS);
                return Err(failed(String::new(), cause));
            }
            let parameters = schema::checked(&tool.parameters).map_err(|(place, cause)| failed(place, cause))?;
            // By itself first, so that an error names the tool.
            self.engine.follow(Form::Schema(parameters.clone())).map_err(|cause| failed(String::new(), cause))?;
            checked.push((tool.name.as_str(), parameters));
        }
        let special = |spelling: &str| self.special.iter().find(|token| token.0 == spelling).map(|token| token.1);
        let is_one = matches!(choice, ToolChoice::Named(_));
        let grammar = tool_call::grammar(format.call_style(), &checked, is_one, &special);
        self.engine.follow(Form::Grammar(grammar)).map_err(ConstraintError::Grammar)
    }
}

/// More brackets inside each other are an attack.
const MOST_NESTED: usize = 64;
/// The longest expression or grammar, in bytes. A rule of a grammar may stand for the next, so this bounds how deep its reading goes.
const MOST_BYTES: usize = 16 << 10;
/// The same of texts to choose from, which are less work.
const MOST_CHOICE_BYTES: usize = 64 << 10;

fn expect_short(text: &str, most: usize) -> Result<(), String> {
    let bytes = text.len();
    if bytes <= most { Ok(()) } else { Err(format!("{bytes} bytes, more than {most}")) }
}

fn deepest(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for character in text.chars() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
