//! `bantam generate`: a language model goes on with a text.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use bantam_kernels::pool;
use bantam_runtime::constraints::Constraints;
use bantam_runtime::generation::{GenerateOptions, LanguageModel, generate_with_top, likely_answers};
use bantam_runtime::sampling::{BeamOptions, Constraint};
use serde_json::json;

use super::language_model::{Format, PastKind, open};
use super::print_json;
use super::sampling::Sampling;

/// The arguments of `bantam generate`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bantam generate stories --prompt 'Once upon a time' --tokens 200
  bantam generate stories --prompt 'Once upon a time' --greedy --json
  bantam generate model.gguf --prompt 'The order as JSON: ' --schema order.json
  bantam generate translator --prompt 'Guten Morgen =>' --beams 4 --results 2

Prompt and answer together have as many tokens as the model knows positions for; an answer that reaches the last ends there.")]
pub(crate) struct Arguments {
    /// The model: a Hugging Face folder, a GGUF file, or a llama2.c file beside its tokenizer
    model: PathBuf,
    /// The text to go on with, as it is: special tokens that it spells count as such
    #[arg(long)]
    prompt: String,
    /// The answer is JSON that meets the schema in this file
    #[arg(long, value_name = "FILE", group = "form")]
    schema: Option<PathBuf>,
    /// The answer is a text that this regular expression matches as a whole
    #[arg(long, value_name = "TEXT", group = "form")]
    regex: Option<String>,
    /// The answer is a text that the grammar in this file makes, written as for llama.cpp (GBNF) or for Lark
    #[arg(long, value_name = "FILE", group = "form")]
    grammar: Option<PathBuf>,
    /// The most tokens of the answer
    #[arg(long, default_value_t = 128)]
    tokens: usize,
    /// Search for the likeliest answers as wholes, going on with so many beginnings at a time, instead of choosing token by token
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256), conflicts_with_all = ["form", "stop", "Sampling"])]
    beams: Option<u16>,
    /// How many of the likeliest answers are printed, best first; needs --beams
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), requires = "beams")]
    results: u16,
    /// Of --beams: 0 prefers short answers, 1 compares the mean over tokens, more prefers long ones
    #[arg(long, value_name = "EXPONENT", default_value_t = 1.0, requires = "beams")]
    length_penalty: f32,
    /// How many answers are made, each with the seed after the one before
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "beams")]
    samples: u16,
    /// With --json, tell so many of the likeliest tokens in each place
    #[arg(long, value_name = "COUNT", default_value_t = 0, requires = "json", conflicts_with = "beams")]
    top_log_probabilities: u16,
    #[command(flatten)]
    sampling: Sampling,
    /// A text that ends the answer; may be given several times
    #[arg(long)]
    stop: Vec<String>,
    /// What the weights are held as
    #[arg(long, value_enum, default_value_t = Format::Int8)]
    format: Format,
    /// What the keys and values of what was read are kept as; int8 takes about half the memory
    #[arg(long, value_enum, default_value_t = PastKind::Half)]
    past: PastKind,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object, with the token ids, when an answer is done
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        pool::set_threads(self.threads);
        let model = self.past.of(open(&self.model, self.format)?);
        let Some(tokenizer) = model.tokenizer() else {
            bail!(
                "{}: a model without tokenizer cannot read a prompt; take one that has its vocabulary",
                self.model.display()
            );
        };
        let prompt = tokenizer.encode_beginning(&self.prompt);
        if let Some(beams) = self.beams {
            return self.search(&model, &prompt, beams.into());
        }
        let mut options = GenerateOptions {
            tokens: self.tokens,
            sampling: self.sampling.options(),
            stop: self.stop.clone(),
            ignores_end: false,
            continues: true,
        };
        for _ in 0..self.samples {
            self.sample(&model, &prompt, &options)?;
            options.sampling.seed = options.sampling.seed.map(|seed| seed.wrapping_add(1));
        }
        Ok(())
    }

    /// One answer, chosen token by token.
    fn sample(&self, model: &LanguageModel, prompt: &[u32], options: &GenerateOptions) -> anyhow::Result<()> {
        let constraint = self.constraint(model)?;
        let mut screen = std::io::stdout().lock();
        let mut failure = None;
        let top = self.top_log_probabilities.into();
        let generated = generate_with_top(model, prompt, options, top, constraint, &mut |piece| {
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
        let mut value = json!({
            "text": generated.text,
            "tokens": generated.tokens,
            "log_probabilities": generated.log_probabilities,
            "prompt_tokens": prompt,
            "finish_reason": generated.finish.name(),
            "passes": generated.passes,
            "prompt_tokens_per_second": per_second(prompt.len(), generated.prompt_time),
            "tokens_per_second": per_second(generated.tokens.len(), generated.answer_time),
        });
        if top > 0 {
            let spelling = |id| model.tokenizer().and_then(|tokenizer| tokenizer.token(id));
            let entry = |&(id, log_probability): &(u32, f32)| json!({"token": id, "spelling": spelling(id), "log_probability": log_probability});
            let places = generated.top.iter().map(|place| place.iter().map(entry).collect::<Vec<_>>());
            value["top_log_probabilities"] = places.collect::<Vec<_>>().into();
        }
        Ok(print_json(&value)?)
    }

    /// The likeliest answers.
    fn search(&self, model: &LanguageModel, prompt: &[u32], beams: usize) -> anyhow::Result<()> {
        ensure!(
            self.length_penalty.is_finite() && self.length_penalty >= 0.0,
            "--length-penalty {} is not a number from 0",
            self.length_penalty
        );
        let options = BeamOptions {
            beams,
            results: self.results.into(),
            length_penalty: self.length_penalty,
            most_tokens: self.tokens,
            ends: Vec::new(),
        };
        let found = likely_answers(model, prompt, self.tokens, &options, &|| false)?;
        if self.json {
            let results: Vec<_> = found
                .iter()
                .map(|answer| {
                    json!({
                        "text": answer.text,
                        "tokens": answer.tokens,
                        "log_probability": answer.log_probability,
                        "score": answer.score,
                        "finish_reason": answer.finish.name(),
                    })
                })
                .collect();
            return Ok(print_json(&json!({"results": results, "prompt_tokens": prompt}))?);
        }
        let mut screen = std::io::stdout().lock();
        for answer in &found {
            if self.results > 1 {
                write!(screen, "{:.3}\t", answer.score)?;
            }
            writeln!(screen, "{}", answer.text)?;
        }
        Ok(())
    }

    /// The form that the answer must have.
    fn constraint(&self, model: &LanguageModel) -> anyhow::Result<Option<Box<dyn Constraint>>> {
        let Some(tokenizer) = model.tokenizer() else { return Ok(None) };
        let constraints = || Constraints::new(tokenizer, model.ends(), model.vocabulary());
        let read =
            |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        Ok(match (&self.schema, &self.regex, &self.grammar) {
            (Some(path), _, _) => {
                let schema = serde_json::from_str(&read(path)?)
                    .with_context(|| format!("{} is no JSON; write a JSON schema", path.display()))?;
                let constraint = constraints()?.json_schema(&schema).with_context(|| path.display().to_string())?;
                Some(constraint)
            }
            (_, Some(expression), _) => Some(constraints()?.regex(expression).context("--regex")?),
            (_, _, Some(path)) => {
                Some(constraints()?.grammar(&read(path)?).with_context(|| path.display().to_string())?)
            }
            _ => None,
        })
    }
}
