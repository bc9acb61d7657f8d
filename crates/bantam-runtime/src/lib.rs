//! Runs a bundle: text in, label, confidence, reply and entities out.
//!
//! [`chat`] puts conversations into a language model's tokens, [`generation`] answers them, and [`constraints`] hold
//! answers to a form.
//!
//! [`tasks`] are what encoders of Hugging Face folders are asked for.
//!
//! [`BundleParts`] is what a bundle holds, [`TextClassifier`] a model with all that it needs to read text, and
//! [`Assistant`] what answers people: a calibrated classifier with replies, a threshold and entities.

mod assistant;
mod bundle;
pub mod chat;
mod classifier;
mod consistency;
pub mod constraints;
mod entities;
mod error;
mod folder;
pub mod generation;
pub mod sample;
pub mod sampling;
pub mod tasks;

pub use assistant::{Answer, Assistant, HandOver};
pub use bundle::BundleParts;
pub use classifier::TextClassifier;
pub use entities::{Entity, entities_of};
pub use error::LoadError;
