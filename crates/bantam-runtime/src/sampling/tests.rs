//! The sampler against a twin that computes everything in f64 and sorts the whole vocabulary at every step.

use bantam_model::Random;

use super::*;

/// Logits of a vocabulary, with a long tail as trained models have it.
fn logits(vocabulary: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed, 0);
    (0..vocabulary).map(|_| 3.0 * random.normal()).collect()
}

/// The tokens that may be drawn with their probabilities, in the order of ids.
fn twin(logits: &[f32], options: &SamplingOptions) -> Vec<(u32, f64)> {
    let usable = logits.iter().enumerate().filter(|(_, logit)| **logit > f32::NEG_INFINITY);
    let mut left: Vec<(u32, f64)> =
        usable.map(|(token, &logit)| (token as u32, f64::from(logit) / f64::from(options.temperature))).collect();
    if options.top_k > 0 {
        left.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        left.truncate(options.top_k);
    }
    let mut left = softmax(&left);
    if options.typical_p < 1.0 {
        let entropy: f64 = left.iter().map(|(_, p)| if *p > 0.0 { -p * p.ln() } else { 0.0 }).sum();
        let distance = |p: f64| (-p.ln() - entropy).abs();
        left.sort_by(|a, b| distance(a.1).total_cmp(&distance(b.1)).then(a.0.cmp(&b.0)));
        left = keep_mass(left, f64::from(options.typical_p));
    }
    if options.top_p < 1.0 {
        left.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        left = keep_mass(left, f64::from(options.top_p));
    }
    let most = left.iter().map(|(_, p)| *p).fold(0.0, f64::max);
    left.retain(|(_, p)| *p >= f64::from(options.min_p) * most);
    left.sort_by_key(|(token, _)| *token);
    normalised(left)
}

fn softmax(scores: &[(u32, f64)]) -> Vec<(u32, f64)> {
    let top = scores.iter().map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max);
    normalised(scores.iter().map(|(token, score)| (*token, (score - top).exp())).collect())
}

fn normalised(masses: Vec<(u32, f64)>) -> Vec<(u32, f64)> {
    let sum: f64 = masses.iter().map(|(_, mass)| mass).sum();
    masses.into_iter().map(|(token, mass)| (token, mass / sum)).collect()
}

fn keep_mass(sorted: Vec<(u32, f64)>, share: f64) -> Vec<(u32, f64)> {
    let (mut kept, mut sum) = (Vec::new(), 0.0);
    for (token, p) in sorted {
        kept.push((token, p));
        sum += p;
        if sum >= share {
            break;
        }
    }
    normalised(kept)
}

/// The token at a random number, by walking along the ids.
fn walk(distribution: &[(u32, f64)], at: f64) -> u32 {
    let mut sum = 0.0;
    let found = distribution.iter().find(|(_, p)| {
        sum += p;
        sum > at
    });
    found.or(distribution.last()).expect("a distribution has tokens").0
}

fn every_kind_of_cut() -> Vec<SamplingOptions> {
    let plain = SamplingOptions::default;
    vec![
        plain(),
        SamplingOptions { temperature: 0.3, ..plain() },
        SamplingOptions { top_k: 1, ..plain() },
        SamplingOptions { top_k: 40, temperature: 1.7, ..plain() },
        SamplingOptions { top_k: 900, temperature: 5.0, ..plain() },
        SamplingOptions { top_k: 1_000_000, ..plain() },
        SamplingOptions { top_p: 0.0, ..plain() },
        SamplingOptions { top_p: 0.5, ..plain() },
        SamplingOptions { top_p: 0.95, temperature: 100.0, ..plain() },
        SamplingOptions { min_p: 0.05, ..plain() },
        SamplingOptions { min_p: 1.0, ..plain() },
        SamplingOptions { typical_p: 0.2, ..plain() },
        SamplingOptions { typical_p: 0.9, top_p: 0.7, ..plain() },
        SamplingOptions { top_k: 50, typical_p: 0.8, top_p: 0.9, min_p: 0.02, temperature: 0.8, ..plain() },
    ]
}

#[test]
fn every_cut_draws_what_the_sorting_twin_draws() {
    for vocabulary in [1, 5, 64, 1_000, 5_003] {
        let mut logits = logits(vocabulary, vocabulary as u64);
        if vocabulary > 64 {
            // Ties at the top, and what is no number.
            logits[70] = 9.0;
            logits[7] = 9.0;
            logits[64] = f32::NAN;
            logits[65] = f32::NEG_INFINITY;
        }
        for options in every_kind_of_cut() {
            let distribution = twin(&logits, &options);
            let mut sampler = Sampler::new(options.clone(), 11);
            for position in 0..200 {
                let at = (Random::new(11, position).next() >> 11) as f64 / (1u64 << 53) as f64;
                let choice = sampler.choose(&logits, None).unwrap();
                assert_eq!(choice.token, walk(&distribution, at), "{options:?}, {vocabulary} tokens, draw {position}");
                sampler.accept(choice.token);
            }
        }
    }
}

#[test]
fn frequencies_are_the_probabilities() {
    let logits = [1.0f32, 2.0, 0.0, -1.0, 0.5];
    let (draws, mut counts) = (40_000, [0.0f64; 5]);
    let mut sampler = Sampler::new(SamplingOptions::default(), 3);
    for _ in 0..draws {
        let token = sampler.choose(&logits, None).unwrap().token;
        counts[token as usize] += 1.0;
        sampler.accept(token);
    }
    let distribution = twin(&logits, &SamplingOptions::default());
    let expected = distribution.iter().map(|(_, p)| p * f64::from(draws));
    let chi_squared: f64 = counts.iter().zip(expected).map(|(count, mean)| (count - mean).powi(2) / mean).sum();
    // 4 degrees of freedom: 18.5 is passed once in 1000.
    assert!(chi_squared < 18.5, "{counts:?}: {chi_squared}");
}

