//! Text that a model goes on with, token by token.
//!
//! [`LanguageModel`] is a decoder with its weights in the format that they are multiplied in; [`generate`] is the loop of one answer, and
//! [`engine`] makes many at a time. [`likely_answers`] searches for the likeliest answers as wholes.

mod answer;
mod beams;
pub mod engine;
mod form;
mod generate;
mod model;

pub use answer::AnswerToken;
pub use beams::{LikelyAnswer, likely_answers};
pub use generate::{Finish, GenerateError, GenerateOptions, Generated, generate, generate_after, generate_with_top};
pub use model::{LanguageModel, WeightFormat};
