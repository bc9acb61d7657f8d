//! The form of an answer, asked so that whatever breaks in it costs its own answer and no other.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::sampling::{Constraint, TokenMask};

/// A constraint that is asked no more once it has panicked.
pub(super) struct Form {
    constraint: Box<dyn Constraint>,
    broken: Option<String>,
}

impl Form {
    pub(super) fn new(constraint: Box<dyn Constraint>) -> Self {
        Self { constraint, broken: None }
    }

    /// The tokens that may come next; `None` where it is broken.
    pub(super) fn mask(&mut self) -> Option<TokenMask> {
        self.ask(|constraint| constraint.mask().clone())
    }

    /// Takes note of the token that was chosen. Whether the answer is whole; `None` where it is broken.
    pub(super) fn accept(&mut self, token: u32) -> Option<bool> {
        let told = self.ask(|constraint| {
            constraint.accept(token);
            constraint.fault().is_none().then(|| constraint.is_done())
        });
        told.flatten()
    }

    /// Why no token can follow.
    pub(super) fn fault(&mut self) -> String {
        let told = self.ask(|constraint| constraint.fault().unwrap_or("no token can go on with it").to_owned());
        told.or_else(|| self.broken.clone()).unwrap_or_default()
    }

    fn ask<R>(&mut self, question: impl FnOnce(&mut dyn Constraint) -> R) -> Option<R> {
        if self.broken.is_some() {
            return None;
        }
        // What a panic leaves behind is never looked at again.
        catch_unwind(AssertUnwindSafe(|| question(&mut *self.constraint)))
            .map_err(|panic| self.broken = Some(format!("its check broke off ({})", message(&*panic))))
            .ok()
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason was given")
}
