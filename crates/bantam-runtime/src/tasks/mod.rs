//! Encoders at their tasks: labels of texts and of tokens, hidden tokens, answers in texts, labels that nothing was trained for, and
//! texts as numbers. What they answer is what the pipelines of Hugging Face `transformers` do.
//!
//! A task makes [`Document`]s of what it is asked, a [`TaskModel`] reads any number of documents of any requests at once, and
//! the task makes its answer of the [`Rows`].

mod error;
mod hidden_tokens;
mod labels;
mod model;
mod numbers;
mod spans;
mod token_labels;
mod zero_shot;

pub use bantam_model::architectures::Head;
pub use error::TaskError;
pub use hidden_tokens::{HiddenTokens, Proposal};
pub use labels::{LabelScore, Scoring};
pub use model::{Cut, Document, Rows, TaskModel, Wanted};
pub(crate) use numbers::descending;
pub use numbers::{cosine, unit};
pub use spans::{AnswerSpan, SpanOptions, SpanSearch};
pub use token_labels::{Aggregation, FoundLabel, TokenLabelling, TokenOptions};
pub use zero_shot::{Hypotheses, filled, similarity_scores};
