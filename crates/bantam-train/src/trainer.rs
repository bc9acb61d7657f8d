//! The one training loop: every objective, optimiser and stage of a model's life goes through it.

use std::time::{Duration, Instant};

use bantam_kernels::gemm::Precision;
use bantam_kernels::vector::mix;
use bantam_model::arrays::Arrays;
use bantam_model::schema::Entry;
use bantam_model::{Random, Weights};
use bantam_tensor::{Gradients, Tensor};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, CheckpointError, State};
use crate::divergence::Divergence;
use crate::optimizers::{Optimizer, OptimizerPlan};
use crate::schedule::Schedule;

/// Steps after which the average of the weights follows them: few beside those that it remembers.
const AVERAGE_EVERY: usize = 8;

/// What is learned: a loss, and if it can be told, how good the weights are on data they do not learn from.
pub trait Objective {
    /// The mean loss of one micro-batch, which the objective draws from its data by `context` alone: so a run that
    /// continues sees the same batches as an unbroken one.
    fn loss(&self, weights: &Weights, context: &mut StepContext) -> Tensor;

    /// Tokens in the batches of one step, for the tokens per second that progress shows.
    fn tokens_per_step(&self) -> usize;

    /// Quality on validation data, higher is better; `None` where there is no such data.
    fn validate(&self, weights: &Weights) -> Option<f64>;

    /// Which weights learn.
    fn learns(&self, _: &Entry) -> bool {
        true
    }
}

/// Where in the run a micro-batch is, and its random numbers.
pub struct StepContext {
    /// Step, from 0.
    pub step: usize,
    /// Micro-batches before this one in the whole run.
    pub micro_batch: usize,
    /// Random numbers that depend on the seed and the micro-batch only.
    pub random: Random,
}

/// How a run goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainPlan {
    /// Optimiser steps.
    pub steps: usize,
    /// Micro-batches whose gradients make one step.
    pub micro_batches: usize,
    /// Steps over which the learning rate rises.
    pub warmup_steps: usize,
    /// The learning rate after that.
    pub schedule: Schedule,
    /// The optimiser's numbers.
    pub optimizer: OptimizerPlan,
    /// Gradients are scaled down to this global norm; 0 leaves them.
    pub clip: f32,
    /// Decay per step of the exponential average of the weights, which is what a run returns; 0 returns the last weights.
    pub averaging: f32,
    /// Validation after every so many steps; 0 validates at the end only.
    pub validate_every: usize,
    /// Validations without improvement after which the run ends; 0 never ends early.
    pub patience: usize,
    /// Seconds between checkpoints.
    pub checkpoint_seconds: u64,
    /// Everything random follows from it.
    pub seed: u64,
}

impl TrainPlan {
    /// Whether a look at validation data follows so many steps.
    fn validates_after(&self, step: usize) -> bool {
        self.validate_every > 0 && (step.is_multiple_of(self.validate_every) || step == self.steps)
    }
}

/// What a [`Watch`] is told after every step.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps planned.
    pub steps: usize,
    /// Mean loss of the step.
    pub loss: f64,
    /// Since the run, or its continuation, began.
    pub tokens_per_second: f64,
    /// Seconds left at this speed.
    pub seconds_left: f64,
    /// Quality on validation data, right after it was measured.
    pub validation: Option<f64>,
}

/// What the loop does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// Write a checkpoint and return [`TrainError::Interrupted`].
    Stop,
}

/// Follows a run, and may stop it.
pub trait Watch {
    /// Called after every step.
    fn step(&mut self, progress: &Progress) -> Control;
}

/// Follows a run in silence.
pub struct Quiet;

impl Watch for Quiet {
    fn step(&mut self, _: &Progress) -> Control {
        Control::Continue
    }
}

/// Why a run did not end as planned.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The watch said stop; the checkpoint holds everything.
    #[error("stopped after step {step}; the same command continues from there")]
    Interrupted {
        /// Steps done.
        step: usize,
    },
    /// The loss is no longer a number, or far above where it was.
    #[error(
        "training diverged at step {step}: {what}; lower the learning rate (it was {learning_rate}), or lengthen the warm-up"
    )]
    Diverged {
        /// The step.
        step: usize,
        /// What was seen.
        what: String,
        /// The peak learning rate.
        learning_rate: f32,
    },
    /// A checkpoint could not be written or does not belong to this run.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A finished run.
