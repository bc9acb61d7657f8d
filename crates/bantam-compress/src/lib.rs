//! Pruning and quantisation: weights to weights.
//!
//! [`prune`] cuts heads, channels and layers by how much they are used on calibration data, [`vocabulary`] the tokens that
//! a domain never uses, and [`quantize`] stores what is left in 8 bits. [`group`] puts a language model into groups of 4 or 8 bits, guided by
//! the [`Importance`] of its columns. Each takes named arrays and gives named arrays;
//! what was lost is won back by training again (distillation), which is another crate's work.

mod cut;
mod groups;
mod importance;
mod prune;
mod quantize;
mod vocabulary;

pub use cut::{Cut, cut};
pub use groups::group;
pub use importance::Importance;
pub use prune::{PruneError, PruneTarget, Pruned, importance_of_layers, prune};
pub use quantize::quantize;
pub use vocabulary::{Vocabulary, keep_tokens, restrict};
