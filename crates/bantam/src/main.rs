//! The bantam program: reads the command line and calls the command that it names, one file each in `commands`.

mod commands;
mod screen;

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use bantam_kernels::isa::Isa;
use clap::Parser;

/// Small language models from your own text: made, measured and run on ordinary machines.
#[derive(Parser)]
#[command(name = "bantam", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = Isa::detect().map_err(anyhow::Error::from).and_then(|_| arguments.command.run());
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let mut screen = std::io::stderr().lock();
            let (red, plain) = if screen.is_terminal() { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
            let _ = writeln!(screen, "{red}error:{plain} {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes; many name their cause themselves, before the remedy.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            let colon = if text.is_empty() { "" } else { ": " };
            text += &format!("{colon}{cause}");
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe))
}
