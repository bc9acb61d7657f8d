//! A pass of which only some states are wanted leaves work out, and gives the scores and gradients of a whole one.

use std::sync::Arc;

use bantam_kernels::gemm::Precision;
use bantam_model::architectures::encoder::{Encoder, EncoderConfig};
use bantam_model::architectures::{Architecture, Classifier, TokenPredictor};
use bantam_model::layers::Pooling;
use bantam_model::{Batch, Pass, Weights};
use bantam_tensor::{Tensor, one_hot};

fn encoder(pooling: Pooling) -> Encoder {
    Encoder::new(EncoderConfig {
        vocab_size: 40,
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        head_dim: None,
        max_position_embeddings: 32,
        global_rope_theta: 10_000.0,
        norm_eps: 1e-5,
        classifier_pooling: pooling,
        num_labels: 3,
        features: None,
        windows: None,
    })
}

/// The numbers of the gradient of each tensor.
fn gradients_of(loss: &Tensor, weights: &Weights) -> Vec<Vec<f32>> {
    let gradients = loss.backward();
    weights.tensors().filter_map(|(_, tensor)| gradients.get(tensor)).map(<[f32]>::to_vec).collect()
}

fn are_near(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
}

#[test]
fn answers_are_those_of_whole_passes_and_so_are_their_gradients() {
    let documents: [&[u32]; 4] = [&[2, 7, 9, 30, 3], &[2, 3], &[5], &[2, 8, 8, 39, 1, 0, 12, 3]];
    let batch = Batch::new(documents);
    for pooling in [Pooling::First, Pooling::Mean] {
        let model = encoder(pooling);
        let weights = Weights::initialise(&Arc::clone(model.schema()), 5, Precision::F32).tracked(|_| true);
        let run = |mut pass: Pass| {
            let answer = model.classify(&weights, &batch, &mut pass);
            let loss = answer.logits.cross_entropy(&one_hot(&[0, 2, 1, 1], 3, 0.0), None);
            let gradients = gradients_of(&loss, &weights);
            assert_eq!(gradients.len(), weights.tensors().count(), "all learn");
            let rows = answer.hidden.last().unwrap().rows();
            (answer.logits.data().to_vec(), gradients, rows)
        };
        let (whole, whole_gradients, rows) = run(Pass::plain());
        assert_eq!(rows, 16);
        let (answers, gradients, rows) = run(Pass::answer());
        // The first token's states are all that is made of the last layer where nothing else is read.
        assert_eq!(rows, if pooling == Pooling::First { 4 } else { 16 });
        assert!(are_near(&answers, &whole), "{pooling:?}: {answers:?} is not {whole:?}");
        assert!(whole_gradients.iter().flatten().any(|x| x.abs() > 1e-3));
        assert!(gradients.iter().zip(&whole_gradients).all(|(a, b)| are_near(a, b)), "{pooling:?}: gradients differ");
    }
}

#[test]
fn the_states_of_some_tokens_are_those_of_whole_passes_and_so_are_their_gradients() {
    let documents: [&[u32]; 3] = [&[2, 7, 9, 30, 3], &[2, 3], &[2, 8, 8, 39, 1, 0, 12, 3]];
    let batch = Batch::new(documents);
    let model = encoder(Pooling::First);
    let weights = Weights::initialise(&Arc::clone(model.schema()), 5, Precision::F32).tracked(|_| true);
    for rows in [&[1, 3, 9][..], &[14], &(0..15).collect::<Vec<u32>>()] {
        let targets: Vec<u32> = rows.iter().map(|row| 3 * row % 40).collect();
        let run = |last: &Tensor, pass: &mut Pass| {
            let state = model.before_head(&weights, last, pass);
            let loss = state.linear_cross_entropy(&model.head(&weights), &targets, 0.0, None);
            (last.data().to_vec(), gradients_of(&loss, &weights))
        };
        let mut pass = Pass::plain();
        let whole = model.hidden(&weights, &batch, &mut pass);
        let (whole, whole_gradients) = run(&whole.last().unwrap().select_rows(rows), &mut pass);
        let mut pass = Pass::plain().of_rows(rows);
        let states = model.hidden(&weights, &batch, &mut pass);
        assert_eq!((states.len(), states[0].rows()), (1, rows.len()));
        let (some, gradients) = run(&pass.states_of_rows(&states[0], &batch), &mut pass);
        assert!(are_near(&some, &whole), "{rows:?}: {some:?} is not {whole:?}");
        assert!(whole_gradients.iter().flatten().any(|x| x.abs() > 1e-3));
        assert_eq!(gradients.len(), whole_gradients.len());
        assert!(gradients.iter().zip(&whole_gradients).all(|(a, b)| are_near(a, b)), "{rows:?}: gradients differ");
    }
}
