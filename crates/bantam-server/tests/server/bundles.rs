//! Classifiers: what they were before there were language models.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bantam_runtime::{Answer, Assistant, sample};
use bantam_server::Place;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::client::{Server, bundle, options, parse, request, run};

fn start() -> Server {
    Server::start(vec![bundle()], options())
}

fn send(server: &Server, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, Value) {
    let reply = server.exchange(&request(method, path, &format!("Content-Type: {kind}\r\n"), body));
    (reply.status, reply.json())
}

fn classify(server: &Server, body: &str) -> (u16, Value) {
    send(server, "POST", "/v1/classify", "application/json", body.as_bytes())
}

/// An answer after its way through text: numbers are written as short as they can be.
fn as_sent(answer: &Answer) -> Value {
    serde_json::from_str(&serde_json::to_string(answer).unwrap()).unwrap()
}

#[test]
fn one_text_and_many_are_answered_as_by_the_assistant() {
    let server = start();
    let assistant = Assistant::from_parts(sample::quantised_parts()).unwrap();
    let text = "where is my order LF-482913?";
    let (status, answer) = classify(&server, &json!({"text": text}).to_string());
    assert_eq!((status, &answer), (200, &as_sent(&assistant.answer(text))));
    assert_eq!(answer["entities"][0]["value"], "LF-482913");
    let texts = ["i want a refund", text, "", "§ émoji \u{1f600}"];
    let (status, answers) = classify(&server, &json!({"texts": texts}).to_string());
    assert_eq!(status, 200);
    let labels: Vec<&str> =
        answers["answers"].as_array().unwrap().iter().map(|a| a["label"].as_str().unwrap()).collect();
    assert_eq!(labels, texts.map(|text| assistant.answer(text).label));
    assert_eq!(classify(&server, r#"{"texts": []}"#).1, json!({"answers": []}));
}

#[test]
fn what_is_served_is_told_and_the_page_needs_nothing_else() {
    let server = start();
    assert_eq!(send(&server, "GET", "/health", "", b""), (200, json!({"status": "ok"})));
    let (_, model) = send(&server, "GET", "/v1/model", "", b"");
    assert_eq!((&model["name"], &model["licence"]), (&json!("sample"), &json!("MIT")));
    assert_eq!(model["labels"].as_array().unwrap().len(), 3);
    assert!(model["parameters"].as_u64().unwrap() > 1000 && model["bytes"].as_u64().unwrap() > 1000);
    let reply = server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let (status, head, page) = (reply.status, &reply.head, &reply.body);
    assert!(status == 200 && head.contains("content-type: text/html"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(page.len() < 100_000 && page.contains("<textarea") && page.contains("lang=\"en\""));
    for outside in ["http://", "https://", "src=", "@import", "innerHTML", "insertAdjacentHTML", "document.write"] {
        assert!(!page.contains(outside), "the page contains {outside}");
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    let server = start();
    let long = json!({"text": "é".repeat(10_001)}).to_string();
    let many = json!({"texts": vec!["a"; 1025]}).to_string();
    let huge = json!({"text": "a".repeat(1 << 20)}).to_string();
    let deep = "[".repeat(100_000);
    let cases: Vec<(&str, &str, &str, &[u8], u16)> = vec![
        ("POST", "/v1/classify", "application/json", b"{", 400),
        ("POST", "/v1/classify", "application/json", b"", 400),
        ("POST", "/v1/classify", "application/json", b"{}", 400),
        ("POST", "/v1/classify", "application/json", br#"{"text": 5}"#, 400),
        ("POST", "/v1/classify", "application/json", br#"{"text": "a", "texts": []}"#, 400),
        ("POST", "/v1/classify", "application/json", br#"{"txt": "a"}"#, 400),
        ("POST", "/v1/classify", "application/json", b"{\"text\": \"\xff\"}", 400),
        ("POST", "/v1/classify", "application/json", deep.as_bytes(), 400),
        ("POST", "/v1/classify", "application/json", long.as_bytes(), 413),
        ("POST", "/v1/classify", "application/json", many.as_bytes(), 413),
        ("POST", "/v1/classify", "application/json", huge.as_bytes(), 413),
        ("POST", "/v1/classify", "text/plain", br#"{"text": "a"}"#, 415),
        ("GET", "/v1/classify", "application/json", b"", 405),
        ("DELETE", "/health", "", b"", 405),
        ("GET", "/v2/anything", "", b"", 404),
        ("GET", "/../../etc/passwd", "", b"", 404),
    ];
    for (method, path, kind, body, expected) in cases {
        let (status, answer) = send(&server, method, path, kind, body);
        assert_eq!(status, expected, "{method} {path} {}", String::from_utf8_lossy(&body[..body.len().min(40)]));
        let error = &answer["error"];
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}: {answer}");
        assert!(error["remedy"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}: {answer}");
    }
    let type_with_parameter =
        send(&server, "POST", "/v1/classify", "application/json; charset=utf-8", b"{\"text\":\"a\"}");
    assert_eq!(type_with_parameter.0, 200);
}

#[test]
fn a_long_body_is_refused_though_its_length_was_not_announced() {
    let server = start();
    let head = "POST /v1/classify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut request = head.as_bytes().to_vec();
    let size = (1 << 20) + 1;
    request.extend(format!("{size:x}\r\n").bytes());
    request.extend(std::iter::repeat_n(b' ', size));
    request.extend(b"\r\n0\r\n\r\n");
    let reply = server.exchange(&request);
    assert_eq!(reply.status, 413, "{}", reply.body);
}

#[test]
fn clients_are_served_side_by_side_and_over_kept_connections() {
    let server = start();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(classify(&server, r#"{"text": "where is my order"}"#).0, 200);
                }
            });
        }
    });
    let mut stream = server.connect();
    for _ in 0..3 {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut bytes = [0; 512];
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0);
            answer.extend(&bytes[..count]);
        }
        assert_eq!(parse(&answer).status, 200);
    }
}

#[test]
fn started_requests_finish_after_the_end_was_asked_for() {
    let mut server = start();
    let mut idle = server.connect();
    let mut slow = server.connect();
    let body = r#"{"text": "where is my order"}"#;
    let head = format!(
        "POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    slow.write_all(head.as_bytes()).unwrap();
    slow.write_all(&body.as_bytes()[..10]).unwrap();
    // The server must have begun to read before it is asked to end.
    std::thread::sleep(Duration::from_millis(200));
    server.stop.take().unwrap().send(()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(TcpStream::connect(server.address()).is_err(), "no new connection is taken");
    slow.write_all(&body.as_bytes()[10..]).unwrap();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).unwrap();
    assert_eq!(parse(&answer).status, 200);
    let begin = Instant::now();
    server.thread.take().unwrap().join().unwrap().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "idle connections do not hold the end up");
    assert_eq!(idle.read(&mut [0; 1]).unwrap_or(0), 0);
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (_stop, stopped) = oneshot::channel();
    let at = bantam_server::ServeOptions::at(Place::Address(address));
    let error = run(vec![bundle()], at, stopped, |_| panic!("it cannot be ready")).unwrap_err().to_string();
    assert!(error.contains(&address.port().to_string()) && error.contains("--port"), "{error}");
    let mut server = start();
    server.stop().unwrap();
}
