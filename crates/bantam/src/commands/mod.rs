//! The commands, a file each.

mod bench;
mod run;

/// What the program can do.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make a small model from a folder of texts: train, distil, prune, quantise, measure, bundle
    Run(run::Arguments),
    /// Measure this machine's kernels and training speed, beside what its processor could reach
    Bench(bench::Arguments),
}

impl Command {
    /// Runs the command that was named.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Run(arguments) => arguments.run(),
            Self::Bench(arguments) => arguments.run(),
        }
    }
}

/// Prints one JSON value as a line.
fn print_json(value: &serde_json::Value) -> std::io::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{value}")
}