#[test]
fn log_probabilities_are_those_of_the_raw_logits() {
    let logits = logits(3_000, 5);
    let plain = twin(&logits, &SamplingOptions::default());
    let mut ranked = plain.clone();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    for count in [0, 1, 20, 64, 3_000, 9_000] {
        let best = top_log_probabilities(&logits, count);
        assert_eq!(best.len(), count.min(3_000));
        for (found, truth) in best.iter().zip(&ranked) {
            assert_eq!(found.0, truth.0);
            assert!((f64::from(found.1) - truth.1.ln()).abs() < 1e-5, "{found:?} {truth:?}");
        }
    }
    // Neither temperature, cuts, bias nor mask change them.
    let options =
        SamplingOptions { temperature: 0.2, top_k: 3, logit_bias: [(17, 50.0)].into(), ..SamplingOptions::default() };
    let mask: TokenMask = [16, 17, 18].into_iter().collect();
    let choice = Sampler::new(options, 0).choose(&logits, Some(&mask)).unwrap();
    assert_eq!(choice.token, 17);
    assert!((f64::from(choice.log_probability) - plain[17].1.ln()).abs() < 1e-5);
}

#[test]
fn greedy_takes_the_first_of_the_largest_and_heeds_mask_bias_and_penalties() {
    let mut logits = vec![0.0f32; 500];
    [130, 131, 400].into_iter().for_each(|token: usize| logits[token] = 4.0);
    let chosen = |options: SamplingOptions, mask: Option<&TokenMask>, said: &[u32]| {
        let mut sampler = Sampler::new(options, 0);
        said.iter().for_each(|&token| sampler.accept(token));
        sampler.choose(&logits, mask).unwrap().token
    };
    let greedy = SamplingOptions::greedy;
    assert_eq!(chosen(greedy(), None, &[]), 130);
    assert_eq!(chosen(greedy(), Some(&[400, 3, 131].into_iter().collect()), &[]), 131);
    assert_eq!(chosen(SamplingOptions { logit_bias: [(499, 4.5)].into(), ..greedy() }, None, &[]), 499);
    assert_eq!(chosen(SamplingOptions { presence_penalty: 0.1, ..greedy() }, None, &[130]), 131);
    assert_eq!(chosen(SamplingOptions { repetition_penalty: 1.1, ..greedy() }, None, &[131, 130]), 400);
    // Both zeros are one number.
    let zeros = [-1.0, -0.0, 0.0];
    assert_eq!(Sampler::new(greedy(), 0).choose(&zeros, None).unwrap().token, 1);
    let narrow = SamplingOptions { top_k: 1, ..SamplingOptions::default() };
    assert_eq!(Sampler::new(narrow, 0).choose(&zeros, None).unwrap().token, 1);
}

#[test]
fn a_choice_depends_on_seed_and_position_alone() {
    let logits = logits(2_000, 8);
    let reply = |options: SamplingOptions, seed: u64, twice: bool| -> Vec<u32> {
        let mut sampler = Sampler::new(options, seed);
        (0..20)
            .map(|_| {
                if twice {
                    sampler.choose(&logits, None);
                }
                let token = sampler.choose(&logits, None).unwrap().token;
                sampler.accept(token);
                token
            })
            .collect()
    };
    let plain = SamplingOptions::default;
    assert_eq!(reply(plain(), 1, false), reply(plain(), 1, true));
    assert_ne!(reply(plain(), 1, false), reply(plain(), 2, false));
    assert_eq!(reply(SamplingOptions { seed: Some(1), ..plain() }, 2, false), reply(plain(), 1, false));
}

#[test]
fn odd_numbers_never_panic_and_an_empty_choice_is_none() {
    let nothing: [&[f32]; 4] = [&[], &[f32::NAN], &[f32::NEG_INFINITY; 100], &[f32::NAN; 65]];
    let odd = [f32::NAN, -1.0, f32::INFINITY, f32::MIN_POSITIVE, 1e-45];
    let mut all = every_kind_of_cut();
    all.push(SamplingOptions::greedy());
    for odd in odd {
        all.push(SamplingOptions { temperature: odd, ..SamplingOptions::default() });
        all.push(SamplingOptions { top_p: odd, typical_p: odd, min_p: odd, ..SamplingOptions::default() });
        all.push(SamplingOptions { repetition_penalty: odd, ..SamplingOptions::default() });
    }
    for options in all {
        let mut sampler = Sampler::new(options.clone(), 0);
        for logits in nothing {
            assert_eq!(sampler.choose(logits, None), None, "{options:?}");
            assert_eq!(top_log_probabilities(logits, 5), []);
        }
        assert_eq!(sampler.choose(&[1.0; 40], Some(&TokenMask::none(40))), None);
        sampler.see_prompt(&[0, 5, u32::MAX]);
        for logits in [[f32::MAX, f32::MIN, f32::INFINITY], [f32::NAN, f32::INFINITY, 0.0], [f32::MIN; 3]] {
            sampler.accept(1);
            sampler.choose(&logits, None);
        }
    }
    let certain = Sampler::new(SamplingOptions::default(), 0).choose(&[f32::NAN, 3.0, f32::INFINITY], None);
    assert_eq!(certain, Some(Choice { token: 2, log_probability: 0.0 }));
}
