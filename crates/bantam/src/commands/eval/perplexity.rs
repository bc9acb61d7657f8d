//! `bantam eval perplexity`: how well a language model predicts a text.

use std::io::Write;

use bantam_eval::language::perplexity;

use super::plain_text::{Measured, watched};
use crate::commands::print_json;
use crate::screen::Screen;

/// The arguments of `bantam eval perplexity`.
#[derive(clap::Args)]
#[command(after_help = "Example: bantam eval perplexity model.gguf --text book.txt --json

The text is cut into windows that do not overlap, the last incomplete one left out. Each begins with the token that begins a text, where the
model has one, and the tokens of its second half count, as in llama.cpp's llama-perplexity. The interval (95 %) comes from resampled windows.")]
pub(super) struct Arguments {
    #[command(flatten)]
    measured: Measured,
}

impl Arguments {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let model = self.measured.open()?;
        let windows = self.measured.text.windows(&model, None)?;
        let mut screen = Screen::new();
        let found = watched(&mut screen, "perplexity", &windows, |watch| perplexity(&model, &windows, watch));
        screen.finish();
        let found = found?;
        if self.measured.json {
            return Ok(print_json(&serde_json::to_value(&found)?)?);
        }
        let mut output = std::io::stdout().lock();
        let interval = found.interval.map_or(String::new(), |i| format!("  ({:.3} to {:.3})", i.low, i.high));
        writeln!(output, "{:<16} {:.3}{interval}", "Perplexity", found.perplexity)?;
        if let Some(bits) = found.bits_per_byte {
            writeln!(output, "{:<16} {bits:.4}", "Bits per byte")?;
        }
        Ok(writeln!(output, "{:<16} {} in {} windows of {}", "Tokens", found.tokens, found.windows, found.context)?)
    }
}
