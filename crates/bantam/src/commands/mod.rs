//! The commands, a file each.

mod bench;

/// What the program can do.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Measure this machine's kernels and training speed, beside what its processor could reach
    Bench(bench::Arguments),
}

impl Command {
    /// Runs the command that was named.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Bench(arguments) => arguments.run(),
        }
    }
}
