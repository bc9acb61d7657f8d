//! How the tokens of an answer are chosen, as every command that makes answers asks for it.

use bantam_runtime::sampling::SamplingOptions;

/// How tokens are chosen.
#[derive(clap::Args)]
pub(super) struct Sampling {
    /// Always take the likeliest token
    #[arg(long)]
    greedy: bool,
    /// Below 1 prefers likely tokens, above 1 evens them out; 0 is greedy
    #[arg(long, default_value_t = 0.8, allow_negative_numbers = true)]
    temperature: f32,
    /// Choose among so many likeliest tokens; 0 for all
    #[arg(long, default_value_t = 40, allow_negative_numbers = true, value_parser = count)]
    top_k: usize,
    /// Choose among the likeliest tokens that together have this probability
    #[arg(long, default_value_t = 0.95, allow_negative_numbers = true)]
    top_p: f32,
    /// Leave out tokens less likely than this share of the likeliest
    #[arg(long, default_value_t = 0.05, allow_negative_numbers = true)]
    min_p: f32,
    /// Choose among the tokens of the most typical surprise that together have this probability; 1 for all
    #[arg(long, value_name = "PROBABILITY", default_value_t = 1.0, allow_negative_numbers = true)]
    typical: f32,
    /// Above 1 makes tokens less likely that were there before
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    repetition_penalty: f32,
    /// Makes tokens less likely for each time that the answer has them; -2 to 2
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    frequency_penalty: f32,
    /// Makes tokens less likely that the answer has; -2 to 2
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    presence_penalty: f32,
    /// Makes a token, by its id, likelier above 0 and less likely below, -100 to 100; may be given several times
    #[arg(long, value_name = "ID=BIAS", value_parser = bias)]
    logit_bias: Vec<(u32, f32)>,
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
            typical_p: self.typical,
            repetition_penalty: self.repetition_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            logit_bias: self.logit_bias.iter().copied().collect(),
            seed: Some(self.seed),
            ..SamplingOptions::default()
        }
    }
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "it must be a whole number from 0, which is all".to_owned())
}

fn bias(text: &str) -> Result<(u32, f32), String> {
    let found = text.split_once('=').and_then(|(id, bias)| Some((id.parse().ok()?, bias.parse().ok()?)));
    found.ok_or_else(|| "it must be a token id and a number, such as 42=-100; `bantam tokenize` tells ids".to_owned())
}
