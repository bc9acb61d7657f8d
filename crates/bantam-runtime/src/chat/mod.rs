//! Conversations as texts that a model was trained on, and the calls of tools that it writes.
//!
//! [`ChatFormat`] puts [`Message`]s and [`Tool`]s into tokens by the model's own template, so that nothing a person
//! writes becomes a token with a role, and finds [`ToolCall`]s in an answer.

mod bounded;
mod calls;
mod cut_calls;
#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
mod dates;
mod format;
mod marks;
mod message;
mod python;
mod size;
mod template;

pub use calls::Parsed;
pub use cut_calls::{BegunCall, CutCalls};
pub(crate) use format::ENDS;
pub use format::{CallStyle, ChatFormat};
pub use message::{Message, Tool, ToolCall, ToolChoice};

/// Why a conversation cannot be put into a text.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChatError {
    /// The template is broken, refuses this conversation, or takes too long.
    #[error("the model's chat template{}: {cause}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Template {
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// What the template, or the engine that runs it, says.
        cause: String,
    },
    /// A role that no format has.
    #[error("role {role:?} of message {index} is unknown; use system, developer, user, assistant or tool")]
    Role {
        /// The message, from 0.
        index: usize,
        /// Its role.
        role: String,
    },
    /// Nothing to answer.
    #[error("the conversation has no message; give at least one")]
    Empty,
}
