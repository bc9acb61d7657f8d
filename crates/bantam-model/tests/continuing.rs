//! A decoder that goes on from its past says what it would have said of the whole text.

use bantam_kernels::attention::PastFormat;
use bantam_kernels::gemm::Precision;
use bantam_kernels::gemm::grouped::Bits;
use bantam_model::architectures::Architecture;
use bantam_model::architectures::llama::{Llama, LlamaConfig};
use bantam_model::{Batch, Pass, Past, Weights};

fn model() -> (Llama, Weights) {
    let llama = Llama::new(LlamaConfig {
        vocab_size: 50,
        hidden_size: 36,
        intermediate_size: 80,
        num_hidden_layers: 3,
        num_attention_heads: 6,
        num_key_value_heads: Some(2),
        head_dim: None,
        max_position_embeddings: 256,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: true,
        variant: Default::default(),
    });
    let weights = Weights::initialise(llama.schema(), 3, Precision::F32);
    (llama, weights)
}

fn tokens(seed: u32, count: u32) -> Vec<u32> {
    (0..count).map(|index| (index * index * 7 + index * 3 + seed) % 50).collect()
}

fn rows(model: &Llama, weights: &Weights, batch: &Batch, pass: &mut Pass) -> Vec<f32> {
    model.hidden(weights, batch, pass).last().unwrap().data().to_vec()
}

/// Keys and values of 11 or 8 bits, or in codes of 8, move the last states, whose length is 6, by less than this.
const FORMATS: [(PastFormat, f32); 3] =
    [(PastFormat::F16, 2e-3), (PastFormat::Bf16, 1.6e-2), (PastFormat::Int8, 1.6e-2)];
/// Inputs that are quantised as they come may then round the other way, by a 127th of their group's largest.
const QUANTISED: f32 = 2e-2;

fn assert_near(actual: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let most = actual.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(most < tolerance, "{what}: {most} away");
}

#[test]
fn any_division_of_a_text_gives_the_same_states() {
    let (model, weights) = model();
    let text = tokens(1, 150);
    let grouped = weights.grouped(Bits::Eight);
    for (weights, format, tolerance) in FORMATS
        .into_iter()
        .flat_map(|(format, bound)| [(&weights, format, bound), (&grouped, format, bound + QUANTISED)])
    {
        let whole = rows(&model, weights, &Batch::new([&text[..]]), &mut Pass::plain());
        for steps in [vec![150], vec![1; 150], vec![64, 1, 63, 22], vec![7, 100, 43]] {
            let (mut past, mut states) = (vec![Past::in_format(format)], Vec::new());
            let mut rest = &text[..];
            for &step in &steps {
                let batch = Batch::continuing([(past[0].tokens(), &rest[..step])]);
                let mut pass = Pass::continuing(past);
                states.extend(rows(&model, weights, &batch, &mut pass));
                past = pass.into_pasts();
                rest = &rest[step..];
            }
            assert_eq!(past[0].tokens(), 150);
            assert_near(&states, &whole, tolerance, &format!("{} steps", steps.len()));
        }
    }
}

#[test]
fn texts_that_share_a_beginning_go_on_apart() {
    let (model, weights) = model();
    let beginning = tokens(4, 70);
    let mut pass = Pass::continuing(vec![Past::in_format(PastFormat::F16)]);
    rows(&model, &weights, &Batch::continuing([(0, &beginning[..])]), &mut pass);
    let past = pass.into_pasts().remove(0);
    let mut shorter = past.clone();
    shorter.truncate(30);
    let ends = [tokens(9, 5), tokens(20, 12), tokens(33, 1)];
    let batch = Batch::continuing([(70, &ends[0][..]), (30, &ends[1][..]), (70, &ends[2][..])]);
    let mut pass = Pass::continuing(vec![past.clone(), shorter, past]);
    let states = rows(&model, &weights, &batch, &mut pass);
    assert_eq!(pass.into_pasts().iter().map(Past::tokens).collect::<Vec<_>>(), [75, 42, 71]);
    let mut expected = Vec::new();
    for (kept, end) in [70, 30, 70].into_iter().zip(&ends) {
        let text = [&beginning[..kept], end].concat();
        let all = rows(&model, &weights, &Batch::new([&text[..]]), &mut Pass::plain());
        expected.extend_from_slice(&all[kept * 36..]);
    }
    assert_near(&states, &expected, FORMATS[0].1, "three texts");
}
