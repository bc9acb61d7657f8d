//! `bantam report`: the results of a run, once more.

use std::io::Write;
use std::path::PathBuf;

use bantam_pipeline::report::{JSON_FILE, Report, text_next_steps, text_table};

use super::print_json;

/// The arguments of `bantam report`.
#[derive(clap::Args)]
#[command(after_help = "Example: bantam report runs/support")]
pub(crate) struct Arguments {
    /// The folder of a run, or its report.json
    run: PathBuf,
    /// Write report.html anew beside it
    #[arg(long)]
    html: bool,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let path = if self.run.is_dir() { self.run.join(JSON_FILE) } else { self.run };
        let report = Report::read(&path)?;
        if self.html
            && let Some(folder) = path.parent()
        {
            report.write_page(folder)?;
        }
        if self.json {
            print_json(&serde_json::to_value(&report)?)?;
        } else {
            writeln!(std::io::stdout().lock(), "{}\n{}", text_table(&report), text_next_steps(&report))?;
        }
        Ok(())
    }
}
