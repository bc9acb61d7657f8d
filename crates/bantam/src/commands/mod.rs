//! The commands, a file each.

mod bench;
mod chat;
mod classify;
mod clean;
mod eval;
mod export;
mod following;
mod generate;
mod inspect;
mod language_model;
mod make;
mod new;
mod quantize;
mod report;
mod run;
mod sampling;
mod serve;
mod tokenize;

use bantam_pipeline::Goal;

/// What the program can do.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make a recipe from your own CSV, TSV or JSONL files
    New(new::Arguments),
    /// Make a small model from a folder of texts: train, distil, prune, quantise, measure, bundle
    Run(run::Arguments),
    /// Follow a recipe as far as its teacher, the big model
    Train(make::Arguments),
    /// Follow a recipe as far as its student, the small model that learns from the teacher
    Distill(make::Arguments),
    /// Follow a recipe as far as the pruned student
    Prune(make::Arguments),
    /// Store a language model in fewer bits, or follow a recipe as far as the bundle
    Quantize(quantize::Arguments),
    /// Write a language model as a Hugging Face folder
    Export(export::Arguments),
    /// Show the results of a run again
    Report(report::Arguments),
    /// Remove the artifacts that earlier states of a recipe left in a run's folder
    Clean(clean::Arguments),
    /// Measure a bundle on labelled texts, or a language model on plain text
    Eval(eval::Arguments),
    /// Talk to a bundle, or to a language model
    Chat(chat::Arguments),
    /// Answer lines of text, one JSON object each
    Classify(classify::Arguments),
    /// Go on with a text, by a language model
    Generate(generate::Arguments),
    /// Turn lines of text into token ids
    Tokenize(tokenize::Arguments),
    /// Serve bundles and language models over HTTP, in the way of OpenAI
    Serve(serve::Arguments),
    /// Tell what a bundle or a model folder holds, and check it
    Inspect(inspect::Arguments),
    /// Measure this machine's kernels and training speed, beside what its processor could reach
    Bench(bench::Arguments),
}

impl Command {
    /// Runs the command that was named.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::New(arguments) => arguments.run(),
            Self::Run(arguments) => arguments.run(),
            Self::Train(arguments) => arguments.run(Goal::Teacher),
            Self::Distill(arguments) => arguments.run(Goal::Student),
            Self::Prune(arguments) => arguments.run(Goal::Pruned),
            Self::Quantize(arguments) => arguments.run(),
            Self::Export(arguments) => arguments.run(),
            Self::Report(arguments) => arguments.run(),
            Self::Clean(arguments) => arguments.run(),
            Self::Eval(arguments) => arguments.run(),
            Self::Chat(arguments) => arguments.run(),
            Self::Classify(arguments) => arguments.run(),
            Self::Generate(arguments) => arguments.run(),
            Self::Tokenize(arguments) => arguments.run(),
            Self::Serve(arguments) => arguments.run(),
            Self::Inspect(arguments) => arguments.run(),
            Self::Bench(arguments) => arguments.run(),
        }
    }
}

/// Prints one JSON value as a line.
fn print_json(value: &serde_json::Value) -> std::io::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{value}")
}

/// Reads how long a measurement shall take.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if (0.0..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("give seconds from 0 to 3600".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_measurement_ends() {
        assert_eq!((seconds("0.5"), seconds("0"), seconds("3600")), (Ok(0.5), Ok(0.0), Ok(3600.0)));
        for text in ["nan", "inf", "-1", "3601", "", "a"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
