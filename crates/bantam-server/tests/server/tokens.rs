//! `POST /tokenize` and `POST /detokenize`.

use serde_json::{Value, json};

use super::client::{POSITIONS, Server, tokenizer};

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
fn what_cannot_be_asked_is_refused_by_its_field() {
    let server = Server::both();
    for (path, body, field) in [
        ("/tokenize", json!({}), "prompt"),
        ("/tokenize", json!({"prompt": 5}), "prompt"),
        ("/tokenize", json!({"model": "sample", "prompt": "a"}), "model"),
        ("/detokenize", json!({}), "tokens"),
        ("/detokenize", json!({"tokens": ["a"]}), "tokens"),
        ("/detokenize", json!({"tokens": [4_000_000]}), "tokens"),
    ] {
        assert_eq!(server.refused(path, &body, 400).0, field, "{path} {body}");
    }
}
