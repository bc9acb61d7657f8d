//! What whoever looks after a server asks it.

use std::io::{Read, Write};

use serde_json::{Value, json};

use super::client::{JSON, POSITIONS, Server, bundle, language, options, parse, request, until};

#[test]
fn all_models_are_told() {
    let server = Server::both();
    let list = server.get("/v1/models").json();
    let names: Vec<&str> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["sample", "tiny"]);
    let one = server.get("/v1/models/tiny").json();
    assert_eq!((&one["object"], &one["max_model_len"]), (&json!("model"), &json!(POSITIONS)));
    assert_eq!(one, list["data"][1]);
    let unknown = server.get("/v1/models/none");
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!("model_not_found")));
    assert_eq!(server.get("/health").json(), json!({"status": "ok"}));
    assert_eq!(server.get("/ready").json(), json!({"status": "ready"}));
}

#[test]
fn the_page_is_for_all_models_and_classifying_for_bundles() {
    let page = Server::both().get("/").body;
    let only = Server::start(vec![language()], options());
    assert!(only.get("/").status == 200 && only.get("/").body == page);
    assert_eq!(only.get("/v1/model").status, 404);
    assert_eq!(only.post("/v1/classify", &json!({"text": "a"})).status, 404);
    let only = Server::start(vec![bundle()], options());
    assert_eq!(only.get("/").body, page);
    only.refused("/v1/completions", &json!({"prompt": "a"}), 404);
}

#[test]
fn every_endpoint_that_is_described_is_there() {
    let server = Server::both();
    let document = server.get("/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let paths = document["paths"].as_object().unwrap();
    for path in ["/", "/v1/chat/completions", "/v1/responses/{id}", "/v1/classify", "/metrics", "/openapi.json"] {
        assert!(paths.contains_key(path), "{path}");
    }
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(!operation["summary"].as_str().unwrap().is_empty());
            let method = method.to_uppercase();
            let example = operation["requestBody"]["content"]["application/json"]["example"].clone();
            assert_eq!(example.is_object(), method == "POST", "{method} {path}");
            let reply = server.ask(&method, &path.replace("{id}", "tiny"), "Content-Type: application/json\r\n", "");
            let code = reply.json()["error"]["code"].clone();
            assert!(reply.status != 405 && code != "unknown_url", "{method} {path}: {}", reply.status);
            let wrong = server.ask("PATCH", &path.replace("{id}", "tiny"), "", "");
            assert_eq!(wrong.status, 405);
            assert!(wrong.json()["error"]["remedy"].as_str().unwrap().contains(&method), "{method} {path}");
        }
    }
}

#[test]
fn what_happened_is_counted() {
    let server = Server::both();
    let body = json!({"model": "tiny", "prompt": "where is my order", "max_tokens": 7, "ignore_eos": true, "n": 2});
    let usage = server.fine("/v1/completions", &body)["usage"].clone();
    server.refused("/v1/completions", &json!({"prompt": 5}), 400);
    server.get("/no/such/path");
    assert_eq!(server.metric("bantam_answer_tokens_total"), 14.0);
    assert_eq!(server.metric("bantam_prompt_tokens_total"), 2.0 * usage["prompt_tokens"].as_f64().unwrap());
    assert_eq!(server.metric("bantam_first_token_seconds_count"), 2.0);
    assert_eq!(server.metric("bantam_between_tokens_seconds_count"), 12.0);
    assert!(server.metric("bantam_past_bytes") > 0.0);
    assert_eq!((server.metric("bantam_running"), server.metric("bantam_waiting")), (0.0, 0.0));
    let text = server.get("/metrics").body;
    for line in [
        "bantam_requests_total{route=\"/v1/completions\",status=\"200\"} 1",
        "bantam_requests_total{route=\"/v1/completions\",status=\"400\"} 1",
        "bantam_requests_total{route=\"none\",status=\"404\"} 1",
        "bantam_first_token_seconds_bucket{le=\"+Inf\"} 2",
        "# TYPE bantam_running gauge",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
}

#[test]
fn answers_end_when_their_clients_leave() {
    let server = Server::both();
    for (round, stream) in [true, false].into_iter().enumerate() {
        let body =
            json!({"prompt": "where is my order", "max_tokens": 1900, "ignore_eos": true, "n": 32, "stream": stream});
        let mut client = server.connect();
        let asked = request("POST", "/v1/completions", JSON, body.to_string().as_bytes());
        client.write_all(&asked).unwrap();
        if stream {
            client.read_exact(&mut [0; 500]).unwrap();
        } else {
            until("it begins", || server.metric("bantam_running") > 0.0);
        }
        drop(client);
        until("it ends", || server.metric("bantam_running") + server.metric("bantam_waiting") == 0.0);
        assert_eq!(server.metric("bantam_cancelled_answers_total"), 32.0 * (round + 1) as f64);
    }
    assert!(server.metric("bantam_answer_tokens_total") < 64.0 * 1900.0);
}

#[test]
fn a_stream_that_has_begun_ends_well_after_the_end_was_asked_for() {
    let mut server = Server::both();
    let body: Value = json!({"prompt": "where is my order", "max_tokens": 300, "ignore_eos": true, "stream": true});
    let mut client = server.connect();
    let asked = request("POST", "/v1/completions", JSON, body.to_string().as_bytes());
    client.write_all(&asked).unwrap();
    let mut answer = vec![0; 300];
    client.read_exact(&mut answer).unwrap();
    server.stop.take().unwrap().send(()).unwrap();
    client.read_to_end(&mut answer).unwrap();
    let reply = parse(&answer);
    assert!(reply.body.ends_with("data: [DONE]\n\n"), "{}", reply.body);
    let reason = |event: &Value| event["choices"][0]["finish_reason"].clone();
    assert_eq!(reason(reply.events().last().unwrap()), "length");
    server.thread.take().unwrap().join().unwrap().unwrap();
}

/// The schema of what an endpoint takes, and a request that it answers.
fn requests(document: &Value) -> Vec<(String, Value, Value)> {
    let fine = [
        ("/v1/chat/completions", json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 2})),
        ("/v1/completions", json!({"prompt": "a", "max_tokens": 2})),
        ("/v1/responses", json!({"input": "a", "max_output_tokens": 2})),
        ("/v1/embeddings", json!({"input": "a"})),
        ("/v1/classify", json!({"text": "a"})),
    ];
    let schema = |path: &str| {
        let content = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"];
        let name = content["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        document["components"]["schemas"][name].clone()
    };
    fine.into_iter().map(|(path, request)| (path.to_owned(), schema(path), request)).collect()
}

