//! `bantam train`, `distill`, `prune`, and `quantize` for recipes: a recipe followed as far as one model.

use std::io::Write;

use bantam_pipeline::{Goal, make};

use super::following::Following;
use super::print_json;
use crate::screen::Screen;

/// The arguments of these commands.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bantam train recipes/support
  bantam distill recipes/support --out runs/trial --seed 2

The stages before it run first where they are not done yet. Nothing looks at the test texts; `bantam run` does that, and finds
what these commands made.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    following: Following,
    /// Print one JSON object instead of lines of text
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self, goal: Goal) -> anyhow::Result<()> {
        follow(&self.following, goal, self.json)
    }
}

/// Follows a recipe and tells what was made.
pub(super) fn follow(following: &Following, goal: Goal, json: bool) -> anyhow::Result<()> {
    let recipe = following.recipe()?;
    let options = following.options(&recipe)?;
    let mut screen = Screen::new();
    let model = make(&recipe, &options, goal, &mut screen);
    screen.finish();
    let model = model?;
    if json {
        return Ok(print_json(&serde_json::to_value(&model)?)?);
    }
    let mut output = std::io::stdout().lock();
    writeln!(
        output,
        "{:.2} M parameters, {:.2} MB, {:.1} % of the validation texts right\n\nmodel   {}\n",
        model.parameters as f64 / 1e6,
        model.bytes as f64 / 1e6,
        100.0 * model.validation_accuracy,
        model.path.display()
    )?;
    let next = match goal {
        Goal::Teacher => "distill",
        Goal::Student => "prune",
        Goal::Pruned => "quantize",
        Goal::Bundle => "run",
    };
    writeln!(output, "Next: bantam {next}, with the same arguments")?;
    Ok(())
}
