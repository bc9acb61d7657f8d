//! `POST /tokenize`, `/detokenize` and `/decode`: texts to token ids and back by any model that has a tokenizer, with the fields of vLLM, of
//! llama.cpp and of text-embeddings-inference.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use bantam_runtime::chat::{Message, Tool};
use bantam_tokens::Tokenizer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::body::{Fields, OneOrMany};
use crate::classify::MOST_TEXTS;
use crate::failure::Failure;
use crate::messages::{messages, tools};
use crate::service::{Model, Service};

const TEXT_SHAPE: &str = r#"send {"model": "...", "prompt": "..."}"#;
const IDS_SHAPE: &str = r#"send {"model": "...", "tokens": [1, 2, 3]}"#;
const LIST_SHAPE: &str = r#"send {"ids": [1, 2, 3]} or {"ids": [[1, 2], [3]]}"#;
/// Tokens that are told one by one in one answer, at most.
const MOST_TOLD: usize = 1 << 18;

/// The tokens of a text.
#[derive(Serialize)]
struct Tokenized {
    count: usize,
    max_model_len: usize,
    tokens: Vec<u32>,
    token_strs: Option<Vec<String>>,
}

/// One token and where it stands in its text, in characters; nowhere, if it was put around it.
#[derive(Serialize)]
struct Placed {
    id: u32,
    text: Option<String>,
    special: bool,
    start: Option<usize>,
    stop: Option<usize>,
}

/// What is turned into tokens, where one list of ids is asked for.
struct Asked {
    conversation: Option<Vec<Message>>,
    tools: Vec<Tool>,
    text: String,
    /// Whether the tokens belong to it that the tokenizer puts around a text.
    is_whole: bool,
    /// Whether a conversation ends where the next message begins.
    goes_on: bool,
    with_pieces: bool,
}

/// Text or messages to ids. `prompt` gets the tokens that begin a text (and, of models that read whole texts, end it) unless
/// `add_special_tokens` is false, and `content` only where `add_special` is true, as these servers have it. `inputs` are told token by token.
pub(crate) async fn tokenize(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let mut fields = service.read(&headers, body, TEXT_SHAPE).await?;
    let inputs = fields.take::<OneOrMany>("inputs")?.map(OneOrMany::into_list);
    let model = chosen(&service, &mut fields, inputs.is_some())?;
    model.tokenizer()?;
    if let Some(texts) = inputs {
        few(texts.len(), "inputs")?;
        let is_whole = fields.take("add_special_tokens")?.unwrap_or(true);
        let work = move || {
            let (tokenizer, mut total) = (model.tokenizer()?, 0);
            let each = texts.iter().map(|text| {
                let found = placed(tokenizer, text, is_whole);
                total += found.len();
                expect_tellable(total, "inputs").map(|()| found)
            });
            Ok(Json(each.collect::<Result<Vec<_>, _>>()?).into_response())
        };
        return service.compute(work).await?;
    }
    let asked = asked(&mut fields)?;
    service.compute(move || asked.tokenize(&model)).await?.map(|tokens| Json(tokens).into_response())
}

