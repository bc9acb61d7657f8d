//! `bantam bench serve`: many chats at a time, through the engine that the server answers with.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use bantam_kernels::isa::Isa;
use bantam_kernels::{memory, pool};
use bantam_model::Random;
use bantam_runtime::generation::GenerateOptions;
use bantam_runtime::generation::engine::{Engine, EngineOptions, Event, Request};
use bantam_runtime::sampling::SamplingOptions;
use serde_json::json;

use crate::commands::language_model::{Format, PastKind, open};
use crate::commands::print_json;

/// The arguments of `bantam bench serve`.
#[derive(clap::Args)]
#[command(after_help = "Example: bantam bench serve stories.gguf --chats 16 --prompt 128 --tokens 128 --json")]
pub(super) struct Arguments {
    /// The model: a Hugging Face folder, a GGUF file or a llama2.c file; a tokenizer is not needed
    model: PathBuf,
    /// Chats at the same time
    #[arg(long, default_value_t = 16)]
    chats: usize,
    /// Tokens of each prompt, which are random
    #[arg(long, default_value_t = 128)]
    prompt: usize,
    /// Tokens of each answer
    #[arg(long, default_value_t = 128)]
    tokens: usize,
    /// Tokens of prompts that are read in a step beside answers under way
    #[arg(long, default_value_t = EngineOptions::default().chunk)]
    chunk: usize,
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

/// When the tokens of a chat came.
type Times = Vec<Instant>;

/// The most chats: more would take an hour.
const MOST_CHATS: usize = 1024;
/// Tokens of the chats before the measured ones, which fault in memory and wake threads.
const WARM_UP: usize = 4;

impl Arguments {
    pub(super) fn run(self) -> anyhow::Result<()> {
        pool::set_threads(self.threads);
        ensure!((1..=MOST_CHATS).contains(&self.chats), "--chats from 1 to {MOST_CHATS}");
        ensure!(self.prompt > 0 && self.tokens > 0, "--prompt and --tokens from 1");
        let model = Arc::new(self.past.of(open(&self.model, self.format)?));
        let engine = Engine::start(
            Arc::clone(&model),
            EngineOptions {
                most_running: self.chats,
                past_bytes: usize::MAX,
                chunk: self.chunk,
                ..EngineOptions::default()
            },
        );
        self.chats(&engine, WARM_UP, 1)?;
        let (began, chats) = self.chats(&engine, self.tokens, 2)?;
        self.print(&engine, began, &chats)
    }

    /// Runs all chats; when they began, and when their tokens came.
    fn chats(&self, engine: &Engine, tokens: usize, seed: u64) -> anyhow::Result<(Instant, Vec<Times>)> {
        let (sender, ended) = mpsc::channel();
        let (mut random, began) = (Random::new(seed, 0), Instant::now());
        for _ in 0..self.chats {
            let (sender, mut times) = (sender.clone(), Vec::with_capacity(tokens));
            let request = Request {
                prompt: (0..self.prompt).map(|_| random.below(engine.model().vocabulary()) as u32).collect(),
                options: GenerateOptions {
                    tokens,
                    sampling: SamplingOptions::greedy(),
                    stop: Vec::new(),
                    ignores_end: true,
                    continues: true,
                },
                top_log_probabilities: 0,
                constraint: None,
                deadline: None,
                has_left: None,
                sink: Box::new(move |event| match event {
                    Event::Reading(_) => true,
                    Event::Token(_) => {
                        times.push(Instant::now());
                        true
                    }
                    Event::Finished(finished) => {
                        sender.send((std::mem::take(&mut times), finished.finish, finished.answer_tokens)).is_ok()
                    }
                }),
            };
            engine.submit(request)?;
        }
        drop(sender);
        let mut chats = Vec::new();
        for (times, finish, answer_tokens) in ended {
            ensure!(
                answer_tokens == tokens,
                "an answer ended after {answer_tokens} of {tokens} tokens ({}); ask for fewer",
                finish.name()
            );
            chats.push(times);
        }
        if chats.len() < self.chats {
            return Err(anyhow!("the engine ended before all chats did"));
        }
        Ok((began, chats))
    }

    fn print(&self, engine: &Engine, began: Instant, chats: &[Times]) -> anyhow::Result<()> {
        let seconds = |until: &Instant| until.duration_since(began).as_secs_f64();
        let last = |times: &mut dyn Iterator<Item = &Instant>| times.map(seconds).fold(0.0, f64::max);
        let all = last(&mut chats.iter().flatten());
        let read = last(&mut chats.iter().filter_map(|times| times.first()));
        let milliseconds = |time: Duration| 1e3 * time.as_secs_f64();
        let gaps = chats.iter().flat_map(|times| times.windows(2)).map(|pair| milliseconds(pair[1] - pair[0]));
        let gaps = sorted(gaps);
        let first = sorted(chats.iter().filter_map(|times| times.first()).map(|first| milliseconds(*first - began)));
        let model = engine.model();
        let (parameters, threads) = (model.parameters(), pool::threads());
        let bits = 8.0 * model.bytes() as f64 / parameters as f64;
        let speed = (self.chats * self.tokens) as f64 / all;
        if self.json {
            return Ok(print_json(&json!({
                "tokens_per_second": speed,
                "prompt_tokens_per_second": (self.chats * self.prompt) as f64 / read,
                "between_tokens_milliseconds": { "p50": share(&gaps, 0.5), "p99": share(&gaps, 0.99) },
                "first_token_milliseconds": { "p50": share(&first, 0.5), "p99": share(&first, 0.99) },
                "phase": "serve",
                "chats": self.chats,
                "prompt": self.prompt,
                "tokens": self.tokens,
                "chunk": self.chunk,
                "parameters": parameters,
                "bits_per_weight": bits,
                "past_bytes": engine.status().past_bytes,
                "peak_bytes": memory::peak_bytes(),
                "isa": Isa::current().name(),
                "threads": threads,
            }))?);
        }
        let mut screen = std::io::stdout().lock();
        writeln!(
            screen,
            "serve: {} chats, {speed:.1} tokens/s in sum, {bits:.2} bits a weight, {threads} threads, {} MiB",
            self.chats,
            memory::peak_bytes() >> 20
        )?;
        for (what, times) in [("between tokens", &gaps), ("to the first token", &first)] {
            if let (Some(middle), Some(late)) = (share(times, 0.5), share(times, 0.99)) {
                writeln!(screen, "{what}: {middle:.1} ms, 99th percentile {late:.1} ms")?;
            }
        }
        Ok(())
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The value that `share` of the sorted values do not exceed; `None` of none.
fn share(values: &[f64], share: f64) -> Option<f64> {
    values.get(((values.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied()
}
