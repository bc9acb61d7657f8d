//! `async-openai`, as it is, against `bantam serve`.

use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{
    ChatCompletionMessageToolCalls, CreateChatCompletionRequest, CreateChatCompletionResponse, FinishReason,
};
use async_openai::types::completions::CreateCompletionRequest;
use async_openai::types::embeddings::{CreateEmbeddingRequest, EmbeddingInput, EncodingFormat};
use async_openai::types::responses::{CreateResponse, OutputItem, ResponseStreamEvent};
use futures::StreamExt;
use serde_json::{Value, json};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("clients/run sets {name}"))
}

fn client(url: &str, key: &str) -> Client<OpenAIConfig> {
    Client::with_config(OpenAIConfig::new().with_api_base(format!("{}/v1", variable(url))).with_api_key(key))
}

fn usual() -> Client<OpenAIConfig> {
    client("BANTAM_URL", &variable("BANTAM_KEY"))
}

/// A request with some fields, as the crate's own type.
fn request(fields: Value) -> CreateChatCompletionRequest {
    let mut body = json!({
        "model": "tiny", "max_completion_tokens": 20, "seed": 3,
        "messages": [{"role": "system", "content": "help"}, {"role": "user", "content": "where is my order"}],
    });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(body).unwrap()
}

async fn ask(fields: Value) -> CreateChatCompletionResponse {
    usual().chat().create(request(fields)).await.unwrap()
}

fn tools() -> Value {
    let parameters = json!({"type": "object", "properties": {"kind": {"type": "string", "enum": ["order", "refund"]}},
        "required": ["kind"], "additionalProperties": false});
    json!([{"type": "function", "function": {"name": "track", "parameters": parameters}}])
}

#[tokio::test]
async fn a_stream_is_the_message() {
    let whole = ask(json!({})).await;
    assert_eq!(whole.choices[0].finish_reason, Some(FinishReason::Length));
    assert_eq!(whole.usage.unwrap().completion_tokens, 20);
    let streamed = request(json!({"stream_options": {"include_usage": true}}));
    let mut stream = usual().chat().create_stream(streamed).await.unwrap();
    let (mut text, mut tokens) = (String::new(), 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.unwrap();
        text.extend(chunk.choices.first().and_then(|choice| choice.delta.content.clone()));
        tokens = chunk.usage.map_or(tokens, |usage| usage.completion_tokens);
    }
    assert_eq!((Some(&text), tokens), (whole.choices[0].message.content.as_ref(), 20));
}

#[tokio::test]
async fn settings_and_log_probabilities() {
    let text = |answer: &CreateChatCompletionResponse| answer.choices[0].message.content.clone().unwrap();
    let (first, again) = (ask(json!({"seed": 5})).await, ask(json!({"seed": 5})).await);
    assert_eq!(text(&first), text(&again));
    // Two letters: of what else it writes, some is no whole character.
    let (words, is_letter) = (text(&first), |letter: char| letter.is_ascii_lowercase());
    let stop = words.split(|letter| !is_letter(letter)).rfind(|word| word.len() > 1).unwrap();
    let cut = ask(json!({"seed": 5, "stop": [stop]})).await;
    assert_eq!(Some(text(&cut).as_str()), words.split(stop).next());
    let told = ask(json!({"logprobs": true, "top_logprobs": 2})).await.choices[0].logprobs.clone().unwrap();
    let told = told.content.unwrap();
    assert!(told.len() == 20 && told.iter().all(|token| token.logprob <= 0.0 && token.top_logprobs.len() == 2));
}

#[tokio::test]
async fn forms_and_tools() {
    let schema = json!({"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"],
        "additionalProperties": false});
    let form = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": true}});
    let answer = ask(json!({"response_format": form, "max_completion_tokens": 500, "frequency_penalty": 2.0})).await;
    let value: Value = serde_json::from_str(answer.choices[0].message.content.as_ref().unwrap()).unwrap();
    assert!(value["sure"].is_boolean(), "{value}");
    let fields = json!({"tools": tools(), "tool_choice": "required", "max_completion_tokens": 500,
        "frequency_penalty": 2.0});
    let called = ask(fields).await.choices.remove(0);
    assert_eq!(called.finish_reason, Some(FinishReason::ToolCalls));
    let Some([ChatCompletionMessageToolCalls::Function(call)]) = called.message.tool_calls.as_deref() else {
        panic!("{called:?}")
    };
    let arguments: Value = serde_json::from_str(&call.function.arguments).unwrap();
    assert!(call.function.name == "track" && ["order", "refund"].contains(&arguments["kind"].as_str().unwrap()));
}

