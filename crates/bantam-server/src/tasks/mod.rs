//! What encoders, classifiers and language models are asked for in the ways of Hugging Face: `POST /models/{id}`, with or without the task in the
//! path, and [`tei`]'s paths.

mod ask;
mod choose;
mod embed;
mod inputs;
mod label;
pub(crate) mod tei;
mod text_generation;

pub(crate) use ask::{info, of_first, of_model, of_model_and_task, of_task_and_model};
pub(crate) use choose::{Task, abilities};
pub(crate) use embed::of_encoder;
pub(crate) use text_generation::chat_with;
