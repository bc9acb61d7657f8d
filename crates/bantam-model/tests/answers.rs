//! A pass of which only the answers are wanted leaves work out, and gives the scores and gradients of a whole one.

use std::sync::Arc;

use bantam_kernels::gemm::Precision;
use bantam_model::architectures::encoder::{Encoder, EncoderConfig};
use bantam_model::architectures::{Architecture, Classifier};
use bantam_model::layers::Pooling;
use bantam_model::{Batch, Pass, Weights};
use bantam_tensor::one_hot;

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
            let gradients = loss.backward();
            let gradients: Vec<Vec<f32>> =
                weights.tensors().map(|(_, tensor)| gradients.get(tensor).expect("all learn").to_vec()).collect();
            let rows = answer.hidden.last().unwrap().rows();
            (answer.logits.data().to_vec(), gradients, rows)
        };
        let (whole, whole_gradients, rows) = run(Pass::plain());
        assert_eq!(rows, 16);
        let (answers, gradients, rows) = run(Pass::answer());
        // The first token's states are all that is made of the last layer where nothing else is read.
        assert_eq!(rows, if pooling == Pooling::First { 4 } else { 16 });
        let near = |a: &[f32], b: &[f32]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near(&answers, &whole), "{pooling:?}: {answers:?} is not {whole:?}");
        assert!(whole_gradients.iter().flatten().any(|x| x.abs() > 1e-3));
        assert!(gradients.iter().zip(&whole_gradients).all(|(a, b)| near(a, b)), "{pooling:?}: gradients differ");
    }
}
