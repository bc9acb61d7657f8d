//! `bantam bench train`: the real training loop on a reference shape.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bantam_kernels::ceiling;
use bantam_kernels::isa::Isa;
use bantam_kernels::{memory, pool};
use bantam_model::architectures::Architecture;
use bantam_model::architectures::llama::{Llama, LlamaConfig};
use bantam_model::{Random, Weights};
use bantam_train::objectives::NextToken;
use bantam_train::{Control, OptimizerPlan, Progress, Schedule, TrainPlan, Watch, train};
use serde_json::json;

use super::{PrecisionChoice, median, name};
use crate::commands::print_json;

/// The arguments of `bantam bench train`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Steps that are measured, after two that are not
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    steps: u32,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// How products are computed
    #[arg(long, value_enum, default_value_t = PrecisionChoice::Auto)]
    precision: PrecisionChoice,
    /// A file whose bytes are the tokens, so that the loss says something; random tokens when absent
    #[arg(long)]
    text: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const ROWS: usize = 16;
const TOKENS: usize = 256;
/// Parts of a step's rows whose gradients are added: what so few rows keep for the backward pass stays near the caches, and takes a quarter of the
/// memory. The step is the same.
const MICRO_BATCHES: usize = 4;
const UNMEASURED: usize = 2;

/// Notes when each step ended, and its loss.
struct Clock {
    last: Instant,
    seconds: Vec<f64>,
    losses: Vec<f64>,
}

impl Watch for Clock {
    fn step(&mut self, progress: &Progress) -> Control {
        self.seconds.push(self.last.elapsed().as_secs_f64());
        self.losses.push(progress.loss);
        self.last = Instant::now();
        Control::Continue
    }
}

impl Arguments {
    pub(super) fn run(self) -> anyhow::Result<()> {
        pool::set_threads(self.threads);
        let precision = self.precision.resolve();
        let config = LlamaConfig {
            vocab_size: 8192,
            hidden_size: 384,
            intermediate_size: 1024,
            num_hidden_layers: 6,
            num_attention_heads: 6,
            num_key_value_heads: None,
            head_dim: None,
            max_position_embeddings: TOKENS,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            tie_word_embeddings: true,
            variant: Default::default(),
        };
        let model = Llama::new(config);
        let parameters = model.schema().parameters();
        let steps = UNMEASURED + self.steps as usize;
        let mut random = Random::new(0, 0);
        let text = self.text.as_deref().map(read).transpose()?;
        let mut row = || -> Vec<u32> {
            let Some(text) = &text else { return (0..TOKENS).map(|_| random.below(8192) as u32).collect() };
            let start = random.below(text.len() - TOKENS);
            text[start..start + TOKENS].iter().map(|&byte| u32::from(byte)).collect()
        };
        let rows: Vec<Vec<u32>> = (0..ROWS * steps).map(|_| row()).collect();
        let objective = NextToken::new(&model, &rows, &[], ROWS / MICRO_BATCHES, 0.0, 0);
        let weights = Weights::initialise(model.schema(), 0, precision);
        let plan = TrainPlan {
            steps,
            micro_batches: MICRO_BATCHES,
            warmup_steps: 0,
            schedule: Schedule::WarmupStableDecay { decay: 0.0, last: 1.0 },
            optimizer: OptimizerPlan { learning_rate: 1e-3, beta2: 0.999, ..OptimizerPlan::default() },
            clip: 1.0,
            averaging: 0.0,
            validate_every: 0,
            patience: 0,
            checkpoint_seconds: 0,
            seed: 0,
        };
        let mut clock = Clock { last: Instant::now(), seconds: Vec::new(), losses: Vec::new() };
        train(&objective, &weights, &plan, None, &mut clock)?;
        let peak_bytes = memory::peak_bytes();
        let seconds = median(clock.seconds.split_off(UNMEASURED));
        let tokens_per_second = (ROWS * TOKENS) as f64 / seconds;
        let threads = pool::threads();
        let operations = 6.0 * parameters as f64 * tokens_per_second;
        let ceiling_share = operations / ceiling::measure(precision.into(), threads);
        let isa = Isa::current().name();
        let loss = clock.losses.last().copied().unwrap_or(f64::NAN);
        if self.json {
            print_json(&json!({
                "tokens_per_second": tokens_per_second,
                "ceiling_share": ceiling_share,
                "peak_bytes": peak_bytes,
                "isa": isa,
                "threads": threads,
                "precision": name(precision),
                "seconds_per_step": seconds,
                "gflops": operations / 1e9,
                "loss": loss,
                "losses": clock.losses,
                "shape": {"parameters": parameters, "rows": ROWS, "tokens": TOKENS, "micro_batches": MICRO_BATCHES},
            }))?;
        } else {
            writeln!(
                std::io::stdout().lock(),
                "{tokens_per_second:.0} tokens/s: {seconds:.3} s a step of {ROWS} x {TOKENS} tokens, {:.1} M parameters, {}\n\
                 {:.0} GFLOP/s, {:.0} % of what {threads} threads of this machine can do with {isa}; {:.0} MiB at most; loss {:.3}",
                parameters as f64 / 1e6,
                name(precision),
                operations / 1e9,
                100.0 * ceiling_share,
                peak_bytes as f64 / f64::from(1 << 20),
                loss,
            )?;
        }
        Ok(())
    }
}

/// The bytes of a file that is long enough for many rows.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let text = bantam_artifact::read(path)?;
    let least = 2 * TOKENS;
    anyhow::ensure!(text.len() >= least, "{}: {} bytes, too short; take {least} or more", path.display(), text.len());
    Ok(text)
}