/// A value that a schema does not have.
fn wrong(schema: &Value) -> Value {
    let spelled = schema.to_string();
    let is = |name: &str| spelled.contains(&format!("\"{name}\""));
    if !is("boolean") && !is("json") { json!(true) } else { json!(5) }
}

#[test]
fn the_fields_that_are_described_are_those_that_are_read() {
    let server = Server::both();
    let document = server.get("/openapi.json").json();
    for (path, schema, request) in requests(&document) {
        server.fine(&path, &request);
        let properties = schema["properties"].as_object().unwrap();
        assert!(request.as_object().unwrap().keys().all(|name| properties.contains_key(name)), "{path}");
        for (name, property) in properties {
            let told = property["description"].as_str().unwrap();
            // What is read of a field is no value of another type; its first name is told.
            let first =
                told.strip_prefix("Another name of `").map_or(name.as_str(), |first| first.trim_end_matches('`'));
            let mut body = request.clone();
            if first != name {
                body.as_object_mut().unwrap().remove(first);
            }
            body[name] = wrong(property);
            let (found, _) = server.refused(&path, &body, 400);
            assert!(found.as_str().is_some_and(|found| found.starts_with(first)), "{path} {name}: {found}");
            // And where there is a default, it changes nothing.
            if let Some(default) = property.get("default").filter(|_| !["max_tokens", "store"].contains(&first)) {
                let mut body = request.clone();
                body[name] = default.clone();
                server.fine(&path, &body);
            }
        }
        // What is not described is not read.
        let mut body = request;
        body["temprature"] = 0.into();
        let (found, code) = server.refused(&path, &body, 400);
        assert_eq!((found, code), (json!("temprature"), json!("unknown_field")), "{path}");
    }
}

#[test]
fn the_description_tells_what_may_come_back() {
    let server = Server::both();
    let document = server.get("/openapi.json").json();
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/embed"] {
        let operation = &document["paths"][path]["post"];
        for status in ["200", "400", "401", "404", "413", "415", "429", "500", "503", "504"] {
            assert!(operation["responses"][status]["description"].is_string(), "{path} {status}");
        }
        assert!(operation["responses"]["429"]["headers"]["Retry-After"].is_object(), "{path}");
        assert!(operation["parameters"].as_array().unwrap().iter().any(|parameter| {
            (&parameter["name"], &parameter["in"]) == (&json!("x-deadline-seconds"), &json!("header"))
        }));
    }
    // Each reference leads somewhere.
    let text = document.to_string();
    for name in text.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    let answer =
        server.fine("/v1/chat/completions", &json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 1}));
    let described =
        &document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]["application/json"];
    let described = described["schema"]["properties"].as_object().unwrap();
    assert!(described.keys().all(|name| answer.get(name).is_some()), "{answer}");
}