#[tokio::test]
async fn completions_embeddings_and_models() {
    let fields = json!({"model": "tiny", "prompt": "where is", "max_tokens": 6, "temperature": 0});
    let asked: CreateCompletionRequest = serde_json::from_value(fields).unwrap();
    let whole = usual().completions().create(asked.clone()).await.unwrap();
    let mut stream = usual().completions().create_stream(asked).await.unwrap();
    let mut text = String::new();
    while let Some(chunk) = stream.next().await {
        text += &chunk.unwrap().choices[0].text;
    }
    assert_eq!(text, whole.choices[0].text);
    let input = EmbeddingInput::StringArray(vec!["where is my order".to_owned(), "i want a refund".to_owned()]);
    let asked = CreateEmbeddingRequest { model: "tiny".to_owned(), input, ..Default::default() };
    let plain = usual().embeddings().create(asked.clone()).await.unwrap();
    let asked = CreateEmbeddingRequest { encoding_format: Some(EncodingFormat::Base64), ..asked };
    let packed = usual().embeddings().create_base64(asked).await.unwrap();
    let packed: Vec<f32> = packed.data[1].embedding.clone().into();
    assert!(plain.data.len() == 2 && plain.data[1].embedding == packed);
    let listed = usual().models().list().await.unwrap();
    assert_eq!(listed.data.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["tiny", "sample"]);
}

#[tokio::test]
async fn responses_streamed_or_not() {
    let fields = json!({"model": "tiny", "input": "where is my order", "temperature": 0.0, "max_output_tokens": 12});
    let asked: CreateResponse = serde_json::from_value(fields).unwrap();
    let whole = usual().responses().create(asked.clone()).await.unwrap();
    let mut stream = usual().responses().create_stream(asked).await.unwrap();
    let (mut text, mut ended) = (String::new(), false);
    while let Some(event) = stream.next().await {
        match event.unwrap() {
            ResponseStreamEvent::ResponseOutputTextDelta(event) => text += &event.delta,
            ResponseStreamEvent::ResponseIncomplete(_) => ended = true,
            _ => {}
        }
    }
    assert!(ended && whole.output_text() == Some(text));
    let mut tool = tools()[0]["function"].clone();
    (tool["type"], tool["strict"]) = ("function".into(), true.into());
    let fields = json!({"model": "tiny", "input": "where is my order", "tools": [tool], "tool_choice": "required"});
    let called = usual().responses().create(serde_json::from_value::<CreateResponse>(fields).unwrap()).await.unwrap();
    assert!(matches!(&called.output[0], OutputItem::FunctionCall(call) if call.name == "track"), "{called:?}");
}

#[tokio::test]
async fn errors_and_a_full_queue() {
    let failed = async |client: Client<OpenAIConfig>, fields: Value| match client.chat().create(request(fields)).await {
        Err(OpenAIError::ApiError(error)) => (error.status_code.as_u16(), error.api_error.code.unwrap_or_default()),
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(client("BANTAM_URL", "wrong"), json!({})).await, (401, "invalid_api_key".to_owned()));
    assert_eq!(failed(usual(), json!({"model": "nowhere"})).await, (404, "model_not_found".to_owned()));
    let busy = || client("BANTAM_BUSY_URL", &variable("BANTAM_KEY"));
    // The crate asks again where it is told that the queue is full, and waits in between.
    // Without the token that ends an answer they last for as long as it takes.
    let long = request(json!({"max_completion_tokens": 30_000, "n": 1, "logit_bias": {"3": -100}}));
    let mut running = busy().chat().create_stream(long.clone()).await.unwrap();
    running.next().await.unwrap().unwrap();
    let waiting = busy().chat().create_stream(long).await.unwrap();
    let asked = tokio::spawn(async move { busy().chat().create(request(json!({}))).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!asked.is_finished(), "nobody is answered before the queue has room");
    drop((running, waiting));
    assert_eq!(asked.await.unwrap().unwrap().choices.len(), 1);
}