/// Ids to text.
pub(crate) async fn detokenize(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let mut fields = service.read(&headers, body, IDS_SHAPE).await?;
    let model = chosen(&service, &mut fields, false)?;
    model.tokenizer()?;
    let tokens: Vec<u32> = fields.require("tokens")?;
    model.expect_known(&tokens, "tokens")?;
    let text = service.compute(move || model.tokenizer().map(|tokenizer| tokenizer.decode(&tokens))).await??;
    Ok(Json(json!({"prompt": text, "content": text})))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Lists {
    One(Vec<u32>),
    Many(Vec<Vec<u32>>),
}

/// Lists of ids to a list of texts, as text-embeddings-inference has it.
pub(crate) async fn decode(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let mut fields = service.read(&headers, body, LIST_SHAPE).await?;
    let model = chosen(&service, &mut fields, true)?;
    model.tokenizer()?;
    let lists = match fields.require("ids")? {
        Lists::One(list) => vec![list],
        Lists::Many(lists) => lists,
    };
    few(lists.len(), "ids")?;
    lists.iter().try_for_each(|list| model.expect_known(list, "ids"))?;
    let skips = fields.take("skip_special_tokens")?.unwrap_or(true);
    let work = move || {
        let tokenizer = model.tokenizer()?;
        let text = |list: &Vec<u32>| if skips { tokenizer.decode(list) } else { tokenizer.decode_all(list) };
        Ok(Json(lists.iter().map(text).collect()))
    };
    service.compute(work).await?
}

/// The model that a request names, or else the first encoder where it is asked as such, or the first that answers.
fn chosen(service: &Service, fields: &mut Fields, is_encoders: bool) -> Result<Model, Failure> {
    let name = fields.take::<String>("model")?;
    let first = service.encoders().next().filter(|_| is_encoders && name.is_none());
    match first {
        Some(encoder) => Ok(Model::Encoder(Arc::clone(encoder))),
        None => service.any(name.as_deref()).map(|(_, model)| model.clone()),
    }
}

fn few(count: usize, name: &str) -> Result<(), Failure> {
    if count <= MOST_TEXTS {
        return Ok(());
    }
    Err(Failure::field(name, format!("`{name}` has {count} texts"), format!("send {MOST_TEXTS} or fewer at a time")))
}

fn expect_tellable(tokens: usize, name: &str) -> Result<(), Failure> {
    if tokens <= MOST_TOLD {
        return Ok(());
    }
    let message = format!("`{name}` has more than {MOST_TOLD} tokens, too many to tell one by one");
    Err(Failure::field(name, message, "send it in parts"))
}

fn asked(fields: &mut Fields) -> Result<Asked, Failure> {
    let with_pieces = fields.take("return_token_strs")?.or(fields.take("with_pieces")?).unwrap_or(false);
    let conversation = fields.take("messages")?.map(messages).transpose()?;
    let tools = tools(fields.take("tools")?.unwrap_or_default())?;
    let (prompt, content) = (fields.take::<String>("prompt")?, fields.take::<String>("content")?);
    let add = fields.take("add_special_tokens")?.or(fields.take("add_special")?);
    let goes_on = fields.take("add_generation_prompt")?.unwrap_or(true);
    if conversation.is_none() && prompt.is_none() && content.is_none() {
        return Err(Failure::field("prompt", "there is nothing to turn into tokens", TEXT_SHAPE));
    }
    let is_whole = add.unwrap_or(prompt.is_some());
    Ok(Asked { conversation, tools, text: prompt.or(content).unwrap_or_default(), is_whole, goes_on, with_pieces })
}

impl Asked {
    fn tokenize(&self, model: &Model) -> Result<Tokenized, Failure> {
        let tokenizer = model.tokenizer()?;
        let tokens = match (&self.conversation, model) {
            (Some(messages), Model::Language(language)) => language
                .chat()
                .render(tokenizer, messages, &self.tools, self.goes_on)
                .map_err(|error| Failure::field("messages", error.to_string(), "change the messages"))?,
            (Some(_), _) => {
                return Err(Failure::field("messages", "the model reads no conversations", "send `prompt`"));
            }
            (None, Model::Language(_)) if self.is_whole => tokenizer.encode_beginning(&self.text),
            (None, _) if self.is_whole => tokenizer.encode(&self.text, usize::MAX),
            (None, _) => tokenizer.encode_content(&self.text),
        };
        let piece = |&id: &u32| match model {
            Model::Language(language) => language.token_text(id),
            _ => tokenizer.token(id).unwrap_or_default(),
        };
        if self.with_pieces {
            expect_tellable(tokens.len(), if self.conversation.is_some() { "messages" } else { "prompt" })?;
        }
        let token_strs = self.with_pieces.then(|| tokens.iter().map(piece).collect());
        Ok(Tokenized { count: tokens.len(), max_model_len: model.max_tokens(), tokens, token_strs })
    }
}

/// A text's tokens with where they begin and end in it, in characters.
fn placed(tokenizer: &Tokenizer, text: &str, is_whole: bool) -> Vec<Placed> {
    let found = tokenizer.encode_placed(text, None);
    let characters: Vec<char> = text.chars().collect();
    let tokens = found.ids.iter().zip(&found.places).zip(&found.texts);
    let told = tokens.filter(|(_, of)| is_whole || of.is_some()).map(|((&id, &(start, stop)), of)| match of {
        None => Placed { id, text: tokenizer.token(id), special: true, start: None, stop: None },
        Some(_) => {
            let text = characters.get(start..stop).unwrap_or_default().iter().collect();
            Placed { id, text: Some(text), special: false, start: Some(start), stop: Some(stop) }
        }
    });
    told.collect()
}
