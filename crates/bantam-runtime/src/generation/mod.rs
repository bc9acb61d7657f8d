//! Text that a model goes on with, token by token.
//!
//! [`LanguageModel`] is a decoder with its weights in the format that they are multiplied in; [`generate`] is the loop of one answer.

mod generate;
mod model;

pub use generate::{Finish, GenerateError, GenerateOptions, Generated, generate, generate_after};
pub use model::{LanguageModel, WeightFormat};
