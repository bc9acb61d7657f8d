//! What one choice costs, by options: `cargo run --release -p bantam-runtime --example sampling_speed [VOCABULARY]`.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use bantam_model::Random;
use bantam_runtime::sampling::{
    LookupOptions, PromptLookup, Sampler, SamplingOptions, StopStrings, TextStream, TokenMask, top_log_probabilities,
};
use bantam_tokens::{Kind, Tokenizer, TrainOptions};

/// Choices that are timed together, and how often: the fastest run counts, since others share the machine.
const CHOICES: usize = 8;
const RUNS: usize = 400;

fn microseconds(mut choose: impl FnMut(usize)) -> f64 {
    let run = |_| {
        let start = Instant::now();
        (0..CHOICES).for_each(&mut choose);
        start.elapsed().as_secs_f64() * 1e6 / CHOICES as f64
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}

fn main() -> std::io::Result<()> {
    let vocabulary = std::env::args().nth(1).and_then(|argument| argument.parse().ok()).unwrap_or(49_152);
    let mut random = Random::new(1, 0);
    let rows: Vec<Vec<f32>> = (0..4).map(|_| (0..vocabulary).map(|_| 2.5 * random.normal()).collect()).collect();
    let mask: TokenMask = (0..vocabulary as u32).filter(|token| token % 3 > 0).collect();
    let plain = SamplingOptions::default;
    let cases = [
        ("greedy", SamplingOptions::greedy()),
        ("draw from all", plain()),
        ("top_k 40", SamplingOptions { top_k: 40, ..plain() }),
        (
            "top_k 64, top_p 0.9, temperature 0.7",
            SamplingOptions { top_k: 64, top_p: 0.9, temperature: 0.7, ..plain() },
        ),
        ("top_p 0.9, temperature 0.3", SamplingOptions { top_p: 0.9, temperature: 0.3, ..plain() }),
        ("top_p 0.95 of a flat distribution", SamplingOptions { top_p: 0.95, ..plain() }),
        ("min_p 0.05", SamplingOptions { min_p: 0.05, ..plain() }),
        ("typical_p 0.9", SamplingOptions { typical_p: 0.9, ..plain() }),
        ("repetition_penalty 1.1, greedy", SamplingOptions { repetition_penalty: 1.1, ..SamplingOptions::greedy() }),
    ];
    let mut out = std::io::stdout().lock();
    writeln!(out, "microseconds per choice, {vocabulary} tokens")?;
    for (name, options) in cases {
        let mut sampler = Sampler::new(options, 1);
        sampler.see_prompt(&(0..200).collect::<Vec<_>>());
        let took = microseconds(|step| {
            if let Some(choice) = sampler.choose(&rows[step % rows.len()], None) {
                sampler.accept(choice.token);
            }
        });
        writeln!(out, "{took:8.1}  {name}")?;
    }
    let mut sampler = Sampler::new(SamplingOptions::greedy(), 1);
    let took = microseconds(|step| {
        black_box(sampler.choose(&rows[step % rows.len()], Some(&mask)));
    });
    writeln!(out, "{took:8.1}  greedy with a mask of two thirds")?;
    let took = microseconds(|step| {
        black_box(top_log_probabilities(&rows[step % rows.len()], 20));
    });
    writeln!(out, "{took:8.1}  top_log_probabilities 20")?;
    let (stream, lookup) = per_token();
    writeln!(out, "microseconds per token\n{stream:8.2}  text stream with two stop strings\n{lookup:8.2}  lookup")
}

/// What text and drafts cost beside the choice.
fn per_token() -> (f64, f64) {
    let text = "Where is my order? It was promised for the third of May, and I have not heard from you since.\n";
    let tokenizer = Tokenizer::train(Kind::Bpe, [text], &TrainOptions { min_frequency: 1, ..TrainOptions::default() })
        .expect("a text with words trains a tokenizer");
    let tokens = tokenizer.encode_content(&text.repeat(20));
    let (mut stream, mut stop) = (TextStream::new(), StopStrings::new(["\nUser:", "</s>"]));
    let mut lookup = PromptLookup::new(LookupOptions::default());
    let streamed = microseconds(|step| {
        black_box(stop.push(&stream.push(&tokenizer, tokens[step])));
    });
    let mut random = Random::new(2, 0);
    let looked_up = microseconds(|_| {
        lookup.extend(&[random.below(50) as u32]);
        black_box(lookup.draft(8).len());
    });
    (streamed, looked_up)
}
