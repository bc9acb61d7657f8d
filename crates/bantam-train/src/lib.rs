//! Training: objectives, optimisers, schedules, the loop and its checkpoints.
//!
//! [`train`] is the one loop. What is learned is an [`Objective`] (a file each in [`objectives`]); how, a
//! [`TrainPlan`]. A run can be stopped at any step and continues to the same bytes.

mod checkpoint;
mod divergence;
pub mod objectives;
mod optimizers;
mod schedule;
mod trainer;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use optimizers::OptimizerPlan;
pub use schedule::Schedule;
pub use trainer::{Control, Objective, Progress, Quiet, StepContext, TrainError, TrainPlan, Trained, Watch, train};