pub struct Trained {
    /// The weights to keep: the average or the last, and the best where validation chose.
    pub weights: Weights,
    /// Step and loss, thinned to at most about 500 points.
    pub losses: Vec<(usize, f64)>,
    /// Step and quality on validation data.
    pub validations: Vec<(usize, f64)>,
    /// Steps done, fewer than planned when the run ended early.
    pub steps: usize,
}

/// Runs `plan` on `weights`. With a checkpoint, the run saves itself there and continues from what it finds.
///
/// # Errors
/// When the watch stops the run, when it diverges, or when a checkpoint cannot be written.
pub fn train(
    objective: &dyn Objective,
    weights: &Weights,
    plan: &TrainPlan,
    checkpoint: Option<&Checkpoint>,
    watch: &mut dyn Watch,
) -> Result<Trained, TrainError> {
    let mut run = Run::new(objective, weights, plan);
    if let Some(state) = checkpoint.map(Checkpoint::read).transpose()?.flatten() {
        run.restore(state, checkpoint.expect("the state came from it"))?;
    }
    let (began, first_step) = (Instant::now(), run.state.step);
    let mut saved = Instant::now();
    while run.state.step < plan.steps && !run.is_over() {
        let loss = run.step()?;
        let validation = run.validate_if_due();
        let done = run.state.step;
        let seconds = began.elapsed().as_secs_f64() / (done - first_step) as f64;
        let progress = Progress {
            step: done,
            steps: plan.steps,
            loss,
            tokens_per_second: objective.tokens_per_step() as f64 / seconds,
            seconds_left: seconds * (plan.steps - done) as f64,
            validation,
        };
        let stop = watch.step(&progress) == Control::Stop;
        if let Some(checkpoint) = checkpoint
            && (stop || saved.elapsed() >= Duration::from_secs(plan.checkpoint_seconds))
        {
            checkpoint.write(&run.snapshot())?;
            saved = Instant::now();
        }
        if stop {
            return Err(TrainError::Interrupted { step: done });
        }
    }
    Ok(run.finish())
}

/// A run between two steps.
struct Run<'a> {
    objective: &'a dyn Objective,
    plan: &'a TrainPlan,
    weights: Weights,
    optimizer: Optimizer,
    average: Option<Weights>,
    state: State,
    divergence: Divergence,
}

impl<'a> Run<'a> {
    fn new(objective: &'a dyn Objective, weights: &Weights, plan: &'a TrainPlan) -> Self {
        let weights = weights.detached_copy().tracked(|entry| objective.learns(entry));
        let optimizer = Optimizer::new(plan.optimizer.clone(), &weights);
        let average = (plan.averaging > 0.0).then(|| weights.detached_copy());
        Self {
            objective,
            plan,
            weights,
            optimizer,
            average,
            state: State::default(),
            divergence: Divergence::default(),
        }
    }

    fn step(&mut self) -> Result<f64, TrainError> {
        let (step, micro_batches) = (self.state.step, self.plan.micro_batches.max(1));
        let mut gradients = Gradients::default();
        let mut loss = 0.0;
        for index in 0..micro_batches {
            let micro_batch = step * micro_batches + index;
            let random = Random::new(self.plan.seed, micro_batch as u64 + 1);
            let mean = self.objective.loss(&self.weights, &mut StepContext { step, micro_batch, random });
            loss += f64::from(mean.item()) / micro_batches as f64;
            mean.backward_into(&mut gradients);
        }
        let share = self.plan.schedule.share(step, self.plan.steps, self.plan.warmup_steps);
        let norm = gradients.sum_squares().sqrt() / micro_batches as f64;
        if let Some(what) = self.divergence.judge(loss, norm) {
            let learning_rate = self.plan.optimizer.learning_rate;
            return Err(TrainError::Diverged { step, what, learning_rate });
        }
        let clip = f64::from(self.plan.clip);
        let shrink = if clip > 0.0 && norm > clip { clip / norm } else { 1.0 };
        let scale = (shrink / micro_batches as f64) as f32;
        self.state.step += 1;
        self.optimizer.step(&mut self.weights, &mut gradients, share, scale);
        self.average_if_due();
        self.state.record_loss(loss, self.plan.steps);
        Ok(loss)
    }

