//! What all endpoints share: the models by name, how many requests compute at once, counters and limits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use bantam_runtime::Assistant;
use bantam_runtime::chat::ChatFormat;
use bantam_runtime::constraints::Constraints;
use bantam_runtime::generation::LanguageModel;
use bantam_runtime::generation::engine::Engine;
use bantam_runtime::tasks::TaskModel;
use bantam_tokens::Tokenizer;
use tokio::sync::Semaphore;

use crate::batcher::Batcher;
use crate::body::{self, Fields};
use crate::failure::Failure;
use crate::identifier::now;
use crate::metrics::Metrics;
use crate::options::{ServeOptions, Served, ServedModel};
use crate::responses::Store;

/// The name that `huggingface_hub` sends where its user named no model.
const NO_NAME: &str = "dummy";

/// A model that is being served.
#[derive(Clone)]
pub(crate) enum Model {
    /// Classifies.
    Bundle(Arc<Assistant>),
    /// Reads texts for a task.
    Encoder(Arc<Encoder>),
    /// Goes on with texts.
    Language(Arc<Language>),
}

/// An encoder with all that requests need of it.
pub(crate) struct Encoder {
    /// Its name.
    pub(crate) name: String,
    /// The model.
    pub(crate) model: Arc<TaskModel>,
    /// What reads.
    pub(crate) batcher: Batcher,
}

/// A language model with all that requests need of it.
pub(crate) struct Language {
    /// Its name.
    pub(crate) name: String,
    /// What answers.
    pub(crate) engine: Engine,
    bytes: OnceLock<Vec<Option<Vec<u8>>>>,
    constraints: OnceLock<Result<Constraints, String>>,
}

/// The limits of requests.
pub(crate) struct Limits {
    /// Of a body.
    pub(crate) body_bytes: usize,
    /// Of an answer.
    pub(crate) answer_tokens: usize,
    /// Of the time that an answer takes.
    pub(crate) deadline: Option<Duration>,
}

/// The loaded models, and what requests to them share.
pub(crate) struct Service {
    models: Vec<(String, Model)>,
    computing: Arc<Semaphore>,
    ending: AtomicBool,
    /// When it began, in seconds since 1970.
    pub(crate) began: u64,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// Answers that later requests may go on from.
    pub(crate) store: Store,
    /// The limits.
    pub(crate) limits: Limits,
    /// Whether prompts may be logged.
    pub(crate) logs_prompts: bool,
}

