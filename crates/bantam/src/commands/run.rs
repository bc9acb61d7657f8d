//! `bantam run`: the main job.

use std::io::Write;

use bantam_pipeline::report::{text_next_steps, text_table};
use bantam_pipeline::{PlannedStage, plan, run};

use super::following::Following;
use super::print_json;
use crate::screen::Screen;

/// The arguments of `bantam run`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  bantam run recipes/support\n  bantam run recipes/support --data clinc150 --out runs/clinc"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    following: Following,
    /// Print the recipe with every default filled in, and which stages are done or to do and why; do nothing
    #[arg(long)]
    plan: bool,
    /// Print the report as JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let recipe = self.following.recipe()?;
        let mut output = std::io::stdout().lock();
        if self.plan {
            writeln!(output, "{}", toml::to_string(&recipe.text)?)?;
            let options = self.following.options(&recipe)?;
            if let Some(folder) = &self.following.data {
                writeln!(output, "# The texts are those in {}, not those that [data] names.", folder.display())?;
            }
            writeln!(output, "# The stages of a run into {}:", options.out.display())?;
            for PlannedStage { name, why, .. } in plan(&recipe, &options)? {
                writeln!(output, "# {name:<11} {}", why.map_or("done".to_owned(), |why| format!("to do ({why})")))?;
            }
            return Ok(());
        }
        let options = self.following.options(&recipe)?;
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
        write!(output, "{}", text_next_steps(&outcome.report))?;
        Ok(())
    }
}
