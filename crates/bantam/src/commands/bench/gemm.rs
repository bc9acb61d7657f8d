//! `bantam bench gemm`: matrix products over a grid of shapes.

use std::io::Write;
use std::time::Instant;

use bantam_kernels::ceiling::{self, Unit};
use bantam_kernels::gemm::{Epilogue, Operand, PackedFormat, PackedMatrix, Precision, multiply};
use bantam_kernels::isa::Isa;
use bantam_kernels::memory::Buffer;
use bantam_kernels::{memory, pool};
use serde_json::json;

use super::median;
use crate::commands::print_json;

/// The arguments of `bantam bench gemm`.
#[derive(clap::Args)]
#[command(after_help = "Example: bantam bench gemm --kind int8 --rows 256 --inputs 384 --outputs 1024")]
pub(super) struct Arguments {
    /// Kind of product
    #[arg(long, value_enum, default_value_t = Kind::F32)]
    kind: Kind,
    /// Rows of the left matrix (M); all of 256, 1024 and 4096 when absent
    #[arg(long)]
    rows: Option<usize>,
    /// Length of the sums (K); all of 384, 1024 and 4096 when absent
    #[arg(long)]
    inputs: Option<usize>,
    /// Columns of the result (N); all of 384, 1024 and 4096 when absent
    #[arg(long)]
    outputs: Option<usize>,
    /// Pack the right matrix before, as a model that answers does; int8 always does
    #[arg(long)]
    packed: bool,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object: the worst shape's share, and all shapes
    #[arg(long)]
    json: bool,
}

/// What numbers a product is made of.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// 32 bits
    F32,
    /// 16 bits
    Bf16,
    /// 8 bits with a scale for each row
    Int8,
}

/// Repetitions of each shape, in turn with measurements of the ceiling.
const TRIES: usize = 7;
/// The largest matrix that is measured has this many numbers: 2 GiB of them would say no more.
const LARGEST: usize = 1 << 28;

struct Shape {
    m: usize,
    n: usize,
    k: usize,
}

impl Arguments {
    pub(super) fn run(self) -> anyhow::Result<()> {
        pool::set_threads(self.threads);
        let all = |chosen: Option<usize>, grid: [usize; 3]| chosen.map_or(grid.to_vec(), |one| vec![one]);
        let mut rows = Vec::new();
        for m in all(self.rows, [256, 1024, 4096]) {
            for n in all(self.outputs, [384, 1024, 4096]) {
                for k in all(self.inputs, [384, 1024, 4096]) {
                    let largest = [(m, n), (n, k), (m, k)].into_iter().map(|(a, b)| a.saturating_mul(b)).max();
                    if m * n * k == 0 || largest > Some(LARGEST) {
                        anyhow::bail!(
                            "{m} x {n} x {k}: every size must be at least 1, and no matrix above {LARGEST} numbers"
                        );
                    }
                    rows.push(self.measure(&Shape { m, n, k }));
                }
            }
        }
        let (isa, threads) = (Isa::current().name(), pool::threads());
        let worst = rows.iter().min_by(|a, b| a.2.total_cmp(&b.2)).expect("there is at least one shape");
        if self.json {
            let shape = |shape: &Shape| json!({"m": shape.m, "n": shape.n, "k": shape.k});
            let each = |(s, gflops, share): &(Shape, f64, f64)| json!({"shape": shape(s), "gflops": gflops, "ceiling_share": share});
            print_json(&json!({
                "gflops": worst.1,
                "ceiling_share": worst.2,
                "peak_bytes": memory::peak_bytes(),
                "isa": isa,
                "threads": threads,
                "kind": self.kind.name(),
                "packed": self.is_packed(),
                "shape": shape(&worst.0),
                "shapes": rows.iter().map(each).collect::<Vec<_>>(),
            }))?;
            return Ok(());
        }
        let mut screen = std::io::stdout().lock();
        writeln!(
            screen,
            "{}{} with {isa}, {threads} threads\n{:>6} {:>6} {:>6} {:>9} {:>8}",
            self.kind.name(),
            if self.is_packed() { ", right matrix packed before," } else { "" },
            "M",
            "N",
            "K",
            "GFLOP/s",
            "ceiling"
        )?;
        for (Shape { m, n, k }, gflops, share) in &rows {
            writeln!(screen, "{m:>6} {n:>6} {k:>6} {gflops:>9.1} {:>7.1}%", 100.0 * share)?;
        }
        Ok(())
    }

    fn is_packed(&self) -> bool {
        self.packed || self.kind == Kind::Int8
    }

    /// GFLOP/s and the share of the ceiling: medians of tries, each paired with the ceiling of the same moment.
    fn measure(&self, shape: &Shape) -> (Shape, f64, f64) {
        let &Shape { m, n, k } = shape;
        let fill = |length: usize| {
            let mut buffer = Buffer::scratch(length);
            buffer.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 13) as f32 * 0.125 - 0.75);
            buffer
        };
        let (a, b, mut out) = (fill(m * k), fill(n * k), fill(m * n));
        let packed = self.is_packed().then(|| PackedMatrix::pack(&b, n, k, self.kind.packed()));
        let precision = if self.kind == Kind::Bf16 { Precision::Bf16 } else { Precision::F32 };
        let operations = 2.0 * (m * n * k) as f64;
        let repeats = (2e9 / operations).ceil().max(1.0) as usize;
        let mut once = || match &packed {
            Some(packed) => packed.multiply(&a, m, &mut out, &Epilogue::default()),
            None => {
                multiply(precision, Operand::new(&a, m, k), Operand::new(&b, n, k).t(), &mut out, &Epilogue::default());
            }
        };
        once();
        let (speeds, shares): (Vec<f64>, Vec<f64>) = (0..TRIES)
            .map(|_| {
                let began = Instant::now();
                (0..repeats).for_each(|_| once());
                let speed = operations * repeats as f64 / began.elapsed().as_secs_f64();
                (speed / 1e9, speed / ceiling::measure(self.kind.unit(), pool::threads()))
            })
            .unzip();
        (Shape { m, n, k }, median(speeds), median(shares))
    }
}

impl Kind {
    /// How matrices of them are packed.
    pub(super) fn packed(self) -> PackedFormat {
        match self {
            Self::F32 => PackedFormat::F32,
            Self::Bf16 => PackedFormat::Bf16,
            Self::Int8 => PackedFormat::Int8,
        }
    }

    /// What multiplies them.
    pub(super) fn unit(self) -> Unit {
        match self {
            Self::F32 => Unit::F32,
            Self::Bf16 => Unit::Bf16,
            Self::Int8 => Unit::Int8,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}
