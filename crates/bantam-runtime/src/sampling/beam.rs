//! Beam search: the likeliest replies as wholes, rather than token by token.
//!
//! Scores are those of Wu et al. 2016 ("Google's neural machine translation system", section 7): the log-probability of a
//! reply, divided by its length penalty ((5 + length) / 6)^alpha.

use super::log_probabilities::top_log_probabilities;

/// How beams are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct BeamOptions {
    /// Hypotheses that go on at each step; 1 is the greedy choice.
    pub beams: usize,
    /// Replies that are returned, best first; at most as many as were found.
    pub results: usize,
    /// The exponent of the length penalty: 0 prefers short replies, 1 compares the mean log-probability of tokens.
    pub length_penalty: f32,
    /// Tokens of a reply at most, the end included.
    pub most_tokens: usize,
    /// Tokens that end a reply.
    pub ends: Vec<u32>,
}

/// The beginning of a reply, or a whole one.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Its tokens, the end included where it has ended.
    pub tokens: Vec<u32>,
    /// The sum of the logarithms of their probabilities.
    pub log_probability: f64,
    /// Which hypothesis of the step before it continues: where its past is to be taken from.
    pub parent: usize,
}

impl Hypothesis {
    /// Its log-probability divided by its length penalty: what hypotheses are compared by.
    pub fn score(&self, length_penalty: f32) -> f64 {
        self.log_probability / ((5.0 + self.tokens.len() as f64) / 6.0).powf(f64::from(length_penalty))
    }
}

/// Searches for the replies with the highest scores. `next` gives, for each hypothesis, the logits of its next token;
/// first it is given one without tokens. A reply without a row of logits goes no further. Ties go to the hypothesis that
/// came first, then to the lowest id.
pub fn beam_search<L: AsRef<[f32]>>(
    options: &BeamOptions,
    mut next: impl FnMut(&[Hypothesis]) -> Vec<L>,
) -> Vec<Hypothesis> {
    let mut open = vec![Hypothesis { tokens: Vec::new(), log_probability: 0.0, parent: 0 }];
    let mut ended = Vec::new();
    for length in 1..=options.most_tokens {
        let rows = next(&open);
        let mut continued = continuations(options, &open, &rows);
        keep_best(&mut continued, options.beams.max(1).saturating_add(options.ends.len() * open.len()), 0.0);
        open.clear();
        for hypothesis in continued {
            let has_ended = hypothesis.tokens.last().is_some_and(|token| options.ends.contains(token));
            if has_ended || length == options.most_tokens {
                ended.push(hypothesis);
            } else if open.len() < options.beams.max(1) {
                open.push(hypothesis);
            }
        }
        keep_best(&mut ended, options.results, options.length_penalty);
        if open.is_empty() || is_decided(options, &open, &ended) {
            break;
        }
    }
    ended
}

/// Each hypothesis with each of its likeliest next tokens: as many as could still be among the best of all, were all
/// ends among them.
fn continuations<L: AsRef<[f32]>>(options: &BeamOptions, open: &[Hypothesis], rows: &[L]) -> Vec<Hypothesis> {
    let count = options.beams.max(1).saturating_add(options.ends.len());
    let mut continued = Vec::new();
    for (parent, (hypothesis, logits)) in open.iter().zip(rows).enumerate() {
        for (token, log_probability) in top_log_probabilities(logits.as_ref(), count) {
            continued.push(Hypothesis {
                tokens: hypothesis.tokens.iter().copied().chain([token]).collect(),
                log_probability: hypothesis.log_probability + f64::from(log_probability),
                parent,
            });
        }
    }
    continued
}

/// The sort is stable, so of equals the first stay.
fn keep_best(hypotheses: &mut Vec<Hypothesis>, count: usize, length_penalty: f32) {
    hypotheses.sort_by(|a, b| b.score(length_penalty).total_cmp(&a.score(length_penalty)));
    hypotheses.truncate(count);
}

/// Whether no open hypothesis can come before those that have ended. Tokens only lower a log-probability, and no reply
/// is longer than the longest, so dividing by the penalty of that length bounds what a hypothesis can reach.
fn is_decided(options: &BeamOptions, open: &[Hypothesis], ended: &[Hypothesis]) -> bool {
    let Some(worst) = ended.last().filter(|_| ended.len() >= options.results) else { return options.results == 0 };
    let reach = |hypothesis: &Hypothesis| {
        let longest = ((5.0 + options.most_tokens as f64) / 6.0).powf(f64::from(options.length_penalty));
        (hypothesis.log_probability / longest).max(hypothesis.score(options.length_penalty))
    };
    open.iter().all(|hypothesis| reach(hypothesis) <= worst.score(options.length_penalty))
}

#[cfg(test)]
mod tests {
    use bantam_model::Random;

    use super::*;

