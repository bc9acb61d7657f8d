//! What a server is told when it starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bantam_runtime::Assistant;
use bantam_runtime::generation::LanguageModel;
use bantam_runtime::generation::engine::EngineOptions;
use bantam_runtime::tasks::TaskModel;

/// A model and the name that requests call it by.
pub struct Served {
    /// The name.
    pub name: String,
    /// The model.
    pub model: ServedModel,
}

/// What can be served.
pub enum ServedModel {
    /// Classifies texts.
    Bundle(Box<Assistant>),
    /// An encoder with the head of a task.
    Encoder(Box<TaskModel>),
    /// Goes on with texts.
    Language(Box<LanguageModel>),
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An address of this machine.
    Address(SocketAddr),
    /// A Unix socket.
    Socket(PathBuf),
}

/// The files of a server's certificate, both in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, and those that vouch for it after it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How a server serves.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where it listens.
    pub place: Place,
    /// Speaks TLS with this certificate.
    pub tls: Option<TlsFiles>,
    /// Keys of which a request has to show one; with none, every request is answered.
    pub keys: Vec<String>,
    /// Origins whose pages may read answers; `*` is all.
    pub origins: Vec<String>,
    /// The largest body of a request to a language model.
    pub body_bytes: usize,
    /// The most tokens of an answer; none: as many as the model has positions for.
    pub answer_tokens: Option<usize>,
    /// How long an answer may take, its wait included.
    pub deadline: Option<Duration>,
    /// How long started requests may go on once the end was asked for.
    pub drain: Duration,
    /// How requests to a language model share it.
    pub engine: EngineOptions,
    /// Writes prompts into the log.
    pub logs_prompts: bool,
}

impl ServeOptions {
    /// The usual ones.
    pub fn at(place: Place) -> Self {
        Self {
            place,
            tls: None,
            keys: Vec::new(),
            origins: Vec::new(),
            body_bytes: 4 << 20,
            answer_tokens: None,
            deadline: None,
            drain: Duration::from_secs(10),
            engine: EngineOptions::default(),
            logs_prompts: false,
        }
    }
}
