//! How many tokens a request took.

use bantam_runtime::generation::engine::Finished;
use serde_json::{Value, json};

/// Tokens of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    prompt: usize,
    reused: usize,
    answer: usize,
}

impl Usage {
    /// Adds an answer. A prompt counts once, however many answers there are to it: with its first.
    pub(crate) fn add(&mut self, finished: &Finished, is_first: bool) {
        self.answer += finished.answer_tokens;
        if is_first {
            self.prompt += finished.prompt_tokens;
            self.reused += finished.reused_tokens;
        }
    }

    /// As chats and completions tell it.
    pub(crate) fn of_completion(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.answer,
            "total_tokens": self.prompt + self.answer,
            "prompt_tokens_details": {"cached_tokens": self.reused},
        })
    }

    /// As responses tell it.
    pub(crate) fn of_response(self) -> Value {
        json!({
            "input_tokens": self.prompt,
            "input_tokens_details": {"cached_tokens": self.reused},
            "output_tokens": self.answer,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.prompt + self.answer,
        })
    }
}
