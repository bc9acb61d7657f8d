//! `bantam bench prefill` and `bantam bench decode`: how fast a language model reads, and how fast it writes.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::ensure;
use bantam_kernels::ceiling::{self, Unit};
use bantam_kernels::isa::Isa;
use bantam_kernels::{memory, pool};
use bantam_model::Past;
use bantam_runtime::generation::LanguageModel;
use serde_json::json;

use super::median;
use crate::commands::language_model::{Format, PastKind, open};
use crate::commands::print_json;

/// The arguments of `bantam bench prefill` and `bantam bench decode`.
#[derive(clap::Args)]
#[command(after_help = "Example: bantam bench decode stories --format int4 --tokens 128 --json")]
pub(super) struct Arguments {
    /// The model: a Hugging Face folder, a GGUF file or a llama2.c file; a tokenizer is not needed
    model: PathBuf,
    /// Tokens in each try; when absent 512 are read or 128 written
    #[arg(long)]
    tokens: Option<usize>,
    /// Tokens that were read before
    #[arg(long, default_value_t = 0)]
    context: usize,
    /// What the weights are held as
    #[arg(long, value_enum, default_value_t = Format::Int4)]
    format: Format,
    /// What the keys and values of what was read are kept as; int8 takes about half the memory
    #[arg(long, value_enum, default_value_t = PastKind::Half)]
    past: PastKind,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A prompt is read, many tokens at a time.
    Prefill,
    /// An answer is written, token by token.
    Decode,
}

/// The most tokens: more would take an hour.
const MOST: usize = 1 << 17;
/// Tries of which the middle one counts.
const TRIES: usize = 5;

impl Arguments {
    pub(super) fn run(self, phase: Phase) -> anyhow::Result<()> {
        pool::set_threads(self.threads);
        let model = self.past.of(open(&self.model, self.format)?);
        let tokens = self.tokens.unwrap_or(if phase == Phase::Prefill { 512 } else { 128 });
        // Speed is the same beyond the positions that the model was trained for.
        ensure!(
            (1..=MOST).contains(&tokens) && self.context <= MOST,
            "--tokens from 1 and --context from 0, up to {MOST}"
        );
        let text: Vec<u32> = (0..self.context + tokens).map(|index| (index * 31 % model.vocabulary()) as u32).collect();
        let (before, now) = text.split_at(self.context);
        let past = if before.is_empty() { model.past() } else { read(&model, model.past(), before) };
        let mut speeds = Vec::new();
        for attempt in 0..=TRIES {
            let began = Instant::now();
            match phase {
                Phase::Prefill => drop(read(&model, past.clone(), now)),
                Phase::Decode => write(&model, past.clone(), now),
            }
            // The first try faults in memory and wakes threads.
            if attempt > 0 {
                speeds.push(tokens as f64 / began.elapsed().as_secs_f64());
            }
        }
        self.print(&model, phase, tokens, median(speeds))
    }

    fn print(&self, model: &LanguageModel, phase: Phase, tokens: usize, speed: f64) -> anyhow::Result<()> {
        // Measuring the memory's speed takes memory of its own.
        let peak_bytes = memory::peak_bytes();
        let (threads, parameters) = (pool::threads(), model.parameters());
        let bits = 8.0 * model.bytes() as f64 / parameters as f64;
        // Of a prompt only the last token is scored.
        let scored = if phase == Phase::Prefill { 1.0 / tokens as f64 } else { 1.0 };
        let [layers, head] = model.products().map(|products| products as f64);
        let ceiling = speed * 2.0 * (layers + head * scored) / ceiling::measure(Unit::Int8, threads);
        // A prompt reads each weight once for many tokens.
        let bandwidth =
            (phase == Phase::Decode).then(|| speed * model.bytes() as f64 / ceiling::read_bandwidth(threads));
        let phase = if phase == Phase::Prefill { "prefill" } else { "decode" };
        if self.json {
            return Ok(print_json(&json!({
                "tokens_per_second": speed,
                "phase": phase,
                "tokens": tokens,
                "context": self.context,
                "parameters": parameters,
                "bits_per_weight": bits,
                "bandwidth_share": bandwidth,
                "ceiling_share": ceiling,
                "peak_bytes": peak_bytes,
                "isa": Isa::current().name(),
                "threads": threads,
            }))?);
        }
        let mut screen = std::io::stdout().lock();
        write!(screen, "{phase}: {speed:.1} tokens/s, {bits:.2} bits a weight, {threads} threads, ")?;
        if let Some(share) = bandwidth {
            write!(screen, "{:.0} % of the memory's speed, ", 100.0 * share)?;
        }
        Ok(writeln!(screen, "{:.0} % of the int8 ceiling, {} MiB", 100.0 * ceiling, peak_bytes >> 20)?)
    }
}

fn read(model: &LanguageModel, past: Past, tokens: &[u32]) -> Past {
    model.read(past, tokens, &|| false).expect("nobody stops it").1
}

fn write(model: &LanguageModel, past: Past, tokens: &[u32]) {
    let mut pasts = vec![past];
    for token in tokens {
        pasts = model.next(pasts, &[&[*token]]).1;
    }
}
