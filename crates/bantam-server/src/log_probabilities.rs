//! Log-probabilities of an answer's tokens, as chats and as completions have them.

use bantam_runtime::generation::AnswerToken;
use serde_json::{Map, Value, json};

use crate::body::Fields;
use crate::failure::Failure;
use crate::service::Language;

/// The most likely tokens that are told beside each.
pub(crate) const MOST_TOP: usize = 20;

/// The least finite number that JSON clients read: some tokens have no chance at all.
pub(crate) const LEAST: f32 = -9999.0;

/// Reads a count of likeliest tokens.
pub(crate) fn top(fields: &mut Fields, name: &str) -> Result<Option<usize>, Failure> {
    let count = fields.take::<usize>(name)?;
    match count {
        Some(count) if count > MOST_TOP => {
            Err(Failure::field(name, format!("{name} is {count}"), format!("ask for 0 to {MOST_TOP}")))
        }
        count => Ok(count),
    }
}

/// A token of a chat's answer.
pub(crate) fn of_chat(language: &Language, token: &AnswerToken) -> Value {
    let entry = |id: u32, log_probability: f32| {
        let (text, bytes) = (language.token_text(id), language.token_bytes(id));
        json!({"token": text, "logprob": log_probability.max(LEAST), "bytes": bytes})
    };
    let mut value = entry(token.token, token.log_probability);
    value["top_logprobs"] = token.top.iter().map(|&(id, log_probability)| entry(id, log_probability)).collect();
    value
}

/// Tokens of a completion, whose text begins at `offset` characters.
pub(crate) fn of_completion(language: &Language, tokens: &[AnswerToken], mut offset: usize) -> Value {
    let text = |id| language.token_text(id);
    let tops = |token: &AnswerToken| -> Map<String, Value> {
        let entry = |&(id, log_probability): &(u32, f32)| (text(id), json!(log_probability.max(LEAST)));
        // Of tokens with the same text, the likeliest is told: it comes last here.
        token.top.iter().rev().map(entry).collect()
    };
    let mut offsets = Vec::new();
    for token in tokens {
        offsets.push(offset);
        offset += token.text.chars().count();
    }
    json!({
        "tokens": tokens.iter().map(|token| text(token.token)).collect::<Vec<_>>(),
        "token_logprobs": tokens.iter().map(|token| token.log_probability.max(LEAST)).collect::<Vec<_>>(),
        "top_logprobs": tokens.iter().map(tops).collect::<Vec<_>>(),
        "text_offset": offsets,
    })
}
