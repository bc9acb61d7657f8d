//! From logits to text: which token comes next, what text it makes, and where the text ends.
//!
//! [`Sampler`] chooses tokens as [`SamplingOptions`] ask, among those that a [`TokenMask`] allows. [`TextStream`] turns
//! tokens into text as they come, and [`StopStrings`] cuts the text where a stop string begins. [`PromptLookup`] guesses
//! tokens ahead from the text so far, and [`beam_search`] looks for the likeliest reply as a whole. None of them knows a model: they work on numbers and ids.

mod beam;
mod candidates;
mod constraint;
mod history;
mod log_probabilities;
mod lookup;
mod mask;
mod options;
mod sampler;
mod stop;
#[cfg(test)]
mod tests;
mod text_stream;

pub use beam::{BeamOptions, Hypothesis, beam_search};
pub use constraint::Constraint;
pub use log_probabilities::top_log_probabilities;
pub use lookup::{LookupOptions, PromptLookup};
pub use mask::TokenMask;
pub use options::{SamplingError, SamplingOptions};
pub use sampler::{Choice, Sampler};
pub use stop::{Shown, StopMatch, StopStrings};
pub use text_stream::TextStream;
