//! `bantam tokenize`: text in, token ids out.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use anyhow::Context;
use bantam_tokens::Tokenizer;
use serde_json::json;

use super::language_model::open_tokenizer;

/// The longest line.
const MOST_LINE_BYTES: usize = 16 << 20;

/// The arguments of `bantam tokenize`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bantam tokenize model.gguf --text 'Hello, world'
  bantam tokenize model < lines.txt > ids.txt

Each line gives one list of ids, in the same order. Special tokens are ids only where the text spells them, and around it with --special.")]
pub(crate) struct Arguments {
    /// The model: a Hugging Face folder, a tokenizer.json, a GGUF file, or a llama2.c file beside its tokenizer
    model: PathBuf,
    /// One text, instead of lines from the standard input
    #[arg(long)]
    text: Option<String>,
    /// Put the special tokens around each text that the model expects
    #[arg(long)]
    special: bool,
    /// Print objects with the ids and how each token is spelled
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let tokenizer = open_tokenizer(&self.model)?;
        let mut output = std::io::BufWriter::new(std::io::stdout().lock());
        if let Some(text) = &self.text {
            self.write(&tokenizer, text, &mut output)?;
            return Ok(output.flush()?);
        }
        let mut input = std::io::stdin().lock();
        for number in 1.. {
            let mut line = Vec::new();
            let limit = MOST_LINE_BYTES as u64 + 1;
            std::io::Read::take(&mut input, limit).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                break;
            }
            anyhow::ensure!(
                line.len() <= MOST_LINE_BYTES,
                "line {number} is longer than {MOST_LINE_BYTES} bytes; split it"
            );
            let text = std::str::from_utf8(&line).with_context(|| format!("line {number} is not UTF-8; convert it"))?;
            self.write(&tokenizer, text.strip_suffix('\n').unwrap_or(text), &mut output)?;
        }
        Ok(output.flush()?)
    }

    fn write(&self, tokenizer: &Tokenizer, text: &str, output: &mut impl Write) -> anyhow::Result<()> {
        let ids = if self.special { tokenizer.encode(text, usize::MAX) } else { tokenizer.encode_content(text) };
        if self.json {
            let tokens: Vec<_> = ids.iter().map(|&id| tokenizer.token(id)).collect();
            writeln!(output, "{}", json!({"ids": ids, "tokens": tokens}))?;
        } else {
            writeln!(output, "{}", json!(ids))?;
        }
        Ok(())
    }
}
