//! Answers on their way from an engine to a client. A client that leaves drops its [`Answers`], which cancels them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode};
use bantam_runtime::generation::AnswerToken;
use bantam_runtime::generation::engine::{Event, Finished, Request, SubmitError};
use bantam_runtime::generation::{GenerateError, GenerateOptions};
use bantam_runtime::sampling::Constraint;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::conversation::finish_reason;
use crate::failure::Failure;
use crate::keys::Caller;
use crate::metrics::Metrics;
use crate::service::{Language, Service};

/// How long a client should wait where the queue is full.
const RETRY_SECONDS: u32 = 1;
/// Says how many seconds an answer may take, beside the server's own limit.
pub(crate) const DEADLINE_HEADER: &str = "x-deadline-seconds";

/// How long a stream's status may wait for the first token.
const MOST_SILENCE: Duration = Duration::from_millis(100);

/// One answer that is asked for.
pub(crate) struct Asked {
    pub(crate) prompt: Vec<u32>,
    pub(crate) options: GenerateOptions,
    /// How many of the likeliest tokens are told beside each.
    pub(crate) top: usize,
    pub(crate) constraint: Option<Box<dyn Constraint>>,
}

/// What a request calls its parts, for what is wrong with them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    /// What is to be gone on with.
    pub(crate) text: &'static str,
    /// The limit of an answer's tokens.
    pub(crate) tokens: &'static str,
}

/// The answers to one request, as they come. An answer has no more tokens than its model has positions, which bounds
/// what can wait here.
pub(crate) struct Answers {
    told: UnboundedReceiver<(usize, Told)>,
    /// What happened first, where it was waited for.
    first: Option<(usize, Told)>,
    count: usize,
}

/// An answer when it is done.
pub(crate) struct Whole {
    pub(crate) tokens: Vec<AnswerToken>,
    pub(crate) text: String,
    pub(crate) finished: Finished,
}

/// What is told of an answer under way.
pub(crate) enum Told {
    /// A token more.
    Token(AnswerToken),
    /// It is over, and this is what was held back of its text.
    Finished(Finished),
}

impl Answers {
    /// Hands all to the engine, or none.
    pub(crate) fn submit(
        service: &Service,
        language: &Language,
        asked: Vec<Asked>,
        names: Names,
        caller: Caller,
        deadline: Option<Instant>,
    ) -> Result<Self, Failure> {
        let (sender, told) = unbounded_channel();
        let count = asked.len();
        let mut requests = Vec::new();
        for (index, asked) in asked.into_iter().enumerate() {
            if service.logs_prompts {
                let prompt = language.model().tokenizer().map(|tokenizer| tokenizer.decode(&asked.prompt));
                tracing::info!(model = language.name, prompt = prompt.unwrap_or_default(), "prompt");
            }
            let sink = sink(index, sender.clone(), Arc::clone(&service.metrics));
            let told = sender.clone();
            let has_left: Option<Box<dyn Fn() -> bool + Send>> = Some(Box::new(move || told.is_closed()));
            let Asked { prompt, options, top: top_log_probabilities, constraint } = asked;
            requests.push(Request { prompt, options, top_log_probabilities, constraint, deadline, has_left, sink });
        }
        language.engine.submit_all(requests, caller.owner()).map_err(|error| refused(error, names))?;
        Ok(Self { told, first: None, count })
    }

    /// The same once the first of them has begun, so that a failure before that can be the status of a stream; but a stream that has to wait
    /// is begun without, or whoever stands between would take its silence for an end.
    pub(crate) async fn begun(mut self) -> Result<Self, Failure> {
        let Ok(first) = tokio::time::timeout(MOST_SILENCE, self.told.recv()).await else { return Ok(self) };
        let first = first.ok_or_else(ended)?;
        if let (_, Told::Finished(finished)) = &first {
            finish_reason(finished, false)?;
        }
        Ok(Self { first: Some(first), ..self })
    }

    /// What happens next, and to which answer; none where the engine has ended.
    pub(crate) async fn next(&mut self) -> Option<(usize, Told)> {
        match self.first.take() {
            Some(first) => Some(first),
            None => self.told.recv().await,
        }
    }

    /// Waits for all of them.
    pub(crate) async fn whole(mut self) -> Result<Vec<Whole>, Failure> {
        let mut tokens: Vec<Vec<AnswerToken>> = (0..self.count).map(|_| Vec::new()).collect();
        let mut finished: Vec<Option<Finished>> = (0..self.count).map(|_| None).collect();
        while finished.iter().any(Option::is_none) {
            match self.next().await.ok_or_else(ended)? {
                (index, Told::Token(token)) => tokens[index].push(token),
                (index, Told::Finished(end)) => finished[index] = Some(end),
            }
        }
        let whole = |(tokens, finished): (Vec<AnswerToken>, Finished)| {
            let pieces = tokens.iter().map(|token| token.text.as_str()).chain([finished.text.as_str()]);
            Whole { text: pieces.collect(), tokens, finished }
        };
        Ok(tokens.into_iter().zip(finished.into_iter().flatten()).map(whole).collect())
    }
}

