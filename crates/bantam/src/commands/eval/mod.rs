//! `bantam eval`: how good a model is. A bundle on labelled texts; a language model on plain text, alone or beside its original.

mod bundle;
mod divergence;
mod perplexity;
mod plain_text;

pub(super) use divergence::table as divergence_table;
pub(super) use plain_text::{watched, windows_of};

/// The arguments of `bantam eval`.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  bantam eval runs/support/support.bantam recipes/support/data/test.tsv
  bantam eval new.bantam november.csv --label queue --against old.bantam
  bantam eval perplexity model.gguf --text book.txt
  bantam eval divergence small.gguf --against model.gguf --text book.txt

Labelled texts that belong to no label carry the label out_of_scope."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    measure: Option<Measure>,
    #[command(flatten)]
    bundle: Option<bundle::Arguments>,
}

/// What is measured of a language model.
#[derive(clap::Subcommand)]
enum Measure {
    /// Measure how well a language model predicts a text
    Perplexity(perplexity::Arguments),
    /// Measure how far a language model strays from the one that it was made from
    Divergence(divergence::Arguments),
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match (self.measure, self.bundle) {
            (Some(Measure::Perplexity(arguments)), _) => arguments.run(),
            (Some(Measure::Divergence(arguments)), _) => arguments.run(),
            (None, Some(bundle)) => bundle.run(),
            (None, None) => anyhow::bail!("name a bundle and labelled texts, or perplexity or divergence; see --help"),
        }
    }
}
