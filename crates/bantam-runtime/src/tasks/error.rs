//! Why a text cannot be read for a task.

/// Why a text cannot be read for a task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// It has more tokens than the model reads, and was not to be cut.
    #[error("an input has {tokens} tokens, and the model reads {most} at most")]
    TooLong {
        /// Its tokens.
        tokens: usize,
        /// What the model reads.
        most: usize,
    },
    /// Nothing in it is hidden.
    #[error("an input has no hidden token {mask}")]
    NoMask {
        /// How a hidden token is spelled.
        mask: String,
    },
    /// The tokenizer has no token for what is hidden.
    #[error("the model's tokenizer has no token for what is hidden")]
    MaskUnknown,
    /// None of the targets can be a token.
    #[error("none of the targets is a token")]
    NoTarget,
    /// Windows that overlap so much would never move on.
    #[error("an overlap of {overlap} tokens leaves no room for new ones in windows of {most}")]
    Overlap {
        /// Tokens that windows share.
        overlap: usize,
        /// Tokens of a window.
        most: usize,
    },
    /// So many windows would take too long.
    #[error("the text would be read in {count} windows, and {most} are the most")]
    Windows {
        /// How many it would be.
        count: usize,
        /// How many it may be.
        most: usize,
    },
    /// A template without a place for the label.
    #[error("the hypothesis template {template:?} has no place for the label")]
    Template {
        /// The template.
        template: String,
    },
}
