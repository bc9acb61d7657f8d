//! Runs of the whole loop on a small decoder: it learns, it is deterministic, and a broken run equals an unbroken one.

use bantam_kernels::gemm::Precision;
use bantam_model::Weights;
use bantam_model::architectures::Architecture;
use bantam_model::architectures::llama::{Llama, LlamaConfig};
use bantam_train::objectives::NextToken;
use bantam_train::{
    Checkpoint, Control, OptimizerPlan, Progress, Quiet, Schedule, TrainError, TrainPlan, Watch, train,
};

fn model() -> Llama {
    Llama::new(LlamaConfig {
        vocab_size: 16,
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        head_dim: None,
        max_position_embeddings: 32,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        tie_word_embeddings: true,
        variant: Default::default(),
    })
}

/// Counting upwards from different numbers: each token but the first follows from the one before.
fn rows() -> Vec<Vec<u32>> {
    (0..16).map(|start| (0..12).map(|step| (start + step) % 16).collect()).collect()
}

fn plan(steps: usize) -> TrainPlan {
    TrainPlan {
        steps,
        micro_batches: 2,
        warmup_steps: 5,
        schedule: Schedule::Cosine { last: 0.1 },
        optimizer: OptimizerPlan { learning_rate: 5e-3, ..OptimizerPlan::default() },
        clip: 1.0,
        averaging: 0.9,
        validate_every: 10,
        patience: 0,
        checkpoint_seconds: 0,
        seed: 3,
    }
}

struct StopAt(usize);

impl Watch for StopAt {
    fn step(&mut self, progress: &Progress) -> Control {
        if progress.step == self.0 { Control::Stop } else { Control::Continue }
    }
}

/// A run's last weights at a few of its steps are what its average is made of: with a constant rate, shorter runs end with them.
#[test]
fn the_average_is_that_of_every_eighth_step_and_of_the_last() {
    let (model, rows) = (model(), rows());
    let objective = NextToken::new(&model, &rows, &[], 4, 0.0, 1);
    let numbers = |steps: usize, averaging: f32| -> Vec<f32> {
        let schedule = Schedule::Cosine { last: 1.0 };
        let plan = TrainPlan { averaging, schedule, validate_every: 0, ..plan(steps) };
        let weights = Weights::initialise(model.schema(), 1, Precision::F32);
        let trained = train(&objective, &weights, &plan, None, &mut Quiet).expect("nothing stops it");
        trained.weights.tensors().flat_map(|(_, tensor)| tensor.data().to_vec()).collect()
    };
    let start = Weights::initialise(model.schema(), 1, Precision::F32);
    let mut expected: Vec<f64> = start.tensors().flat_map(|(_, x)| x.data().to_vec()).map(f64::from).collect();
    for steps in [1..=8, 9..=16, 17..=19] {
        let keep: f64 = steps.clone().map(|step| (f64::from(1 + step) / f64::from(10 + step)).min(0.9)).product();
        let weights = numbers(*steps.end() as usize, 0.0);
        expected.iter_mut().zip(weights).for_each(|(mean, x)| *mean = keep * *mean + (1.0 - keep) * f64::from(x));
    }
    for (mean, expected) in numbers(19, 0.9).into_iter().zip(expected) {
        assert!((f64::from(mean) - expected).abs() < 1e-6, "{mean}, expected {expected}");
    }
}

#[test]
fn a_decoder_learns_to_count() {
    let (model, rows) = (model(), rows());
    for muon_rate in [0.0, 0.02] {
        let mut plan = plan(60);
        plan.optimizer.muon_rate = muon_rate;
        let objective = NextToken::new(&model, &rows, &rows, 4, 0.0, 1);
        let weights = Weights::initialise(model.schema(), 1, Precision::F32);
        let trained = train(&objective, &weights, &plan, None, &mut Quiet).unwrap();
        let (_, first) = trained.losses[0];
        let (_, last) = trained.validations[trained.validations.len() - 1];
        assert!((first - 16f64.ln()).abs() < 0.3, "the loss begins at chance, not {first}");
        // Every token but the first is certain: what is left must be a small part of chance.
        assert!(-last < 16f64.ln() / 10.0, "after 60 steps with muon {muon_rate} the validation loss is {}", -last);
    }
}

#[test]
fn a_run_that_was_stopped_ends_with_the_same_bytes() {
    let (model, rows) = (model(), rows());
    let objective = NextToken::new(&model, &rows, &rows, 4, 0.1, 1);
    let weights = Weights::initialise(model.schema(), 1, Precision::F32);
    let whole = train(&objective, &weights, &plan(20), None, &mut Quiet).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::new(&folder.path().join("checkpoint"));
    for stop in [3, 13] {
        let error = train(&objective, &weights, &plan(20), Some(&checkpoint), &mut StopAt(stop)).err().unwrap();
        assert!(matches!(error, TrainError::Interrupted { step } if step == stop), "{error}");
    }
    let broken = train(&objective, &weights, &plan(20), Some(&checkpoint), &mut Quiet).unwrap();
    assert_eq!(whole.weights.to_arrays(), broken.weights.to_arrays());
    assert_eq!((whole.losses, whole.validations), (broken.losses, broken.validations));
}

#[test]
fn an_absurd_learning_rate_is_told_and_not_followed() {
    let (model, rows) = (model(), rows());
    let objective = NextToken::new(&model, &rows, &[], 4, 0.0, 1);
    let weights = Weights::initialise(model.schema(), 1, Precision::F32);
    let mut plan = plan(400);
    plan.optimizer.learning_rate = 1e30;
    plan.clip = 0.0;
    let error = train(&objective, &weights, &plan, None, &mut Quiet).err().unwrap();
    assert!(error.to_string().contains("lower the learning rate"), "{error}");
}
