//! `POST /tokenize` and `POST /detokenize`.

use serde_json::{Value, json};

use super::client::{POSITIONS, Server, options, tokenizer};
use super::tasks::encoder;

#[test]
fn texts_become_the_tokenizers_ids_and_texts_again() {
    let server = Server::both();
    let (text, tokenizer) = ("where is my ördér? \u{1f600}", tokenizer());
    let bare = tokenizer.encode_content(text);
    let begun = [tokenizer.around().0, &bare].concat();
    let tokens = |body: Value| server.fine("/tokenize", &body)["tokens"].clone();
    // vLLM's fields, and llama.cpp's.
    assert_eq!(tokens(json!({"model": "tiny", "prompt": text})), json!(begun));
    assert_eq!(tokens(json!({"prompt": text, "add_special_tokens": false})), json!(bare));
    assert_eq!(tokens(json!({"content": text})), json!(bare));
    assert_eq!(tokens(json!({"content": text, "add_special": true})), json!(begun));
    let whole = server.fine("/tokenize", &json!({"content": text, "with_pieces": true}));
    assert_eq!((&whole["count"], &whole["max_model_len"]), (&json!(bare.len()), &json!(POSITIONS)));
    assert_eq!(whole["token_strs"].as_array().unwrap().len(), bare.len());
    assert_eq!(whole["token_strs"][0], tokenizer.decode(&bare[..1]));
    let back = server.fine("/detokenize", &json!({"model": "tiny", "tokens": bare}));
    assert_eq!((&back["prompt"], &back["content"]), (&json!(text), &json!(text)));
    // A conversation has as many tokens as its answer tells.
    let messages = json!([{"role": "user", "content": text}]);
    let asked = json!({"model": "tiny", "messages": messages, "max_tokens": 1});
    let answered = server.fine("/v1/chat/completions", &asked);
    assert_eq!(server.fine("/tokenize", &asked)["count"], answered["usage"]["prompt_tokens"]);
}

#[test]
fn models_that_read_whole_texts_have_tokens_too() {
    let server =
        Server::start(vec![encoder("bert_rank"), super::client::bundle(), super::client::language()], options());
    let text = "Where is my order";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tasks/bert_rank/tokenizer.json");
    let tokenizer = bantam_tokens::Tokenizer::load(path).unwrap();
    let whole = tokenizer.encode(text, 100);
    let asked = |fields: Value| {
        let mut body = json!({"model": "bert_rank"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        server.fine("/tokenize", &body)
    };
    assert_eq!(asked(json!({"prompt": text}))["tokens"], json!(whole));
    assert_eq!(asked(json!({"content": text}))["tokens"], json!(tokenizer.encode_content(text)));
    // As text-embeddings-inference tells it, by the first encoder where none is named.
    let told = server.fine("/tokenize", &json!({"inputs": [text]}));
    let ids: Vec<&Value> = told[0].as_array().unwrap().iter().map(|token| &token["id"]).collect();
    assert_eq!(json!(ids), json!(whole));
    assert_eq!(
        told[0][0],
        json!({"id": whole[0], "text": tokenizer.token(whole[0]), "special": true, "start": null, "stop": null})
    );
    for token in told[0].as_array().unwrap().iter().filter(|token| token["special"] == false) {
        let place = |key: &str| token[key].as_u64().unwrap() as usize;
        assert_eq!(token["text"], text[place("start")..place("stop")]);
    }
    let bare = server.fine("/tokenize", &json!({"inputs": text, "add_special_tokens": false}));
    assert_eq!(bare[0].as_array().unwrap().len(), whole.len() - 2);
    assert_eq!(server.fine("/decode", &json!({"ids": whole})), json!([tokenizer.decode(&whole)]));
    let spelled = server.fine("/decode", &json!({"ids": [whole], "skip_special_tokens": false}));
    assert_eq!(spelled, json!([tokenizer.decode_all(&whole)]));
    let back = server.fine("/detokenize", &json!({"model": "bert_rank", "tokens": whole}));
    assert_eq!(back["prompt"], tokenizer.decode(&whole));
    assert!(server.fine("/tokenize", &json!({"model": "sample", "prompt": text}))["count"].as_u64() > Some(2));
}

#[test]
fn what_cannot_be_asked_is_refused_by_its_field() {
    let server = Server::both();
    for (path, body, field) in [
        ("/tokenize", json!({}), "prompt"),
        ("/tokenize", json!({"prompt": 5}), "prompt"),
        ("/tokenize", json!({"model": "sample", "messages": [{"role": "user", "content": "a"}]}), "messages"),
        ("/tokenize", json!({"inputs": 5}), "inputs"),
        ("/decode", json!({}), "ids"),
        ("/decode", json!({"ids": [[4_000_000]]}), "ids"),
        ("/detokenize", json!({}), "tokens"),
        ("/detokenize", json!({"tokens": ["a"]}), "tokens"),
        ("/detokenize", json!({"tokens": [4_000_000]}), "tokens"),
    ] {
        assert_eq!(server.refused(path, &body, 400).0, field, "{path} {body}");
    }
    // A text whose tokens take a thousand times its memory once they are told one by one.
    let long = "a ".repeat(1 << 18);
    for (body, field) in
        [(json!({"inputs": [long, "b"]}), "inputs"), (json!({"prompt": long, "return_token_strs": true}), "prompt")]
    {
        let remedy = server.post("/tokenize", &body).json()["error"]["remedy"].clone();
        assert_eq!((server.refused("/tokenize", &body, 400).0, remedy), (json!(field), json!("send it in parts")));
    }
    assert!(server.fine("/tokenize", &json!({"prompt": long}))["count"].as_u64() > Some(1 << 18));
}
