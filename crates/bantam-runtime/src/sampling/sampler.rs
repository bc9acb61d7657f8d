//! The choice of one token from the logits of a whole vocabulary.

use bantam_kernels::scores::{BLOCK, block_largest, block_powers, powers};
use bantam_model::Random;

use super::candidates::{Candidates, pick, reached_by};
use super::history::History;
use super::log_probabilities::{Normaliser, top};
use super::{SamplingOptions, TokenMask};

/// Candidates that a cut by mass looks at first. Trained models put nearly all their mass on fewer.
const FIRST_LOOK: usize = 64;

/// A token, and how likely the model held it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The token's id.
    pub token: u32,
    /// The logarithm of its probability under the logits as they came: before mask, bias, penalties, temperature and
    /// cuts, as in OpenAI's `logprobs`. At most 0.
    pub log_probability: f32,
}

/// Chooses the tokens of one reply.
///
/// The order of steps: mask, bias, penalties, (the greedy choice is made here,) temperature, top-k, typical, top-p,
/// min-p, draw. Each cut sees the distribution that the one before it left, normalised again. llama.cpp and
/// transformers agree that bias and penalties come before all cuts, and top-k before top-p before min-p. They differ in
/// the rest: transformers applies the temperature first, as here, llama.cpp last; llama.cpp cuts to the typical before
/// top-p, as here, transformers after min-p.
///
/// The random number of a choice depends on the seed and on how many tokens were accepted, on nothing else: a reply is
/// the same whether its tokens are drafted and verified several at once or come one by one.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: SamplingOptions,
    seed: u64,
    accepted: u64,
    history: History,
    scores: Vec<f32>,
    largest: Vec<f32>,
    sums: Vec<f32>,
    candidates: Candidates,
}

impl Sampler {
    /// A sampler for one reply. `seed` counts where the options name none. The options should have passed
    /// [`SamplingOptions::validate`]; others give some choice, and no panic.
    pub fn new(options: SamplingOptions, seed: u64) -> Self {
        Self {
            seed: options.seed.unwrap_or(seed),
            accepted: 0,
            history: History::new(&options),
            options,
            scores: Vec::new(),
            largest: Vec::new(),
            sums: Vec::new(),
            candidates: Candidates::default(),
        }
    }

    /// The options.
    pub fn options(&self) -> &SamplingOptions {
        &self.options
    }

    /// Counts tokens of the prompt, for the repetition penalty.
    pub fn see_prompt(&mut self, tokens: &[u32]) {
        tokens.iter().for_each(|&token| self.history.see(token));
    }

    /// Takes `token` into the reply: it counts for penalties, and the next choice draws another random number. To be
    /// called once for each token that stays.
    pub fn accept(&mut self, token: u32) {
        self.history.generate(token);
        self.accepted += 1;
    }

    /// Chooses the next token. Ties go to the lowest id; a logit that is NaN counts as minus infinity. `None` when no
    /// token is left: all are masked, or have no chance. Choosing again before [`Sampler::accept`] gives the same.
    pub fn choose(&mut self, logits: &[f32], mask: Option<&TokenMask>) -> Option<Choice> {
        block_largest(logits, &mut self.largest);
        let normaliser = Normaliser::of(logits, &self.largest, &mut self.sums)?;
        let mut scores = std::mem::take(&mut self.scores);
        let adjusted = self.adjust(logits, mask, &mut scores);
        let token = self.choose_from(if adjusted { &scores } else { logits });
        self.scores = scores;
        token.map(|token| Choice { token, log_probability: normaliser.log_probability(logits[token as usize]) })
    }

    /// Fills `scores` with the logits after mask, bias and penalties; false where these change nothing.
    fn adjust(&mut self, logits: &[f32], mask: Option<&TokenMask>, scores: &mut Vec<f32>) -> bool {
        let penalised = self.history.adjusts(&self.options);
        match mask {
            Some(mask) => mask.apply(logits, scores),
            None if penalised => logits.clone_into(scores),
            None => return false,
        }
        if penalised {
            self.history.adjust(&self.options, scores);
        }
        block_largest(scores, &mut self.largest);
        true
    }

