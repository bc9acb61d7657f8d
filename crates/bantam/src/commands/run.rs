//! `bantam run`: the main job.

use std::io::Write;
use std::path::{Path, PathBuf};

use bantam_kernels::pool;
use bantam_pipeline::report::text_table;
use bantam_pipeline::{DataSource, Recipe, RunOptions, run};

use super::print_json;
use crate::screen::Screen;

/// The arguments of `bantam run`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  bantam run recipes/support\n  bantam run recipes/support --data clinc150 --out runs/clinc"
)]
pub(crate) struct Arguments {
    /// The recipe: a folder with recipe.toml, or the file itself
    recipe: PathBuf,
    /// A folder of other texts: CLINC150, BANKING77, or files named train.*, test.*, validation.*, unlabelled.*, and the first three with out_of_scope_ before them
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where report, bundle and artifacts go; runs/NAME when absent
    #[arg(long)]
    out: Option<PathBuf>,
    /// Another seed than the recipe's
    #[arg(long)]
    seed: Option<u64>,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print the recipe with every default filled in, and do nothing
    #[arg(long)]
    plan: bool,
    /// Print the report as JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        pool::set_threads(self.threads);
        let mut recipe = Recipe::read(&self.recipe)?;
        recipe.text.seed = self.seed.unwrap_or(recipe.text.seed);
        let mut output = std::io::stdout().lock();
        if self.plan {
            write!(output, "{}", toml::to_string(&recipe.text)?)?;
            return Ok(());
        }
        let source = self.data.as_deref().map_or(Ok(DataSource::Recipe), DataSource::of_folder)?;
        let out = self.out.clone().unwrap_or_else(|| default_folder(&recipe.text.name, self.data.as_deref()));
        let options = RunOptions { source, out };
        let mut screen = Screen::new();
        let outcome = run(&recipe, &options, &mut screen);
        screen.finish();
        let outcome = outcome?;
        if self.json {
            drop(output);
            print_json(&serde_json::to_value(&outcome.report)?)?;
            return Ok(());
        }
        let (bundle, page) = (outcome.bundle.display(), outcome.page.display());
        writeln!(output, "{}", text_table(&outcome.report))?;
        writeln!(output, "report  {page}\nbundle  {bundle}\n")?;
        writeln!(output, "Try it:\n  bantam chat {bundle}\n  bantam serve {bundle}")?;
        Ok(())
    }
}

fn default_folder(name: &str, data: Option<&Path>) -> PathBuf {
    let data = data.and_then(Path::file_name).map(|data| format!("-{}", data.to_string_lossy()));
    Path::new("runs").join(format!("{name}{}", data.unwrap_or_default()))
}
