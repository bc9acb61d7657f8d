//! Against models whose predictions are known, and formulas written out.

use bantam_kernels::gemm::Precision;
use bantam_model::Weights;
use bantam_model::architectures::Architecture;
use bantam_model::architectures::llama::{Llama, LlamaConfig};
use bantam_model::arrays::{Array, Arrays};
use bantam_runtime::generation::{LanguageModel, WeightFormat};

use super::*;

const VOCABULARY: usize = 50;
const CONTEXT: usize = 16;

fn config() -> LlamaConfig {
    LlamaConfig {
        vocab_size: VOCABULARY,
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        num_key_value_heads: None,
        head_dim: None,
        max_position_embeddings: CONTEXT,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: false,
        variant: Default::default(),
    }
}

/// Random weights; the head's are multiplied by `head`.
fn model(seed: u64, head: f32) -> LanguageModel {
    mixed([(seed, 1.0)], head)
}

/// A model whose weights are a sum of others' random ones.
fn mixed<const N: usize>(parts: [(u64, f32); N], head: f32) -> LanguageModel {
    let architecture = Llama::new(config());
    let drawn = |seed| Weights::initialise(architecture.schema(), seed, Precision::F32).to_arrays();
    let drawn = parts.map(|(seed, share)| (drawn(seed), share));
    let mut arrays = Arrays::new();
    for (name, first) in &drawn[0].0 {
        let factor = if name == "lm_head.weight" { head } else { 1.0 };
        let mut sum = vec![0.0; first.len()];
        for (arrays, share) in &drawn {
            sum.iter_mut().zip(arrays[name].to_f32()).for_each(|(sum, x)| *sum += factor * share * x);
        }
        arrays.insert(name.clone(), Array::plain(first.shape.clone(), sum));
    }
    let weights = Weights::from_arrays(architecture.schema(), &arrays, Precision::F32).unwrap();
    LanguageModel::new(Box::new(architecture), &weights, None, WeightFormat::F32)
}

fn ids(count: usize) -> Vec<u32> {
    (0..count).map(|index| (index * index * 7 % VOCABULARY) as u32).collect()
}

fn windows(count: usize) -> Windows {
    Windows::of_ids(ids(count), CONTEXT).unwrap()
}

fn on(_: f64) -> bool {
    true
}

/// Log-probabilities of what follows each token of a window, from whole scores in f64.
fn log_probabilities(model: &LanguageModel, window: &[u32]) -> Vec<Vec<f64>> {
    let states = model.states(window);
    let scores = model.scores(&states, 0..window.len());
    let rows = scores.data().chunks(VOCABULARY).map(|row| {
        let total = row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
        row.iter().map(|&x| f64::from(x) - total).collect()
    });
    rows.collect()
}

#[test]
fn a_model_that_knows_nothing_hesitates_among_all_tokens() {
    let found = perplexity(&model(1, 0.0), &windows(100), &mut on).unwrap();
    assert!((found.perplexity - VOCABULARY as f64).abs() < 1e-4, "{found:?}");
    // Six whole windows of 16; of each, the successors of tokens 8 to 14.
    assert_eq!((found.windows, found.tokens, found.bits_per_byte), (6, 6 * 7, None));
}

#[test]
fn figures_are_those_of_their_formulas() {
    let (original, other) = (model(1, 60.0), mixed([(1, 0.7), (2, 0.5)], 60.0));
    let windows = windows(5 * CONTEXT);
    let (mut losses, mut other_losses, mut divergences, mut same) = (Vec::new(), Vec::new(), Vec::new(), 0_u32);
    for index in 0..5 {
        let window = windows.window(index);
        let (p, q) = (log_probabilities(&original, &window), log_probabilities(&other, &window));
        for place in 8..15 {
            let (p, q, next) = (&p[place], &q[place], window[place + 1] as usize);
            losses.push(-p[next]);
            other_losses.push(-q[next]);
            divergences.push(p.iter().zip(q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>());
            let best = |row: &[f64]| (0..VOCABULARY).max_by(|&a, &b| row[a].total_cmp(&row[b]));
            same += u32::from(best(p) == best(q));
        }
    }
    let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-4, "{found} is not {expected}");
    let alone = perplexity(&original, &windows, &mut on).unwrap();
    near(alone.perplexity, mean(&losses).exp());
    let interval = alone.interval.unwrap();
    assert!(interval.low < alone.perplexity && alone.perplexity < interval.high);
    let found = divergence(&other, &original, &windows, &mut on).unwrap();
    near(found.mean_divergence, mean(&divergences));
    divergences.sort_by(f64::total_cmp);
    near(found.median_divergence, divergences[17]);
    assert!(0 < same && same < 35);
    near(found.top_1_agreement, f64::from(same) / 35.0);
    near(found.perplexity, mean(&other_losses).exp());
    near(found.original_perplexity, alone.perplexity);
    near(found.perplexity_ratio, (mean(&other_losses) - mean(&losses)).exp());
}

#[test]
fn a_model_does_not_stray_from_itself() {
    let found = divergence(&model(3, 60.0), &model(3, 60.0), &windows(40), &mut on).unwrap();
    assert_eq!((found.mean_divergence, found.quantile_99_divergence, found.top_1_agreement), (0.0, 0.0, 1.0));
    assert_eq!(found.perplexity_ratio_interval.map(|interval| (interval.low, interval.high)), Some((1.0, 1.0)));
}

#[test]
fn windows_skip_and_stop_as_they_are_told() {
    let all = windows(70);
    assert_eq!((all.count(), all.clone().first(2).count(), all.clone().first(0).count()), (4, 2, 1));
    assert_eq!(all.clone().after(3).unwrap().window(0), ids(70)[48..64]);
    assert_eq!(all.clone().after(4).unwrap_err(), LanguageError::TooShort { tokens: 6, context: CONTEXT });
    assert_eq!(perplexity(&model(1, 1.0), &all, &mut |share| share < 0.5), Err(LanguageError::Stopped));
    assert_eq!(perplexity(&model(1, 1.0), &all.first(1), &mut on).unwrap().interval, None);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let error = |ids: Vec<u32>, context| {
        let found = Windows::of_ids(ids, context).and_then(|windows| perplexity(&model(1, 1.0), &windows, &mut on));
        found.unwrap_err().to_string()
    };
    assert!(error(ids(9), CONTEXT).contains("has 9 tokens, and a window needs 16"));
    assert!(error(ids(99), 17).contains("from 4 to 16"));
    assert!(error(ids(99), 0).contains("from 4 to 16"));
    assert!(error(vec![50; 40], CONTEXT).contains("token 50"));
    let found = perplexity(&model(1, f32::NAN), &windows(40), &mut on);
    assert_eq!(found, Err(LanguageError::NoNumbers));
}
