//! Who may ask, over what, and how much.

use std::fs;
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use bantam_server::{Place, ServeOptions, TlsFiles};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client::{JSON, Server, bundle, exchange, language, options, request, run, until};

fn long(count: usize) -> Value {
    json!({"model": "tiny", "prompt": "where is my order", "max_tokens": 1500, "ignore_eos": true, "n": count})
}

#[test]
fn a_request_shows_a_key() {
    let keys = vec!["first key".to_owned(), "second".to_owned()];
    let server = Server::start(vec![language()], ServeOptions { keys, ..options() });
    let status = |headers: &str| server.ask("GET", "/v1/models", headers, "").status;
    assert_eq!(status("Authorization: Bearer first key\r\n"), 200);
    assert_eq!(status("x-api-key: second\r\n"), 200);
    for wrong in ["", "Authorization: Bearer first\r\n", "Authorization: second\r\n", "x-api-key: third\r\n"] {
        let reply = server.ask("GET", "/v1/models", wrong, "");
        assert_eq!(reply.status, 401, "{wrong}");
        assert!(
            reply.head.contains("www-authenticate: bearer") && reply.json()["error"]["type"] == "authentication_error"
        );
    }
    assert_eq!(
        (server.get("/health").status, server.get("/ready").status, server.get("/metrics").status),
        (200, 200, 401)
    );
    assert_eq!(server.get("/no/such/path").status, 401, "whoever has no key learns nothing");
    // What one caller made, another does not see.
    let body = json!({"input": "a", "max_output_tokens": 1}).to_string();
    let made = server.ask("POST", "/v1/responses", &format!("{JSON}x-api-key: second\r\n"), &body).json();
    let path = format!("/v1/responses/{}", made["id"].as_str().unwrap());
    assert_eq!(server.ask("GET", &path, "x-api-key: second\r\n", "").status, 200);
    assert_eq!(server.ask("GET", &path, "x-api-key: first key\r\n", "").status, 404);
}

#[test]
fn pages_of_named_origins_may_ask() {
    let origins = vec!["https://app.example".to_owned()];
    let keys = vec!["key".to_owned()];
    let server = Server::start(vec![bundle()], ServeOptions { origins, keys, ..options() });
    let preflight = "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";
    let reply = server.ask("OPTIONS", "/v1/classify", preflight, "");
    assert_eq!(reply.status, 200, "a browser asks without the key");
    assert!(reply.head.contains("access-control-allow-origin: https://app.example"), "{}", reply.head);
    assert!(reply.head.contains("authorization"), "{}", reply.head);
    let other = server.ask("GET", "/health", "Origin: https://other.example\r\n", "");
    assert!(!other.head.contains("access-control-allow-origin"), "{}", other.head);
    let refused = server.ask("GET", "/v1/model", "Origin: https://app.example\r\n", "");
    assert!(refused.status == 401 && refused.head.contains("access-control-allow-origin"), "a page can read why");
    let (_stop, stopped) = oneshot::channel();
    let wrong = ServeOptions { origins: vec!["app.example".to_owned()], ..options() };
    let error = run(vec![bundle()], wrong, stopped, |_| ()).unwrap_err().to_string();
    assert!(error.contains("--cors app.example"), "{error}");
}