impl Service {
    /// Starts an engine for each language model.
    pub(crate) fn new(models: Vec<Served>, options: &ServeOptions) -> Self {
        let start = |served: Served| {
            let model = match served.model {
                ServedModel::Bundle(assistant) => Model::Bundle(Arc::from(assistant)),
                ServedModel::Encoder(model) => Model::Encoder(Arc::new(Encoder::start(served.name.clone(), *model))),
                ServedModel::Language(model) => {
                    Model::Language(Arc::new(Language::start(served.name.clone(), Arc::from(model), options)))
                }
            };
            (served.name, model)
        };
        // More computing at once than there are cores makes every request slower and none faster.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            models: models.into_iter().map(start).collect(),
            computing: Arc::new(Semaphore::new(cores)),
            ending: AtomicBool::new(false),
            began: now(),
            metrics: Arc::default(),
            store: Store::default(),
            limits: Limits {
                body_bytes: options.body_bytes,
                answer_tokens: options.answer_tokens.unwrap_or(usize::MAX),
                deadline: options.deadline,
            },
            logs_prompts: options.logs_prompts,
        }
    }

    /// The models in the order in which they were given.
    pub(crate) fn models(&self) -> &[(String, Model)] {
        &self.models
    }

    /// The language models.
    pub(crate) fn languages(&self) -> impl Iterator<Item = &Arc<Language>> {
        self.models.iter().filter_map(|(_, model)| if let Model::Language(model) = model { Some(model) } else { None })
    }

    /// The encoders.
    pub(crate) fn encoders(&self) -> impl Iterator<Item = &Arc<Encoder>> {
        self.models.iter().filter_map(|(_, model)| if let Model::Encoder(model) = model { Some(model) } else { None })
    }

    /// The model of that name.
    pub(crate) fn model(&self, name: &str) -> Result<&(String, Model), Failure> {
        self.models.iter().find(|(known, _)| known == name).ok_or_else(|| {
            let names: Vec<&str> = self.models.iter().map(|(name, _)| name.as_str()).collect();
            let failure = Failure::field(
                "model",
                format!("there is no model {name:?}"),
                format!("take one of: {}", names.join(", ")),
            );
            failure.with_status(StatusCode::NOT_FOUND).with_code("model_not_found")
        })
    }

    /// The name, if it is one.
    fn named<'a>(&self, name: Option<&'a str>) -> Option<&'a str> {
        name.filter(|&name| name != NO_NAME || self.models.iter().any(|(known, _)| known == name))
    }

    /// The model of that name, or the first language model, or the first of all.
    pub(crate) fn any(&self, name: Option<&str>) -> Result<(&str, &Model), Failure> {
        let is_language = |(_, model): &&(String, Model)| matches!(model, Model::Language(_));
        let found = match self.named(name) {
            Some(name) => return self.model(name).map(|(name, model)| (name.as_str(), model)),
            None => self.models.iter().find(is_language).or(self.models.first()),
        };
        found.map(|(name, model)| (name.as_str(), model)).ok_or_else(none_served)
    }

    /// The bundle of that name, or the first one.
    pub(crate) fn bundle(&self, name: Option<&str>) -> Result<Arc<Assistant>, Failure> {
        let bundle = |model: &Model| if let Model::Bundle(bundle) = model { Some(Arc::clone(bundle)) } else { None };
        match self.named(name) {
            Some(name) => bundle(&self.model(name)?.1)
                .ok_or_else(|| other_kind(name, "is no bundle", "POST /v1/completions or POST /models/{id}")),
            None => self.models.iter().find_map(|(_, model)| bundle(model)).ok_or_else(|| {
                let remedy = "ask one of GET /v1/models in POST /v1/completions, or serve a .bantam file";
                Failure::new(StatusCode::NOT_FOUND, "no classifier is being served", remedy)
                    .with_code("model_not_found")
            }),
        }
    }

    /// The language model of that name, or the first one.
    pub(crate) fn language(&self, name: Option<&str>) -> Result<Arc<Language>, Failure> {
        match self.named(name) {
            Some(name) => match &self.model(name)?.1 {
                Model::Language(language) => Ok(Arc::clone(language)),
                Model::Bundle(_) => Err(other_kind(name, "is a classifier", "POST /v1/classify")),
                Model::Encoder(_) => Err(other_kind(name, "is an encoder", "POST /models/{id}")),
            },
            None => self.languages().next().cloned().ok_or_else(|| {
                let remedy = "ask the classifier in POST /v1/classify, or serve a language model";
                Failure::new(StatusCode::NOT_FOUND, "no language model is being served", remedy)
                    .with_code("model_not_found")
            }),
        }
    }

    /// Reads a request. `shape` tells what it should have been.
    pub(crate) async fn read(&self, headers: &HeaderMap, body: Body, shape: &str) -> Result<Fields, Failure> {
        body::read(headers, body, self.limits.body_bytes, shape).await
    }

    /// Runs `work` on a thread of its own, so that other connections go on meanwhile.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let failed = |_| {
            let remedy = "send it again; if it happens again, please report the text";
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the model could not answer", remedy)
        };
        let closed = |_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the server is ending", "send it again later");
        let permit = Arc::clone(&self.computing).acquire_owned().await.map_err(closed)?;
        let work = move || {
            // The work goes on though its client may be gone, so the place stays taken until it is done.
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(failed)
    }

    /// Takes note that the server is to end.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Whether the server is to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }
}

impl Model {
    /// Its tokenizer, which a language model of bare weights lacks.
    pub(crate) fn tokenizer(&self) -> Result<&Tokenizer, Failure> {
        match self {
            Self::Bundle(bundle) => Ok(bundle.classifier().encoder.tokenizer()),
            Self::Encoder(encoder) => Ok(encoder.model.tokenizer()),
            Self::Language(language) => language.tokenizer(),
        }
    }

    /// The most tokens of a text.
    pub(crate) fn max_tokens(&self) -> usize {
        match self {
            Self::Bundle(bundle) => bundle.parts().max_tokens,
            Self::Encoder(encoder) => encoder.model.max_tokens(),
            Self::Language(language) => language.model().max_tokens(),
        }
    }

