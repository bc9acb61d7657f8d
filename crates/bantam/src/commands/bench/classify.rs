//! `bantam bench classify`: how fast a classifier labels texts, from token ids to scores.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bantam_eval::interval::quantile;
use bantam_kernels::isa::Isa;
use bantam_kernels::{ceiling, memory, pool};
use bantam_model::{Batch, Features, schema};
use bantam_runtime::{Assistant, TextClassifier};
use serde_json::json;

use super::gemm::Kind;
use crate::commands::print_json;

/// The arguments of `bantam bench classify`.
#[derive(clap::Args)]
#[command(after_help = "Example: bantam bench classify MiniLM-classifier --tokens 16 --batch 64 --json

ceiling_share counts all products of all tokens, of which the last layer of some models needs only a few.")]
pub(super) struct Arguments {
    /// The classifier: a .bantam file, or a Hugging Face folder
    model: PathBuf,
    /// Tokens of each text
    #[arg(long, default_value_t = 16)]
    tokens: usize,
    /// Texts that are labelled at once
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// What a folder's matrices are held as; a bundle has its own format
    #[arg(long, value_enum, default_value_t = Kind::Int8)]
    format: Kind,
    /// Seconds to measure for
    #[arg(long, default_value_t = 2.0, value_parser = crate::commands::seconds)]
    seconds: f64,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The most tokens at once: more would need more memory than most machines have.
const MOST_TOKENS: usize = 1 << 20;
/// The fewest calls that are measured, and those before them that wake threads and fill caches.
const FEWEST: usize = 20;
/// Hashed features of each token, for models that have a table for them: about what words have.
const FEATURES: usize = 10;

impl Arguments {
    pub(super) fn run(self) -> anyhow::Result<()> {
        pool::set_threads(self.threads);
        let assistant = Assistant::open(&self.model, self.format.packed())?;
        let classifier = assistant.classifier();
        let most = classifier.encoder.max_tokens();
        ensure!((1..=most).contains(&self.tokens), "--tokens from 1 to {most}, which is what the model reads at most");
        ensure!(
            self.batch >= 1 && self.batch.saturating_mul(self.tokens) <= MOST_TOKENS,
            "--batch from 1, and at most {MOST_TOKENS} tokens at once"
        );
        let times = self.measure(classifier);
        let (middle, late) = (quantile(&times, 0.5), quantile(&times, 0.99));
        let matrices =
            classifier.architecture.schema().entries().iter().filter(|entry| entry.kind == schema::Kind::Matrix);
        let products: usize = matrices.map(|entry| entry.shape().iter().product::<usize>()).sum();
        let (isa, threads) = (Isa::current().name(), pool::threads());
        let operations = 2.0 * (products * self.tokens * self.batch) as f64;
        let share = operations / middle / ceiling::measure(self.format.unit(), threads);
        let rate = self.batch as f64 / middle;
        if self.json {
            return Ok(print_json(&json!({
                "latency_p50_microseconds": middle * 1e6,
                "latency_p99_microseconds": late * 1e6,
                "requests_per_second": rate,
                "ceiling_share": share,
                "peak_bytes": memory::peak_bytes(),
                "isa": isa,
                "threads": threads,
                "tokens": self.tokens,
                "batch": self.batch,
                "parameters": classifier.parameters(),
                "weight_bytes": classifier.weights.bytes(),
            }))?);
        }
        Ok(writeln!(
            std::io::stdout().lock(),
            "{} texts of {} tokens: {:.1} us in the middle, {:.1} us at the 99th percentile, {rate:.0} texts/s, {:.0} % of the \
             ceiling, {threads} threads with {isa}, {} MiB",
            self.batch,
            self.tokens,
            middle * 1e6,
            late * 1e6,
            100.0 * share,
            memory::peak_bytes() >> 20
        )?)
    }

    /// The seconds of all calls, sorted.
    fn measure(&self, classifier: &TextClassifier) -> Vec<f64> {
        let vocabulary = classifier.architecture.vocabulary();
        let ids: Vec<u32> = (0..self.batch * self.tokens).map(|index| (index * 31 % vocabulary) as u32).collect();
        let mut batch = Batch::new(ids.chunks(self.tokens));
        if let Some(shape) = classifier.architecture.features() {
            let each = FEATURES * self.tokens;
            batch = batch.with_features(Features {
                ids: (0..self.batch * each).map(|index| (index * 7919 % shape.buckets) as u32).collect(),
                offsets: (0..=self.batch).map(|document| document * each).collect(),
            });
        }
        let mut times = Vec::new();
        let until = Instant::now() + Duration::from_secs_f64(self.seconds);
        while times.len() < 2 * FEWEST || Instant::now() < until {
            let began = Instant::now();
            classifier.classify_batch(&batch);
            times.push(began.elapsed().as_secs_f64());
        }
        times.drain(..FEWEST);
        times.sort_by(f64::total_cmp);
        times
    }
}
