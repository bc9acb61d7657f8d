//! `bantam clean`: room on the disk.

use std::io::Write;

use bantam_pipeline::clean;
use serde_json::json;

use super::following::Following;
use super::print_json;

/// The arguments of `bantam clean`.
#[derive(clap::Args)]
#[command(
    after_help = "Looks into OUT/artifacts only. What a run of the recipe as it stands would look up stays, and so do reports, models and bundles beside that folder. \
Other seeds of the recipe are other results: name the one to keep, and its --out.

Examples:
  bantam clean recipes/support --dry-run
  bantam clean recipes/support --data clinc150 --out runs/clinc"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    following: Following,
    /// Only tell what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let recipe = self.following.recipe()?;
        let options = self.following.options(&recipe)?;
        let leftovers = clean(&recipe, &options, self.dry_run)?;
        let bytes: u64 = leftovers.iter().map(|leftover| leftover.bytes).sum();
        if self.json {
            return Ok(print_json(&json!({"removed": leftovers, "bytes": bytes, "dry_run": self.dry_run}))?);
        }
        let mut output = std::io::stdout().lock();
        for leftover in &leftovers {
            writeln!(output, "{:>10.2} MB  {}", leftover.bytes as f64 / 1e6, leftover.folder.display())?;
        }
        let done = if self.dry_run { "would be removed" } else { "removed" };
        writeln!(output, "{:>10.2} MB  {done} from {}", bytes as f64 / 1e6, options.out.display())?;
        Ok(())
    }
}