    /// Lets the average follow the weights: every few steps for all of those, since it reads and writes every number, which the optimiser of large
    /// tables does not, and before it is looked at.
    fn average_if_due(&mut self) {
        let (plan, step) = (self.plan, self.state.step);
        let is_due =
            |step: usize| step.is_multiple_of(AVERAGE_EVERY) || step == plan.steps || plan.validates_after(step);
        let Some(average) = self.average.as_mut().filter(|_| is_due(step)) else { return };
        // Early on it follows more closely, so that it does not remember the random start.
        let keep_of = |step: usize| plan.averaging.min((1.0 + step as f32) / (10.0 + step as f32));
        let since = (1..step).rev().take_while(|&before| !is_due(before));
        let keep = since.map(keep_of).fold(keep_of(step), |all, keep| all * keep);
        for ((_, average), (_, weights)) in average.tensors_mut().zip(self.weights.tensors()) {
            mix(average.data_mut(), keep, weights.data());
        }
    }

    fn validate_if_due(&mut self) -> Option<f64> {
        let step = self.state.step;
        if !self.plan.validates_after(step) {
            return None;
        }
        let quality = self.objective.validate(&self.current())?;
        self.state.validations.push((step, quality));
        let better = self.state.best.as_ref().is_none_or(|(best, _)| quality > *best);
        if better {
            self.state.best = Some((quality, self.current().to_arrays()));
            self.state.since_best = 0;
        } else {
            self.state.since_best += 1;
        }
        Some(quality)
    }

    fn is_over(&self) -> bool {
        self.plan.patience > 0 && self.state.since_best >= self.plan.patience
    }

    /// The weights as they would be kept now.
    fn current(&self) -> Weights {
        self.average.as_ref().unwrap_or(&self.weights).tracked(|_| false).detached_copy()
    }

    fn snapshot(&self) -> State {
        let mut state = self.state.clone();
        state.weights = self.weights.to_arrays();
        state.average = self.average.as_ref().map(Weights::to_arrays);
        state.moments = self.optimizer.moments().iter().map(|(a, b)| (a.to_vec(), b.to_vec())).collect();
        state
    }

    fn restore(&mut self, state: State, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let schema = self.weights.schema();
        let lay_out =
            |arrays: &Arrays| Weights::from_arrays(schema, arrays, Precision::F32).map_err(|_| checkpoint.foreign());
        let (loaded, average) = (lay_out(&state.weights)?, state.average.as_ref().map(lay_out).transpose()?);
        if average.is_some() != self.average.is_some() || !self.optimizer.restore(state.step, &state.moments) {
            return Err(checkpoint.foreign().into());
        }
        for ((_, mine), (_, theirs)) in self.weights.tensors_mut().zip(loaded.tensors()) {
            mine.data_mut().copy_from_slice(theirs.data());
        }
        self.average = average;
        self.state = State { weights: Arrays::new(), average: None, moments: Vec::new(), ..state };
        Ok(())
    }

    fn finish(self) -> Trained {
        let current = self.current();
        let best = self.state.best.filter(|_| self.plan.validate_every > 0);
        let weights = match best {
            Some((_, arrays)) => {
                let mut weights = current;
                let best = Weights::from_arrays(weights.schema(), &arrays, Precision::F32)
                    .expect("the best weights were taken from this very run");
                for ((_, mine), (_, theirs)) in weights.tensors_mut().zip(best.tensors()) {
                    mine.data_mut().copy_from_slice(theirs.data());
                }
                weights
            }
            None => current,
        };
        Trained { weights, losses: self.state.losses, validations: self.state.validations, steps: self.state.step }
    }
}
