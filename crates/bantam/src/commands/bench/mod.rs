//! `bantam bench`: speed on this machine, as a table or as JSON, each with its share of the ceiling.

mod classify;
mod gemm;
mod generation;
mod serve;
mod train;

use bantam_kernels::gemm::Precision;
use bantam_kernels::isa::Isa;

/// The arguments of `bantam bench`.
#[derive(clap::Args)]
#[command(after_help = "Example: bantam bench train --steps 10 --json")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Matrix products: operations per second over a grid of shapes
    Gemm(gemm::Arguments),
    /// Training steps of a 13.8 M-parameter Llama on 16 x 256 tokens
    Train(train::Arguments),
    /// A classifier labels texts: time of a batch and texts per second
    Classify(classify::Arguments),
    /// A language model reads a prompt
    Prefill(generation::Arguments),
    /// A language model writes, token by token
    Decode(generation::Arguments),
    /// A language model answers many chats at a time
    Serve(serve::Arguments),
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.what {
            What::Gemm(arguments) => arguments.run(),
            What::Train(arguments) => arguments.run(),
            What::Classify(arguments) => arguments.run(),
            What::Prefill(arguments) => arguments.run(generation::Phase::Prefill),
            What::Decode(arguments) => arguments.run(generation::Phase::Decode),
            What::Serve(arguments) => arguments.run(),
        }
    }
}

/// How products are computed in training.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PrecisionChoice {
    /// The faster of the two on this machine.
    Auto,
    /// 32-bit.
    F32,
    /// 16-bit products with 32-bit sums.
    Bf16,
}

impl PrecisionChoice {
    fn resolve(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
            Self::Auto if Isa::current().bf16_is_fast() => Precision::Bf16,
            Self::Auto => Precision::F32,
        }
    }
}

fn name(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::Bf16 => "bf16",
    }
}

/// The middle of the measurements.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