#[test]
fn a_full_queue_and_a_passed_deadline_are_told() {
    let mut limited = options();
    (limited.engine.most_running, limited.engine.most_waiting) = (1, 2);
    let server = Server::start(vec![language()], limited);
    // Two run and wait; of two more, the second would wait beyond the share of one request.
    let mut under_way = server.connect();
    let mut streamed = long(2);
    streamed["stream"] = true.into();
    under_way.write_all(&request("POST", "/v1/completions", JSON, streamed.to_string().as_bytes())).unwrap();
    until("one runs and one waits", || server.metric("bantam_running") + server.metric("bantam_waiting") == 2.0);
    let reply = server.post("/v1/completions", &long(2));
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (429, &json!("queue_full")));
    assert!(reply.head.contains("retry-after: 1"), "{}", reply.head);
    // What an idle server would have no place for is not to be sent again.
    let refused = server.post("/v1/completions", &long(3));
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("n")));
    assert!(!refused.head.contains("retry-after") && refused.body.contains("ask for 2 at most"), "{}", refused.body);
    drop(under_way);
    until("the queue is empty", || server.metric("bantam_running") + server.metric("bantam_waiting") == 0.0);
    let late = |seconds: &str, stream: bool| {
        let mut body = long(1);
        body["stream"] = stream.into();
        server.ask("POST", "/v1/completions", &format!("{JSON}x-deadline-seconds: {seconds}\r\n"), &body.to_string())
    };
    let reply = late("0", false);
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (504, &json!("deadline")));
    let streamed = late("0", true);
    assert_eq!((streamed.status, &streamed.json()["error"]["code"]), (504, &json!("deadline")));
    assert_eq!((late("soon", false).status, late("1000", false).status), (400, 200));
    let strict = ServeOptions { deadline: Some(Duration::from_nanos(1)), ..options() };
    assert_eq!(Server::start(vec![language()], strict).post("/v1/completions", &long(1)).status, 504);
}

#[test]
fn bodies_and_answers_have_their_limits() {
    let limited = ServeOptions { body_bytes: 1000, answer_tokens: Some(5), ..options() };
    let server = Server::start(vec![language()], limited);
    server.refused("/v1/completions", &json!({"prompt": "a".repeat(1000)}), 413);
    assert_eq!(server.refused("/v1/completions", &json!({"prompt": "a", "max_tokens": 6}), 400).0, "max_tokens");
    let answer = server.fine("/v1/completions", &json!({"prompt": "a", "ignore_eos": true}));
    assert_eq!(answer["usage"]["completion_tokens"], 5);
    let form = server.ask("POST", "/v1/completions", "Content-Type: text/plain\r\n", "{\"prompt\": \"a\"}");
    assert_eq!(form.status, 415);
    let form = server.ask("POST", "/v1/chat/completions", "", "{\"messages\": []}");
    assert_eq!(form.status, 415);
}

#[test]
fn a_unix_socket_is_made_replaced_and_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    // A server that was killed leaves its socket.
    drop(UnixListener::bind(&path).unwrap());
    let at = || ServeOptions::at(Place::Socket(path.clone()));
    let mut server = Server::start(vec![bundle()], at());
    let health = || exchange(UnixStream::connect(&path).unwrap(), &request("GET", "/health", "", b""));
    assert_eq!((health().status, server.socket()), (200, path.clone()));
    let failure = |at| {
        let (_stop, stopped) = oneshot::channel();
        run(vec![bundle()], at, stopped, |_| ()).unwrap_err().to_string()
    };
    assert!(failure(at()).contains("another program"), "a socket in use stays");
    assert_eq!(health().status, 200);
    server.stop().unwrap();
    assert!(!path.exists());
    fs::write(&path, "precious").unwrap();
    assert!(failure(at()).contains("no socket"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn tls_is_spoken_with_the_certificate_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = TlsFiles { certificate: certificate.clone(), key: key.clone() };
    let server = Server::start(vec![language()], ServeOptions { tls: Some(files), ..options() });

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let body = json!({"prompt": "a", "max_tokens": 3, "stream": true}).to_string();
    let reply = exchange(
        StreamOwned::new(connection, server.connect()),
        &request("POST", "/v1/completions", JSON, body.as_bytes()),
    );
    assert!(reply.status == 200 && reply.body.ends_with("data: [DONE]\n\n"), "{}", reply.body);

    for (certificate, key, part) in [
        (&key, &key, "no certificate"),
        (&certificate, &certificate, "certificate.pem"),
        (&certificate, &folder.path().join("none"), "none"),
    ] {
        let files = TlsFiles { certificate: certificate.clone(), key: key.clone() };
        let (_stop, stopped) = oneshot::channel();
        let error = run(vec![bundle()], ServeOptions { tls: Some(files), ..options() }, stopped, |_| ());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("--tls-"), "{error}");
    }
}
