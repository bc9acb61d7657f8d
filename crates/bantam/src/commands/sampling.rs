//! How the tokens of an answer are chosen, as every command that makes answers asks for it.

use bantam_runtime::sampling::SamplingOptions;

/// How tokens are chosen.
#[derive(clap::Args)]
pub(super) struct Sampling {
    /// Always take the likeliest token
    #[arg(long)]
    greedy: bool,
    /// Below 1 prefers likely tokens, above 1 evens them out; 0 is greedy
    #[arg(long, default_value_t = 0.8)]
    temperature: f32,
    /// Choose among so many likeliest tokens; 0 for all
    #[arg(long, default_value_t = 40)]
    top_k: usize,
    /// Choose among the likeliest tokens that together have this probability
    #[arg(long, default_value_t = 0.95)]
    top_p: f32,
    /// Leave out tokens less likely than this share of the likeliest
    #[arg(long, default_value_t = 0.05)]
    min_p: f32,
    /// Above 1 makes tokens less likely that were there before
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f32,
    /// The same seed gives the same answer
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Sampling {
    pub(super) fn options(&self) -> SamplingOptions {
        SamplingOptions {
            temperature: if self.greedy { 0.0 } else { self.temperature },
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            seed: Some(self.seed),
            ..SamplingOptions::default()
        }
    }
}
