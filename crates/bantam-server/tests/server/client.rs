//! A server on a thread of its own, and a client that writes its requests by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bantam_kernels::gemm::Precision;
use bantam_model::Weights;
use bantam_model::architectures::Architecture;
use bantam_model::architectures::llama::{Llama, LlamaConfig};
use bantam_runtime::generation::{LanguageModel, WeightFormat};
use bantam_runtime::{Assistant, sample};
use bantam_server::{Place, ServeError, ServeOptions, Served, ServedModel, serve};
use bantam_tokens::{Kind, SpecialTokens, Tokenizer, TrainOptions};
use serde_json::Value;
use tokio::sync::oneshot;

/// Positions of [`language`].
pub(crate) const POSITIONS: usize = 2048;

/// A bundle called `sample`.
pub(crate) fn bundle() -> Served {
    let assistant = Assistant::from_parts(sample::quantised_parts()).unwrap();
    Served { name: "sample".to_owned(), model: ServedModel::Bundle(Box::new(assistant)) }
}

/// A tokenizer of bytes and a few words.
pub(crate) fn tokenizer() -> Tokenizer {
    let special = SpecialTokens::decoder();
    let options = TrainOptions { vocabulary: 330, min_frequency: 1, special, ..TrainOptions::default() };
    Tokenizer::train(Kind::Bpe, sample::TEXTS, &options).unwrap()
}

/// A language model called `tiny` that knows nothing: its weights are random, and of its making only the seed.
pub(crate) fn language() -> Served {
    let tokenizer = tokenizer();
    let llama = Llama::new(LlamaConfig {
        vocab_size: tokenizer.vocabulary_size(),
        hidden_size: 64,
        intermediate_size: 96,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        head_dim: None,
        max_position_embeddings: POSITIONS,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: false,
        variant: Default::default(),
    });
    let weights = Weights::initialise(llama.schema(), 3, Precision::F32);
    let model = LanguageModel::new(Box::new(llama), &weights, Some(tokenizer), WeightFormat::F32);
    Served { name: "tiny".to_owned(), model: ServedModel::Language(Box::new(model)) }
}

/// The usual options, at any free port.
pub(crate) fn options() -> ServeOptions {
    ServeOptions::at(Place::Address(([127, 0, 0, 1], 0).into()))
}

/// Serves until `stop` says so.
pub(crate) fn run(
    models: Vec<Served>,
    options: ServeOptions,
    stop: oneshot::Receiver<()>,
    ready: impl FnOnce(&Place) + Send,
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(serve(models, options, async { drop(stop.await) }, ready))
}

/// A server that ends when it is dropped.
pub(crate) struct Server {
    pub(crate) place: Place,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) thread: Option<JoinHandle<Result<(), ServeError>>>,
}

/// A status, headers in small letters, and a body.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The data of each event, without the `[DONE]` at the end of a stream that has one.
    pub(crate) fn events(&self) -> Vec<Value> {
        assert!(self.status == 200 && self.head.contains("content-type: text/event-stream"), "{}", self.head);
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

impl Server {
    /// With a bundle and a language model.
    pub(crate) fn both() -> Self {
        Self::start(vec![bundle(), language()], options())
    }

    pub(crate) fn start(models: Vec<Served>, options: ServeOptions) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, hear) = mpsc::channel();
        let ready = move |place: &Place| tell.send(place.clone()).unwrap();
        let thread = std::thread::spawn(move || run(models, options, stopped, ready));
        let place = hear.recv().expect("the server starts");
        Self { place, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let Place::Address(address) = self.place else { panic!("{:?} is no address", self.place) };
        address
    }

    pub(crate) fn socket(&self) -> PathBuf {
        let Place::Socket(path) = &self.place else { panic!("{:?} is no socket", self.place) };
        path.clone()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Sends raw bytes, and reads to the end.
    pub(crate) fn exchange(&self, request: &[u8]) -> Reply {
        exchange(self.connect(), request)
    }

    /// Sends a request with more headers, each ending its line.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        self.exchange(&request(method, path, headers, body.as_bytes()))
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "", "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.ask("POST", path, JSON, &body.to_string())
    }

    /// The answer to a request that is fine.
    pub(crate) fn fine(&self, path: &str, body: &Value) -> Value {
        let reply = self.post(path, body);
        assert_eq!(reply.status, 200, "{path} {body}: {}", reply.body);
        reply.json()
    }

    /// A request that is refused, in OpenAI's form and with a remedy: its field and its code.
    pub(crate) fn refused(&self, path: &str, body: &Value, status: u16) -> (Value, Value) {
        let reply = self.post(path, body);
        assert_eq!(reply.status, status, "{path} {body}: {}", reply.body);
        let error = &reply.json()["error"];
        for key in ["message", "type", "remedy"] {
            assert!(error[key].as_str().is_some_and(|text| !text.is_empty()), "{path} {body}: {error}");
        }
        (error["param"].clone(), error["code"].clone())
    }

    /// The sum of a counter or gauge over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    pub(crate) fn stop(&mut self) -> Result<(), ServeError> {
        self.stop.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok(), "the server ends without a panic");
        }
    }
}

/// Waits until something is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) const JSON: &str = "Content-Type: application/json\r\n";

/// A request after which the connection ends.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Sends raw bytes, and reads to the end.
pub(crate) fn exchange(mut stream: impl Read + Write, request: &[u8]) -> Reply {
    // A server that refuses by the announced length may close before all is written.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    parse(&answer)
}

/// Takes an answer apart; pieces of a stream are joined.
pub(crate) fn parse(answer: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {text:?}"));
    let head = head.to_lowercase();
    let is_chunked = head.contains("transfer-encoding: chunked");
    let body = if is_chunked { joined(&answer[head.len() + 4..]) } else { body.to_owned() };
    Reply { status: head[9..12].parse().unwrap(), head, body }
}

fn joined(mut rest: &[u8]) -> String {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        let piece = &rest[end + 2..];
        if size == 0 || piece.len() < size {
            break;
        }
        body.extend(&piece[..size]);
        rest = &piece[size + 2..];
    }
    String::from_utf8(body).unwrap()
}
