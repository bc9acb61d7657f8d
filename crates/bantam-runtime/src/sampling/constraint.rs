//! Answers that must have a form: what a grammar engine is asked while an answer is made.

use super::TokenMask;

/// A form that an answer must have, followed token by token: a JSON schema, a regular expression, a grammar.
pub trait Constraint: Send {
    /// The tokens that may come next. Those that end an answer are among them exactly where the answer is whole.
    fn mask(&mut self) -> &TokenMask;

    /// Takes note of the token that was chosen; one that the mask did not allow is a [fault](Self::fault).
    fn accept(&mut self, token: u32);

    /// Whether the answer is whole and nothing may follow.
    fn is_done(&self) -> bool;

    /// Why the mask allows nothing although the answer is not whole: a form that has become too much work, or a token that it did not
    /// allow.
    fn fault(&self) -> Option<&str> {
        None
    }
}
