//! `bantam train`, `distill`, `prune`, and `quantize` for recipes: a recipe followed as far as one model.

use std::io::Write;

use bantam_pipeline::{Goal, Model, make};

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

/// A model's figures and its path; where several answer together, those of all, and below them each with its own folder.
fn lines(model: &Model) -> String {
    let figures = |model: &Model| {
        let (parameters, size) = (model.parameters as f64 / 1e6, model.bytes as f64 / 1e6);
        let right = 100.0 * model.validation_accuracy;
        format!("{parameters:.2} M parameters, {size:.2} MB, {right:.1} % of the validation texts right")
    };
    if model.parts.is_empty() {
        return format!("{}\n\n{}   {}", figures(model), model.name, model.path.display());
    }
    let part = |part: &Model| format!("\n{}   {}\n  alone: {}", part.name, part.path.display(), figures(part));
    let parts: String = model.parts.iter().map(part).collect();
    format!("{} models answer together: {}\n{parts}", model.parts.len(), figures(model))
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
    writeln!(output, "{}\n", lines(&model))?;
    let next = match goal {
        Goal::Teacher => "distill",
        Goal::Student => "prune",
        Goal::Pruned => "quantize",
        Goal::Bundle => "run",
    };
    writeln!(output, "Next: bantam {next}, with the same arguments")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, path: &str, parameters: u64, parts: Vec<Model>) -> Model {
        let (bytes, validation_accuracy) = (parameters, 0.5);
        Model { name: name.to_owned(), path: path.into(), parameters, bytes, validation_accuracy, parts }
    }

    #[test]
    fn each_folder_of_models_that_answer_together_has_its_own_figures() {
        let parts = vec![
            model("member 1 of 2", "out/teacher", 2_000_000, Vec::new()),
            model("member 2 of 2", "out/teacher-2", 2_000_000, Vec::new()),
            model("linear model", "out/teacher-linear", 1_000_000, Vec::new()),
        ];
        let told = lines(&model("teacher", "out/teacher", 5_000_000, parts));
        assert!(told.starts_with("3 models answer together: 5.00 M parameters, 5.00 MB, 50.0 %"), "{told}");
        assert!(told.contains("member 2 of 2   out/teacher-2\n  alone: 2.00 M parameters"), "{told}");
        assert!(told.contains("linear model   out/teacher-linear\n  alone: 1.00 M parameters"), "{told}");
        let alone = lines(&model("student", "out/student", 1_000_000, Vec::new()));
        assert_eq!(alone, "1.00 M parameters, 1.00 MB, 50.0 % of the validation texts right\n\nstudent   out/student");
    }
}
