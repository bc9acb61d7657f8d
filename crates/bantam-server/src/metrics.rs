//! `GET /metrics`: what is counted, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use bantam_runtime::generation::engine::EngineStatus;

use crate::batcher::Counts;
use crate::service::Service;

/// Upper ends of the parts that times are counted in, in seconds.
const BOUNDS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

type OfEngine = (&'static str, &'static str, fn(&EngineStatus) -> u64);

/// What each language model's engine tells.
const OF_ENGINES: [OfEngine; 8] = [
    ("bantam_prompt_tokens_total", "Tokens of prompts.", |status| status.prompt_tokens),
    ("bantam_reused_tokens_total", "Tokens of prompts that had been read before.", |status| status.reused_tokens),
    ("bantam_answer_tokens_total", "Tokens of answers.", |status| status.answer_tokens),
    ("bantam_finished_answers_total", "Answers that came to their end.", |status| status.finished_requests),
    ("bantam_cancelled_answers_total", "Answers whose clients left.", |status| status.cancelled_requests),
    ("bantam_running", "Answers that are being made.", |status| status.running as u64),
    ("bantam_waiting", "Answers that wait for their turn.", |status| status.waiting as u64),
    ("bantam_past_bytes", "Memory of what has been read.", |status| status.past_bytes as u64),
];

type OfBatcher = (&'static str, &'static str, fn(&Counts) -> &AtomicU64);

/// What each encoder's batches tell.
const OF_BATCHERS: [OfBatcher; 4] = [
    ("bantam_read_texts_total", "Texts that an encoder has read.", |counts| &counts.documents),
    ("bantam_read_tokens_total", "Tokens that an encoder has read.", |counts| &counts.tokens),
    ("bantam_read_batches_total", "Batches that these were read in.", |counts| &counts.batches),
    ("bantam_waiting_texts", "Texts of requests that an encoder has not answered.", |counts| &counts.waiting),
];

/// What is counted since the server began.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    request: Histogram,
    /// From asking an engine to the first token.
    pub(crate) first_token: Histogram,
    /// From one token to the next.
    pub(crate) between_tokens: Histogram,
}

/// How often times fell into each part.
#[derive(Default)]
pub(crate) struct Histogram {
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Histogram {
    /// Counts a time.
    pub(crate) fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let part = BOUNDS.partition_point(|&bound| bound < seconds);
        self.counts[part].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    fn write(&self, text: &mut String, name: &str, help: &str) {
        head(text, name, help, "histogram");
        let mut below = 0;
        for (part, count) in self.counts.iter().enumerate() {
            below += count.load(Ordering::Relaxed);
            let bound = BOUNDS.get(part).map_or("+Inf".to_owned(), f64::to_string);
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        let sum = self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9;
        let _ = writeln!(text, "{name}_sum {sum}\n{name}_count {below}");
    }
}

impl Metrics {
    /// Counts a request by the route that it took.
    pub(crate) fn requested(&self, route: &str, status: u16, time: Duration) {
        self.request.observe(time);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route.to_owned(), status)).or_default() += 1;
    }
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A text between quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Tells all of it.
pub(crate) async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let metrics = &service.metrics;
    let mut text = String::new();
    head(&mut text, "bantam_requests_total", "Requests answered, by route and status.", "counter");
    for ((route, status), count) in metrics.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = writeln!(text, "bantam_requests_total{{route=\"{}\",status=\"{status}\"}} {count}", escaped(route));
    }
    metrics.request.write(&mut text, "bantam_request_seconds", "From a request to the head of its answer.");
    metrics.first_token.write(
        &mut text,
        "bantam_first_token_seconds",
        "From a request to the first token of its answer.",
    );
    metrics.between_tokens.write(
        &mut text,
        "bantam_between_tokens_seconds",
        "From one token of an answer to the next.",
    );
    let states: Vec<_> =
        service.languages().map(|language| (escaped(&language.name), language.engine.status())).collect();
    for (name, help, value) in OF_ENGINES {
        head(&mut text, name, help, if name.ends_with("_total") { "counter" } else { "gauge" });
        for (model, status) in &states {
            let _ = writeln!(text, "{name}{{model=\"{model}\"}} {}", value(status));
        }
    }
    for (name, help, value) in OF_BATCHERS {
        head(&mut text, name, help, if name.ends_with("_total") { "counter" } else { "gauge" });
        for encoder in service.encoders() {
            let (model, value) = (escaped(&encoder.name), value(encoder.batcher.counts()).load(Ordering::Relaxed));
            let _ = writeln!(text, "{name}{{model=\"{model}\"}} {value}");
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
