//! The tokens that are still in the running, and the cuts that thin them out.
//!
//! Every cut keeps the best by some key, up to a count or a mass, and finds its border by selection: nothing is ever
//! sorted. Candidates stay in the order of their ids, so that a draw does not depend on how they were found.

use std::cmp::Ordering;

use bantam_kernels::scores::{BLOCK, counted, powers};

/// A token with a chance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) token: u32,
    pub(super) score: f32,
    /// Its probability, but for a factor common to all.
    power: f64,
    /// What the cut at hand ranks by: more is better.
    key: f64,
}

impl Candidate {
    /// The better comes first; of equals the one with the lower id.
    fn rank(&self, other: &Self) -> Ordering {
        other.key.total_cmp(&self.key).then(self.token.cmp(&other.token))
    }
}

/// The candidates of one choice; kept from choice to choice for its memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidates {
    items: Vec<Candidate>,
    /// Copies of `items` while a border is looked for.
    ranked: Vec<Candidate>,
    scores: Vec<f32>,
    powers: Vec<f32>,
}

/// A score that `count` scores or more reach, near the largest such: the `count`-th largest of the blocks, since each
/// block has a score as large. Minus infinity where there are fewer blocks.
pub(super) fn reached_by(count: usize, largest: &[f32]) -> f32 {
    if count == 0 || count > largest.len() {
        return f32::NEG_INFINITY;
    }
    let mut ranked = largest.to_vec();
    *ranked.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a)).1
}

impl Candidates {
    /// Takes all tokens whose score reaches `bound`. `largest` has the largest score of each block, `top` of all, and
    /// `factor` is what differences of scores are multiplied by before they become powers.
    pub(super) fn gather(&mut self, scores: &[f32], largest: &[f32], bound: f32, top: f32, factor: f32) {
        self.items.clear();
        self.scores.clear();
        for (block, (scores, _)) in
            scores.chunks(BLOCK).zip(largest).enumerate().filter(|(_, (_, most))| **most >= bound)
        {
            for (index, &score) in scores.iter().enumerate() {
                if score >= bound && score > f32::NEG_INFINITY {
                    // Adding 0 makes both zeros one, so that they tie.
                    let (token, score) = ((block * BLOCK + index) as u32, counted(score) + 0.0);
                    self.items.push(Candidate { token, score, power: 0.0, key: f64::from(score) });
                    self.scores.push(score);
                }
            }
        }
        powers(&self.scores, top, factor, &mut self.powers);
        self.items.iter_mut().zip(&self.powers).for_each(|(item, &power)| item.power = f64::from(power));
    }

    /// The sum of all powers.
    pub(super) fn mass(&self) -> f64 {
        self.items.iter().map(|item| item.power).sum()
    }

    /// Keeps the `count` with the highest scores.
    pub(super) fn keep_best(&mut self, count: usize) {
        if count == 0 || count >= self.items.len() {
            return;
        }
        self.rank();
        let border = *self.ranked.select_nth_unstable_by(count - 1, Candidate::rank).1;
        self.keep_to(border);
    }

    /// Keeps as few of the likeliest as have `mass` together: one at least.
    pub(super) fn keep_likeliest(&mut self, mass: f64) {
        self.items.iter_mut().for_each(|item| item.key = f64::from(item.score));
        self.keep_mass(mass);
    }

    /// Keeps as few of the most typical as have the share `typical_p` of all: those whose surprise, -log p, is nearest
    /// to the expected surprise. With p = exp(s) / Z that is the s nearest to Σ p s: Z falls out.
    pub(super) fn keep_typical(&mut self, typical_p: f64, top: f32, factor: f32) {
        let scaled = |item: &Candidate| (f64::from(item.score) - f64::from(top)) * f64::from(factor);
        let mass = self.mass();
        let expected: f64 = self.items.iter().map(|item| item.power / mass * scaled(item)).sum();
        self.items.iter_mut().for_each(|item| item.key = -(scaled(item) - expected).abs());
        self.keep_mass(typical_p * mass);
    }

    /// Keeps those at least `share` times as probable as the likeliest.
    pub(super) fn keep_near_top(&mut self, share: f64) {
        let most = self.items.iter().map(|item| item.power).fold(0.0, f64::max);
        self.items.retain(|item| item.power >= share * most);
    }

    /// The candidate at the share `at` (0 to 1, without 1) of the mass, in the order of ids; `None` if there is no mass.
    pub(super) fn draw(&self, at: f64) -> Option<u32> {
        let index = pick(self.items.iter().map(|item| item.power), at * self.mass())?;
        Some(self.items[index].token)
    }

    /// The best `count` with their scores, best first.
    pub(super) fn into_best(mut self, count: usize) -> Vec<(u32, f32)> {
        self.keep_best(count);
        self.items.sort_unstable_by(Candidate::rank);
        self.items.iter().take(count).map(|item| (item.token, item.score)).collect()
    }

    fn rank(&mut self) {
        self.ranked.clone_from(&self.items);
    }

    /// Halves the range in which the border lies, and keeps the sum of what lies before it: linear time in all.
    fn keep_mass(&mut self, mass: f64) {
        self.rank();
        let (mut low, mut high, mut before) = (0, self.ranked.len(), 0.0);
        while high - low > 1 {
            let middle = low.midpoint(high);
            self.ranked[low..high].select_nth_unstable_by(middle - low, Candidate::rank);
            let better: f64 = self.ranked[low..middle].iter().map(|item| item.power).sum();
            if before + better >= mass {
                high = middle;
            } else {
                before += better;
                low = middle;
            }
        }
        if let Some(&border) = self.ranked.get(low) {
            self.keep_to(border);
        }
    }

    fn keep_to(&mut self, border: Candidate) {
        self.items.retain(|item| item.rank(&border).is_le());
    }
}

/// The first index at which the running sum exceeds `mass`; the last with any mass where rounding lets none; `None` if
/// nothing has mass.
pub(super) fn pick(masses: impl Iterator<Item = f64>, mass: f64) -> Option<usize> {
    let (mut sum, mut last) = (0.0, None);
    for (index, item) in masses.enumerate().filter(|(_, item)| *item > 0.0) {
        sum += item;
        last = Some(index);
        if sum > mass {
            break;
        }
    }
    last
}
