//! `POST /tokenize` and `POST /detokenize`: texts to token ids and back, with the fields of vLLM and of llama.cpp.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::messages::{messages, tools};
use crate::service::Service;

const TEXT_SHAPE: &str = r#"send {"model": "...", "prompt": "..."}"#;
const IDS_SHAPE: &str = r#"send {"model": "...", "tokens": [1, 2, 3]}"#;

/// Text or messages to ids. `prompt` gets the tokens that begin a text unless `add_special_tokens` is false, and
/// `content` only where `add_special` is true, as these servers have it.
pub(crate) async fn tokenize(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let (mut fields, language) = service.read_for_language(&headers, body, TEXT_SHAPE).await?;
    language.tokenizer()?;
    let with_pieces = fields.take("return_token_strs")?.or(fields.take("with_pieces")?).unwrap_or(false);
    let conversation = fields.take("messages")?.map(messages).transpose()?;
    let tools = tools(fields.take("tools")?.unwrap_or_default())?;
    let (prompt, content) = (fields.take::<String>("prompt")?, fields.take::<String>("content")?);
    let add = fields.take("add_special_tokens")?.or(fields.take("add_special")?);
    let goes_on = fields.take("add_generation_prompt")?.unwrap_or(true);
    if conversation.is_none() && prompt.is_none() && content.is_none() {
        return Err(Failure::field("prompt", "there is nothing to turn into tokens", TEXT_SHAPE));
    }
    let value = service.compute(move || {
        let tokenizer = language.tokenizer()?;
        let tokens = match conversation {
            Some(messages) => language
                .chat()
                .render(tokenizer, &messages, &tools, goes_on)
                .map_err(|error| Failure::field("messages", error.to_string(), "change the messages"))?,
            None => {
                let begins = add.unwrap_or(prompt.is_some());
                let text = prompt.or(content).unwrap_or_default();
                if begins { tokenizer.encode_beginning(&text) } else { tokenizer.encode_content(&text) }
            }
        };
        let pieces = with_pieces.then(|| tokens.iter().map(|&id| language.token_text(id)).collect::<Vec<_>>());
        let most = language.model().max_tokens();
        Ok(json!({"count": tokens.len(), "max_model_len": most, "tokens": tokens, "token_strs": pieces}))
    });
    value.await?.map(Json)
}

/// Ids to text.
pub(crate) async fn detokenize(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let (mut fields, language) = service.read_for_language(&headers, body, IDS_SHAPE).await?;
    language.tokenizer()?;
    let tokens: Vec<u32> = fields.require("tokens")?;
    language.expect_known(&tokens, "tokens")?;
    let text = service.compute(move || language.tokenizer().map(|tokenizer| tokenizer.decode(&tokens))).await??;
    Ok(Json(json!({"prompt": text, "content": text})))
}
