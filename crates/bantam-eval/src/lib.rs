//! Quality, calibration and cost of classifiers, the trivial baselines that a model has to beat, and in [`language`] how well language models
//! predict text.
//!
//! A model enters as a [`Classifier`]: texts in, one score per class out. [`evaluate`] fits its temperature and chooses its
//! thresholds on validation data, then measures every metric of [`METRICS`] once on test data. [`measure_cost`] times it on
//! this machine. Metrics are functions on plain data, so that each can be checked by hand.

pub mod baselines;
mod calibration;
mod classifier;
mod confusion;
mod cost;
mod error;
mod evaluation;
mod examples;
pub mod interval;
pub mod language;
pub mod metrics;
mod outcomes;
mod reliability;
pub mod temperature;
pub mod thresholds;

pub use baselines::BASELINES;
pub use calibration::Calibration;
pub use classifier::Classifier;
pub use confusion::{Confusion, confusions};
pub use cost::{Cost, CostOptions, measure_cost};
pub use error::Error;
pub use evaluation::{Evaluation, EvaluationOptions, evaluate, evaluate_calibrated, scores_of};
pub use examples::Examples;
pub use interval::{Difference, Interval};
pub use metrics::{Better, Evidence, METRICS, Metric};
pub use outcomes::Outcomes;
pub use reliability::{Bin, calibration_error, reliability};