/// When an answer has to be done: what the server allows, or the client asks for if that is sooner.
pub(crate) fn deadline(service: &Service, headers: &HeaderMap) -> Result<Option<Instant>, Failure> {
    let asked = match headers.get(DEADLINE_HEADER) {
        None => None,
        Some(value) => {
            let seconds = value.to_str().ok().and_then(|text| text.parse::<f64>().ok());
            let limit = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            Some(limit.ok_or_else(|| {
                let message = format!("the header {DEADLINE_HEADER} is no number of seconds");
                Failure::new(StatusCode::BAD_REQUEST, message, "send a number such as 2.5")
            })?)
        }
    };
    let limit = asked.into_iter().chain(service.limits.deadline).min();
    Ok(limit.and_then(|limit| Instant::now().checked_add(limit)))
}

/// The answer that some work comes to, unless the request's deadline comes first.
pub(crate) async fn in_time<T>(
    service: &Service,
    headers: &HeaderMap,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match deadline(service, headers)? {
        None => work.await,
        Some(limit) if limit <= Instant::now() => Err(late()),
        Some(limit) => tokio::time::timeout_at(limit.into(), work).await.map_err(|_| late())?,
    }
}

/// What is told where an engine ended before its answers.
pub(crate) fn ended() -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the answer was not finished", "send the request again later")
}

/// What is told where the deadline came before an answer.
pub(crate) fn late() -> Failure {
    let remedy = "ask for less, or later; the server's --deadline and the header x-deadline-seconds set the limit";
    Failure::new(StatusCode::GATEWAY_TIMEOUT, "there was no answer in time", remedy).with_code("deadline")
}

/// Sends the events on, and measures when they came.
fn sink(
    index: usize,
    sender: UnboundedSender<(usize, Told)>,
    metrics: Arc<Metrics>,
) -> Box<dyn FnMut(Event) -> bool + Send> {
    let (asked, mut last) = (Instant::now(), None::<Instant>);
    Box::new(move |event| {
        let told = match event {
            Event::Reading(_) => return !sender.is_closed(),
            Event::Token(token) => {
                let now = Instant::now();
                match last.replace(now) {
                    None => metrics.first_token.observe(now - asked),
                    Some(before) => metrics.between_tokens.observe(now - before),
                }
                Told::Token(token)
            }
            Event::Finished(finished) => Told::Finished(finished),
        };
        sender.send((index, told)).is_ok()
    })
}

/// Refuses a prompt that is too long before copies of it are made for several answers.
pub(crate) fn expect_fitting(prompt: &[u32], language: &Language, names: Names) -> Result<(), Failure> {
    let (tokens, most) = (prompt.len(), language.model().max_tokens().saturating_sub(1));
    if tokens <= most {
        Ok(())
    } else {
        Err(refused(SubmitError::Invalid(GenerateError::TooLong { tokens, most }), names))
    }
}

fn full(message: String) -> Failure {
    let remedy = "send it again later; the server's --most-waiting says how many may wait, and a request or key has half of these places";
    Failure::new(StatusCode::TOO_MANY_REQUESTS, message, remedy).with_code("queue_full").retry_after(RETRY_SECONDS)
}

fn refused(error: SubmitError, names: Names) -> Failure {
    match error {
        SubmitError::Busy { waiting } => full(format!("{waiting} answers are waiting already")),
        SubmitError::OwnerBusy { waiting } => full(format!("{waiting} answers of this key are waiting already")),
        SubmitError::TooMany { asked, most } => {
            let message =
                format!("{asked} answers are asked for, and this server has places for {most} of one request");
            let remedy = format!(
                "ask for {most} at most at a time (`n` for each prompt), or start the server with higher --most-running and --most-waiting"
            );
            Failure::field("n", message, remedy)
        }
        SubmitError::Ending => {
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the server is ending", "send it again later")
        }
        SubmitError::Invalid(error @ GenerateError::TooLong { .. }) => {
            let remedy = format!("shorten `{}`", names.text);
            Failure::field(names.text, error.to_string(), remedy).with_code("context_length_exceeded")
        }
        SubmitError::Invalid(GenerateError::TooLarge { bytes, most }) => {
            let message = format!("prompt and answer take {bytes} bytes of past at most, and this server has {most}");
            let remedy = format!(
                "ask for fewer tokens by `{}`, or shorten `{}`; the server's --past-mebibytes says what there is",
                names.tokens, names.text
            );
            Failure::field(names.tokens, message, remedy).with_code("context_length_exceeded")
        }
        SubmitError::Invalid(error) => {
            Failure::field(names.text, error.to_string(), format!("change `{}`", names.text))
        }
    }
}