    /// Refuses ids in the field `name` that it does not know.
    pub(crate) fn expect_known(&self, tokens: &[u32], name: &str) -> Result<(), Failure> {
        match self {
            Self::Language(language) => language.expect_known(tokens, name),
            _ => expect_below(self.tokenizer()?.vocabulary_size(), tokens, name),
        }
    }

    /// Whether what answers is there.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Bundle(_) => true,
            Self::Encoder(encoder) => encoder.batcher.is_open(),
            Self::Language(language) => language.engine.is_open(),
        }
    }
}

impl Encoder {
    fn start(name: String, model: TaskModel) -> Self {
        let model = Arc::new(model);
        Self { name, batcher: Batcher::start(Arc::clone(&model)), model }
    }
}

impl Language {
    fn start(name: String, model: Arc<LanguageModel>, options: &ServeOptions) -> Self {
        Self {
            name,
            engine: Engine::start(model, options.engine.clone()),
            bytes: OnceLock::new(),
            constraints: OnceLock::new(),
        }
    }

    /// The model.
    pub(crate) fn model(&self) -> &LanguageModel {
        self.engine.model()
    }

    /// Tokens of an answer in a conversation at most, where the request does not say: as far as the model goes, but no more than a quarter
    /// of what there is memory for, which an answer has for itself until it ends.
    pub(crate) fn most_unasked(&self) -> usize {
        self.model().max_tokens().min(self.engine.past_capacity() / 4)
    }

    /// Its tokenizer.
    pub(crate) fn tokenizer(&self) -> Result<&Tokenizer, Failure> {
        self.model().tokenizer().ok_or_else(|| {
            let remedy = "send token ids as `prompt` of POST /v1/completions, or serve a model that has its vocabulary";
            Failure::field("model", format!("{} has no tokenizer and reads no text", self.name), remedy)
        })
    }

    /// What a token adds to a text, in bytes; its spelling where the tokenizer cannot tell, as for special tokens.
    pub(crate) fn token_bytes(&self, id: u32) -> Vec<u8> {
        let Some(tokenizer) = self.model().tokenizer() else { return Vec::new() };
        let bytes =
            self.bytes.get_or_init(|| tokenizer.token_bytes().map_or_else(|_| Vec::new(), |bytes| bytes.tokens));
        let spelling = || tokenizer.token(id).unwrap_or_default().into_bytes();
        bytes.get(id as usize).cloned().flatten().unwrap_or_else(spelling)
    }

    /// The same as text; as OpenAI does, `bytes:\xe2\x98` where it is but a part of a character.
    pub(crate) fn token_text(&self, id: u32) -> String {
        String::from_utf8(self.token_bytes(id)).unwrap_or_else(|error| {
            let digits = error.as_bytes().iter().map(|byte| format!("\\x{byte:02x}"));
            format!("bytes:{}", digits.collect::<String>())
        })
    }

    /// Refuses ids in the field `name` that the model has no row for.
    pub(crate) fn expect_known(&self, tokens: &[u32], name: &str) -> Result<(), Failure> {
        expect_below(self.model().vocabulary(), tokens, name)
    }

    /// Its chat format.
    pub(crate) fn chat(&self) -> &ChatFormat {
        self.model().chat_format()
    }

    /// What makes its answers have a form. The first call takes a while.
    pub(crate) fn constraints(&self) -> Result<&Constraints, Failure> {
        let tokenizer = self.tokenizer()?;
        let made = self.constraints.get_or_init(|| {
            Constraints::new(tokenizer, self.model().ends(), self.model().vocabulary())
                .map_err(|error| error.to_string())
        });
        made.as_ref().map_err(|error| {
            let message = format!("answers of {} cannot be held to a form: {error}", self.name);
            Failure::new(StatusCode::BAD_REQUEST, message, "leave out the form, or take another model")
        })
    }
}

fn expect_below(vocabulary: usize, tokens: &[u32], name: &str) -> Result<(), Failure> {
    match tokens.iter().find(|&&token| token as usize >= vocabulary) {
        None => Ok(()),
        Some(token) => {
            let message = format!("token {token} is not in the vocabulary of {vocabulary}");
            Err(Failure::field(name, message, "send ids of this model"))
        }
    }
}

/// A request to a server without any model.
pub(crate) fn none_served() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "no model is being served", "name one when the server is started")
}

fn other_kind(name: &str, what: &str, remedy: &str) -> Failure {
    Failure::field("model", format!("{name} {what}"), format!("ask it in {remedy}"))
}
