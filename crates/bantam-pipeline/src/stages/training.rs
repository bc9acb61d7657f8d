//! What the training stages share: plans from sections, a checkpoint in the artifact's folder, curves for the report.

use bantam_artifact::{Artifact, Work, write_atomic};
use bantam_model::Weights;
use bantam_train::{Checkpoint, Objective, OptimizerPlan, Schedule, TrainError, TrainPlan, train};
use serde::{Deserialize, Serialize};

use super::corpus::read_json;
use crate::observer::TrainingWatch;
use crate::{Error, Observer, TrainingSection};

/// Seconds between checkpoints.
const CHECKPOINT_SECONDS: u64 = 15;

/// Losses and qualities over a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Curves {
    pub(crate) losses: Vec<(usize, f64)>,
    pub(crate) validations: Vec<(usize, f64)>,
}

impl Curves {
    pub(crate) const FILE: &str = "curves.json";

    pub(crate) fn load(artifact: &Artifact) -> Result<Self, Error> {
        read_json(&artifact.path(Self::FILE))
    }
}

/// A plan for `texts` seen `batch` at a time.
pub(crate) fn plan(section: &TrainingSection, texts: usize, batch: usize, seed: u64) -> TrainPlan {
    let steps = |epochs: f64| (epochs * texts as f64 / batch.min(texts).max(1) as f64).ceil() as usize;
    let all = steps(section.epochs);
    TrainPlan {
        steps: all,
        micro_batches: 1,
        warmup_steps: (section.warmup * all as f64) as usize,
        schedule: Schedule::Cosine { last: 0.0 },
        optimizer: OptimizerPlan {
            learning_rate: section.learning_rate,
            muon_rate: section.muon_rate,
            table_rate: section.table_rate,
            weight_decay: section.weight_decay,
            ..OptimizerPlan::default()
        },
        clip: 1.0,
        averaging: section.averaging,
        validate_every: steps(section.validate_every),
        patience: 0,
        checkpoint_seconds: CHECKPOINT_SECONDS,
        seed,
    }
}

/// Trains in the folder of `work`, from its checkpoint if it has one.
pub(crate) fn train_in(
    work: &Work,
    stage: &'static str,
    objective: &dyn Objective,
    weights: &Weights,
    plan: &TrainPlan,
    observer: &mut dyn Observer,
) -> Result<Weights, Error> {
    let checkpoint = Checkpoint::new(&work.path(".checkpoint"));
    let mut watch = TrainingWatch { observer, validation: None };
    let trained = train(objective, weights, plan, Some(&checkpoint), &mut watch).map_err(|source| match source {
        TrainError::Interrupted { .. } => Error::Stopped,
        source => Error::Train { stage, source },
    })?;
    let curves = Curves { losses: trained.losses, validations: trained.validations };
    write_atomic(&work.path(Curves::FILE), &serde_json::to_vec(&curves).expect("plain data"))?;
    Ok(trained.weights)
}
