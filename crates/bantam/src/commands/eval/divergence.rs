//! `bantam eval divergence`: how far a language model strays from the one that it was made from.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use bantam_eval::Interval;
use bantam_eval::language::{Divergence, divergence};
use bantam_kernels::pool;

use super::plain_text::{PlainText, watched};
use crate::commands::language_model::{Format, open};
use crate::commands::print_json;
use crate::screen::Screen;

/// The arguments of `bantam eval divergence`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bantam eval divergence small.gguf --against model.gguf --text book.txt --json
  bantam eval divergence model --format int4 --against model --text book.txt

Windows are those of `bantam eval perplexity`. Both models read them side by side, so that nothing is stored.")]
pub(super) struct Arguments {
    /// The model: a Hugging Face folder, a GGUF file, or a llama2.c file beside its tokenizer
    model: PathBuf,
    /// The original, likewise
    #[arg(long)]
    against: PathBuf,
    #[command(flatten)]
    text: PlainText,
    /// What the model's weights are held as: f32 measures them as they are, int8 and int4 as a model answers with them; the original's are
    /// held as f32
    #[arg(long, value_enum, default_value_t = Format::F32)]
    format: Format,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> anyhow::Result<()> {
        pool::set_threads(self.threads);
        let (model, original) = (open(&self.model, self.format)?, open(&self.against, Format::F32)?);
        let windows = self.text.windows(&original, Some(&model))?;
        let mut screen = Screen::new();
        let found =
            watched(&mut screen, "divergence", &windows, |watch| divergence(&model, &original, &windows, watch));
        screen.finish();
        let found = found?;
        if self.json {
            return Ok(print_json(&serde_json::to_value(&found)?)?);
        }
        Ok(std::io::stdout().lock().write_all(table(&found).as_bytes())?)
    }
}

/// The figures, a line each.
pub(crate) fn table(found: &Divergence) -> String {
    let mut text = String::new();
    let mut line = |title: &str, value: f64, digits: usize, interval: Option<Interval>| {
        let interval = interval.map_or(String::new(), |i| format!("  ({:.digits$} to {:.digits$})", i.low, i.high));
        writeln!(text, "{title:<28} {value:.digits$}{interval}").expect("a string takes everything");
    };
    line("Divergence (nats a token)", found.mean_divergence, 6, found.mean_divergence_interval);
    line("  of half the tokens below", found.median_divergence, 6, None);
    line("  of 99 % below", found.quantile_99_divergence, 6, None);
    line("Same likeliest token", found.top_1_agreement, 4, found.top_1_agreement_interval);
    line("Perplexity", found.perplexity, 3, None);
    line("Perplexity of the original", found.original_perplexity, 3, None);
    line("Ratio of perplexities", found.perplexity_ratio, 5, found.perplexity_ratio_interval);
    text + &format!("{:<28} {} in {} windows of {}\n", "Tokens", found.tokens, found.windows, found.context)
}
