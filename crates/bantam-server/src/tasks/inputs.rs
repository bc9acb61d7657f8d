//! What tasks are sent: texts and pairs of texts, one or many, and how long ones are cut.

use axum::http::StatusCode;
use bantam_runtime::tasks::{Cut, Document, TaskError, TaskModel};
use serde::Deserialize;
use serde_json::Value;

use crate::body::Fields;
use crate::classify::MOST_TEXTS;
use crate::failure::Failure;

/// The most documents that a request may become.
const MOST_DOCUMENTS: usize = 4096;
/// The most tokens that these may have together.
const MOST_TOKENS: usize = 1 << 20;
/// The most numbers that the model may make of these, which are all kept until the request is answered: as many as of 1024 texts
/// with a hidden token each, by a vocabulary of 32,768.
const MOST_NUMBERS: usize = 1 << 25;

/// A text, or a pair of texts.
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) pair: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Spelled {
    One(String),
    Pair { text: String, text_pair: Option<String> },
}

/// Texts, and whether they were sent as a list.
pub(crate) struct Texts {
    pub(crate) texts: Vec<Text>,
    pub(crate) is_list: bool,
}

impl Texts {
    /// Reads `inputs`: a text, a pair as `{"text", "text_pair"}`, or a list of these.
    pub(crate) fn of(inputs: Value) -> Result<Self, Failure> {
        let is_list = inputs.is_array();
        let list = if let Value::Array(list) = inputs { list } else { vec![inputs] };
        few(list.len())?;
        let text = |value: Value| match serde_json::from_value(value) {
            Ok(Spelled::One(text)) => Ok(Text { text, pair: None }),
            Ok(Spelled::Pair { text, text_pair }) => Ok(Text { text, pair: text_pair }),
            Err(_) => Err(unreadable("send a text, a list of texts, or {\"text\": \"...\", \"text_pair\": \"...\"}")),
        };
        Ok(Self { texts: list.into_iter().map(text).collect::<Result<_, _>>()?, is_list })
    }

    /// The same where no pairs are read.
    pub(crate) fn single(inputs: Value) -> Result<(Vec<String>, bool), Failure> {
        let texts = Self::of(inputs)?;
        let alone = |text: Text| match text.pair {
            None => Ok(text.text),
            Some(_) => Err(unreadable("send a text, or a list of texts")),
        };
        Ok((texts.texts.into_iter().map(alone).collect::<Result<_, _>>()?, texts.is_list))
    }
}

/// Refuses more texts than one request may have.
pub(crate) fn few(count: usize) -> Result<(), Failure> {
    if count <= MOST_TEXTS {
        return Ok(());
    }
    let remedy = format!("send {MOST_TEXTS} or fewer at a time");
    Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("{count} texts in one request"), remedy))
}

/// Refuses requests that are small and ask for much: windows, labels and hidden tokens multiply what is read and computed.
pub(crate) fn bounded(model: &TaskModel, documents: &[Document]) -> Result<(), Failure> {
    let sum = |of: &dyn Fn(&Document) -> usize| documents.iter().map(of).fold(0, usize::saturating_add);
    let (tokens, numbers) = (sum(&Document::tokens), sum(&|document| model.numbers(document)));
    let limits = [
        (documents.len(), MOST_DOCUMENTS, "texts to read"),
        (tokens, MOST_TOKENS, "tokens to read"),
        (numbers, MOST_NUMBERS, "numbers to compute"),
    ];
    let Some((_, most, what)) = limits.into_iter().find(|(count, most, _)| count > most) else { return Ok(()) };
    let remedy = "send fewer texts, labels or hidden tokens, or windows that share less";
    Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request makes more than {most} {what}"), remedy))
}

/// `inputs` that are not what the task reads.
pub(crate) fn unreadable(remedy: &str) -> Failure {
    Failure::field("inputs", "`inputs` cannot be read", remedy)
}

/// How texts that are too long are cut: by `truncate` or `truncation`, and `truncation_direction`.
pub(crate) fn cut(fields: &mut Fields) -> Result<Cut, Failure> {
    let asked = fields.take::<Value>("truncate")?.or(fields.take("truncation")?);
    let is_asked = match &asked {
        None => false,
        Some(Value::Bool(asked)) => *asked,
        Some(Value::String(strategy)) => strategy != "do_not_truncate",
        Some(_) => {
            return Err(Failure::field("truncate", "`truncate` is neither true nor false", "send true or false"));
        }
    };
    let direction = fields.take::<String>("truncation_direction")?.unwrap_or_default().to_lowercase();
    match (is_asked, direction.as_str()) {
        (_, other) if !matches!(other, "" | "left" | "right") => {
            let message = format!("truncation_direction is {other:?}");
            Err(Failure::field("truncation_direction", message, "take one of: left, right"))
        }
        (false, _) => Ok(Cut::Never),
        (true, "left") => Ok(Cut::Beginning),
        (true, _) => Ok(Cut::End),
    }
}

/// A number between limits.
pub(crate) fn count(fields: &mut Fields, name: &str, most: usize) -> Result<Option<usize>, Failure> {
    match fields.take::<usize>(name)? {
        Some(count) if count == 0 || count > most => {
            Err(Failure::field(name, format!("{name} is {count}"), format!("send a number from 1 to {most}")))
        }
        count => Ok(count),
    }
}

impl From<TaskError> for Failure {
    /// A text that cannot be read for its task.
    fn from(error: TaskError) -> Self {
        let message = error.to_string();
        match error {
            TaskError::TooLong { .. } => {
                let remedy = "shorten it, or send \"truncate\": true to have its end left out";
                Failure::field("inputs", message, remedy)
                    .with_status(StatusCode::PAYLOAD_TOO_LARGE)
                    .with_code("context_length_exceeded")
            }
            TaskError::NoMask { mask } => {
                Failure::field("inputs", message, format!("write {mask} where a token is hidden"))
            }
            TaskError::MaskUnknown => Failure::field("model", message, "take another model"),
            TaskError::NoTarget => Failure::field("targets", message, "send tokens, or leave `targets` out"),
            TaskError::Overlap { .. } => Failure::field("parameters", message, "send a smaller overlap"),
            TaskError::Windows { .. } => Failure::field("inputs", message, "shorten it, or let windows share less")
                .with_status(StatusCode::PAYLOAD_TOO_LARGE),
            TaskError::Template { .. } => {
                Failure::field("hypothesis_template", message, "write {} where the label belongs")
            }
        }
    }
}
