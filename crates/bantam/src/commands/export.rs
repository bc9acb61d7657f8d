//! `bantam export`: a language model as a Hugging Face folder.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use bantam_model::folder;

use super::language_model::read;
use super::print_json;

/// The arguments of `bantam export`.
#[derive(clap::Args)]
#[command(after_help = "Example: bantam export model.gguf --out model

The folder holds config.json, model.safetensors with numbers of 32 bits, and tokenizer.json; `transformers` loads it. The other way, from a
folder to a GGUF file, is `bantam quantize --to`.")]
pub(crate) struct Arguments {
    /// The model: a GGUF file, a llama2.c file beside its tokenizer, or a Hugging Face folder
    model: PathBuf,
    /// The folder that is written
    #[arg(long)]
    out: PathBuf,
    /// Write over files that are there
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let is_there = ["config.json", "model.safetensors", "tokenizer.json"].map(|name| self.out.join(name).exists());
        ensure!(
            self.force || !is_there.contains(&true),
            "{}: holds a model already; --force writes over it",
            self.out.display()
        );
        let model = read(&self.model)?;
        let tokenizer = model.tokenizer.as_ref().with_context(|| {
            format!("{}: it has no tokenizer, which a folder needs; name a file that has one", self.model.display())
        })?;
        folder::write_predictor(
            &self.out,
            &model.architecture.config(),
            &model.weights.to_arrays(),
            tokenizer,
            model.chat_template.as_deref(),
            &model.ends,
        )?;
        let parameters = model.architecture.schema().parameters();
        if self.json {
            return Ok(print_json(&serde_json::json!({"path": self.out, "parameters": parameters}))?);
        }
        Ok(writeln!(std::io::stdout().lock(), "{parameters} weights of 32 bits in {}", self.out.display())?)
    }
}
