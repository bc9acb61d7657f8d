//! `bantam generate`: a language model goes on with a text.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use bantam_kernels::pool;
use bantam_runtime::generation::{GenerateOptions, generate};
use bantam_runtime::sampling::SamplingOptions;
use serde_json::json;

use super::language_model::{Format, open};
use super::print_json;

/// The arguments of `bantam generate`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bantam generate stories --prompt 'Once upon a time' --tokens 200
  bantam generate stories --prompt 'Once upon a time' --greedy --json

Prompt and answer together have as many tokens as the model knows positions for; an answer that reaches the last ends there.")]
pub(crate) struct Arguments {
    /// The model: a Hugging Face folder, a GGUF file, or a llama2.c file beside its tokenizer
    model: PathBuf,
    /// The text to go on with
    #[arg(long)]
    prompt: String,
    /// The most tokens of the answer
    #[arg(long, default_value_t = 128)]
    tokens: usize,
    /// Always take the likeliest token
    #[arg(long)]
    greedy: bool,
    /// Below 1 prefers likely tokens, above 1 evens them out; 0 is greedy
    #[arg(long, default_value_t = 0.8)]
    temperature: f32,
    /// Choose among so many likeliest tokens; 0 for all
    #[arg(long, default_value_t = 40)]
    top_k: usize,
    /// Choose among the likeliest tokens that together have this probability
    #[arg(long, default_value_t = 0.95)]
    top_p: f32,
    /// Leave out tokens less likely than this share of the likeliest
    #[arg(long, default_value_t = 0.05)]
    min_p: f32,
    /// Above 1 makes tokens less likely that were there before
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f32,
    /// The same seed gives the same answer
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A text that ends the answer; may be given several times
    #[arg(long)]
    stop: Vec<String>,
    /// What the weights are held as
    #[arg(long, value_enum, default_value_t = Format::Int8)]
    format: Format,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object, with the token ids, when the answer is done
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        pool::set_threads(self.threads);
        let model = open(&self.model, self.format)?;
        let Some(tokenizer) = model.tokenizer() else {
            bail!(
                "{}: a model without tokenizer cannot read a prompt; take one that has its vocabulary",
                self.model.display()
            );
        };
        // What the tokenizer puts behind a text would say that it is over.
        let prompt = [tokenizer.around().0, &tokenizer.encode_content(&self.prompt)].concat();
        let sampling = SamplingOptions {
            temperature: if self.greedy { 0.0 } else { self.temperature },
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            seed: Some(self.seed),
            ..SamplingOptions::default()
        };
        let options = GenerateOptions { tokens: self.tokens, sampling, stop: self.stop, ignores_end: false };
        let mut screen = std::io::stdout().lock();
        let mut failure = None;
        let generated = generate(&model, &prompt, &options, &mut |piece| {
            let shown =
                if self.json { Ok(()) } else { screen.write_all(piece.as_bytes()).and_then(|()| screen.flush()) };
            failure = shown.err();
            failure.is_none()
        })?;
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        if !self.json {
            return Ok(writeln!(screen)?);
        }
        drop(screen);
        let per_second = |tokens: usize, time: std::time::Duration| tokens as f64 / time.as_secs_f64().max(1e-9);
        print_json(&json!({
            "text": generated.text,
            "tokens": generated.tokens,
            "log_probabilities": generated.log_probabilities,
            "prompt_tokens": prompt,
            "finish_reason": generated.finish.name(),
            "prompt_tokens_per_second": per_second(prompt.len(), generated.prompt_time),
            "tokens_per_second": per_second(generated.tokens.len(), generated.answer_time),
        }))?;
        Ok(())
    }
}