    const VOCABULARY: usize = 4;

    /// A toy model: the logits of the next token are random numbers that the tokens so far decide.
    fn toy(tokens: &[u32], seed: u64) -> Vec<f32> {
        let place = tokens.iter().fold(1, |place, &token| place * (VOCABULARY as u64 + 1) + u64::from(token));
        let mut random = Random::new(seed, place);
        (0..VOCABULARY).map(|_| 2.0 * random.normal()).collect()
    }

    /// Every reply with its score, best first.
    fn exhaustive(options: &BeamOptions, seed: u64) -> Vec<(Vec<u32>, f64)> {
        fn walk(tokens: &[u32], sum: f64, options: &BeamOptions, seed: u64, found: &mut Vec<(Vec<u32>, f64)>) {
            let logits = toy(tokens, seed);
            let total = logits.iter().map(|&logit| f64::from(logit).exp()).sum::<f64>().ln();
            for (token, &logit) in (0..).zip(&logits) {
                let (tokens, sum) = ([tokens, &[token]].concat(), sum + f64::from(logit) - total);
                if options.ends.contains(&token) || tokens.len() == options.most_tokens {
                    let penalty = ((5.0 + tokens.len() as f64) / 6.0).powf(f64::from(options.length_penalty));
                    found.push((tokens, sum / penalty));
                } else {
                    walk(&tokens, sum, options, seed, found);
                }
            }
        }
        let mut found = Vec::new();
        walk(&[], 0.0, options, seed, &mut found);
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found
    }

    fn search(options: &BeamOptions, seed: u64) -> Vec<Hypothesis> {
        let mut before: Vec<Vec<u32>> = vec![Vec::new()];
        beam_search(options, |open| {
            for hypothesis in open.iter().filter(|hypothesis| !hypothesis.tokens.is_empty()) {
                let (_, start) = hypothesis.tokens.split_last().unwrap();
                assert_eq!(before[hypothesis.parent], start, "the parent is what it continues");
            }
            before = open.iter().map(|hypothesis| hypothesis.tokens.clone()).collect();
            open.iter().map(|hypothesis| toy(&hypothesis.tokens, seed)).collect()
        })
    }

    #[test]
    fn with_beams_for_all_it_finds_what_exhaustive_search_finds() {
        for seed in 0..30 {
            for length_penalty in [0.0, 0.6, 1.0, -0.5] {
                let options = BeamOptions {
                    beams: if seed == 0 { usize::MAX } else { 300 },
                    results: 10,
                    length_penalty,
                    most_tokens: 5,
                    ends: vec![0, 2],
                };
                let (found, truth) = (search(&options, seed), exhaustive(&options, seed));
                assert_eq!(found.len(), 10);
                for (found, truth) in found.iter().zip(&truth) {
                    assert_eq!(found.tokens, truth.0, "seed {seed}, length penalty {length_penalty}");
                    assert!((found.score(length_penalty) - truth.1).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn one_beam_is_the_greedy_choice_and_more_beams_find_better() {
        let options = BeamOptions { beams: 1, results: 1, length_penalty: 0.0, most_tokens: 6, ends: vec![] };
        let (mut better, mut worse) = (0, 0);
        for seed in 0..50 {
            let mut tokens = Vec::new();
            for _ in 0..6 {
                let logits = toy(&tokens, seed);
                tokens.push((0..4u32).max_by(|&a, &b| logits[a as usize].total_cmp(&logits[b as usize])).unwrap());
            }
            let one = search(&options, seed);
            assert_eq!(one[0].tokens, tokens);
            let four = search(&BeamOptions { beams: 4, ..options.clone() }, seed);
            better += usize::from(four[0].log_probability > one[0].log_probability + 1e-9);
            worse += usize::from(four[0].log_probability < one[0].log_probability - 1e-9);
        }
        assert!(better >= 10 && worse <= 2, "{better} better, {worse} worse");
    }

    #[test]
    fn odd_options_and_logits_give_what_there_is() {
        let options = BeamOptions { beams: 0, results: 5, length_penalty: 1.0, most_tokens: 3, ends: vec![1] };
        assert_eq!(beam_search(&options, |_| Vec::<Vec<f32>>::new()), []);
        assert_eq!(beam_search(&options, |open| vec![[f32::NAN; 3]; open.len()]), []);
        assert_eq!(beam_search(&BeamOptions { most_tokens: 0, ..options.clone() }, |_| vec![[0.0]]), []);
        assert_eq!(beam_search(&BeamOptions { results: 0, ..options.clone() }, |_| vec![[0.0]]), []);
        let found = beam_search(&options, |open| vec![[0.0, f32::NEG_INFINITY]; open.len()]);
        assert_eq!(found.iter().map(|found| &found.tokens[..]).collect::<Vec<_>>(), [&[0, 0, 0]]);
    }
}