    fn choose_from(&mut self, scores: &[f32]) -> Option<u32> {
        let top = top(&self.largest)?;
        if self.options.temperature <= 0.0 || self.options.temperature.is_nan() {
            return self.first_of(scores, top);
        }
        // Temperatures next to 0 have no finite inverse.
        let factor = (1.0 / self.options.temperature).min(f32::MAX);
        let random = Random::new(self.seed, self.accepted).next();
        let at = (random >> 11) as f64 / (1u64 << 53) as f64;
        let SamplingOptions { top_k, top_p, min_p, typical_p, .. } = self.options;
        let (cuts_count, cuts_typical) = (top_k > 0 && top_k < scores.len(), typical_p < 1.0);
        if !(cuts_count || cuts_typical || top_p < 1.0 || min_p > 0.0) {
            return self.draw_from_all(scores, top, factor, at);
        }

        // What top-p takes its share of, where that is not the candidates' mass.
        let mut whole = None;
        if cuts_count {
            self.gather(scores, reached_by(top_k, &self.largest), top, factor);
            self.candidates.keep_best(top_k);
        } else if cuts_typical {
            self.gather(scores, f32::NEG_INFINITY, top, factor);
        } else if top_p < 1.0 {
            whole = Some(self.gather_mass(scores, top, factor, f64::from(top_p)));
        } else {
            self.gather(scores, near(top, factor, f64::from(min_p)), top, factor);
        }
        if cuts_typical {
            self.candidates.keep_typical(f64::from(typical_p), top, factor);
        }
        if top_p < 1.0 {
            let mass = whole.unwrap_or_else(|| self.candidates.mass());
            self.candidates.keep_likeliest(f64::from(top_p) * mass);
        }
        if min_p > 0.0 {
            self.candidates.keep_near_top(f64::from(min_p));
        }
        self.candidates.draw(at)
    }

    /// The first token with the score `top`.
    fn first_of(&self, scores: &[f32], top: f32) -> Option<u32> {
        let block = self.largest.iter().position(|&largest| largest == top)?;
        let inside = scores[block * BLOCK..].iter().position(|&score| score >= top)?;
        Some((block * BLOCK + inside) as u32)
    }

    fn gather(&mut self, scores: &[f32], bound: f32, top: f32, factor: f32) {
        self.candidates.gather(scores, &self.largest, bound, top, factor);
    }

    /// Gathers the likeliest, enough of them to have the share `top_p` of the mass of all, which is returned.
    fn gather_mass(&mut self, scores: &[f32], top: f32, factor: f32, top_p: f64) -> f64 {
        block_powers(scores, top, factor, &mut self.sums);
        let whole: f64 = self.sums.iter().map(|&sum| f64::from(sum)).sum();
        self.gather(scores, reached_by(FIRST_LOOK, &self.largest), top, factor);
        if self.candidates.mass() < top_p * whole {
            // Even if all tokens were below this bound, they would not have more than the mass that may be cut off.
            let share = (1.0 - top_p) * whole / scores.len() as f64;
            self.gather(scores, near(top, factor, share), top, factor);
        }
        whole
    }

    /// Draws by the masses of blocks, then inside the block.
    fn draw_from_all(&mut self, scores: &[f32], top: f32, factor: f32, at: f64) -> Option<u32> {
        block_powers(scores, top, factor, &mut self.sums);
        let masses = || self.sums.iter().map(|&sum| f64::from(sum));
        let mass = at * masses().sum::<f64>();
        let block = pick(masses(), mass)?;
        let rest = mass - masses().take(block).sum::<f64>();
        let start = block * BLOCK;
        powers(&scores[start..scores.len().min(start + BLOCK)], top, factor, &mut self.sums);
        let inside = pick(self.sums.iter().map(|&power| f64::from(power)), rest)?;
        Some((start + inside) as u32)
    }
}

/// A score that all tokens with `share` of the top's probability reach, a little lower than need be.
fn near(top: f32, factor: f32, share: f64) -> f32 {
    let distance = (share.ln() - 1e-3) / f64::from(factor);
    ((f64::from(top) + distance) as f32).next_down()
}
