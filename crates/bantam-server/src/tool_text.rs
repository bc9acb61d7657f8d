//! The text of an answer that may call tools, told as far as it is certain.

use bantam_runtime::chat::{ChatFormat, Parsed, ToolCall};

use crate::identifier::identifier;

/// Follows an answer. Without tools all of its text is certain at once; with tools, it is up to where a call may begin.
#[derive(Default)]
pub(crate) struct ToolText {
    has_tools: bool,
    text: String,
    told: usize,
}

impl ToolText {
    /// For an answer that may call tools, or not.
    pub(crate) fn new(has_tools: bool) -> Self {
        Self { has_tools, ..Self::default() }
    }

    /// The text and the calls of a whole answer.
    pub(crate) fn whole(has_tools: bool, answer: &str, format: &ChatFormat) -> Parsed {
        let mut this = Self::new(has_tools);
        let text = this.push(answer, format);
        let end = this.finish("", format);
        Parsed { text: text + &end.text, calls: end.calls }
    }

    /// Takes the next piece; gives the text that can be told.
    pub(crate) fn push(&mut self, piece: &str, format: &ChatFormat) -> String {
        if !self.has_tools {
            return piece.to_owned();
        }
        self.text.push_str(piece);
        // Spaces before a call do not belong to the text.
        let certain = self.text[..format.call_may_begin_at(&self.text)].trim_end().len();
        let fresh = self.text.get(self.told..certain).unwrap_or_default().to_owned();
        self.told = self.told.max(certain);
        fresh
    }

    /// Takes the last piece; gives the text that was not told, and the calls.
    pub(crate) fn finish(mut self, piece: &str, format: &ChatFormat) -> Parsed {
        if !self.has_tools {
            return Parsed { text: piece.to_owned(), calls: Vec::new() };
        }
        self.text.push_str(piece);
        let parsed = format.tool_calls(&self.text);
        let has_none = parsed.calls.is_empty();
        let begun = self.text[..self.told].trim_start();
        // Ids that no other answer has: conversations tell calls apart by them.
        let calls = parsed.calls.into_iter().map(|call| ToolCall { id: identifier("call_"), ..call }).collect();
        let rest = parsed.text.strip_prefix(if has_none { &self.text[..self.told] } else { begun });
        Parsed { text: rest.unwrap_or_default().to_owned(), calls }
    }
}
