//! `bantam eval divergence`: how far a language model strays from the one that it was made from.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use bantam_eval::Interval;
use bantam_eval::language::{Divergence, divergence};

use super::plain_text::{Measured, watched};
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
    #[command(flatten)]
    measured: Measured,
    /// The original, likewise; its weights are held as f32
    #[arg(long)]
    against: PathBuf,
}

impl Arguments {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (model, original) = (self.measured.open()?, open(&self.against, Format::F32)?);
        let windows = self.measured.text.windows(&original, Some(&model))?;
        let mut screen = Screen::new();
        let found =
            watched(&mut screen, "divergence", &windows, |watch| divergence(&model, &original, &windows, watch));
        screen.finish();
        let found = found?;
        if self.measured.json {
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
