//! Recipes, plans, stages and the report: from a folder of text to a bundle.
//!
//! A person writes a [`Recipe`]; [`run`] goes through its stages, each a function from immutable artifacts to the next,
//! and ends with a bundle and a [`report::Report`]. What was made before is found again by the hash of what made it.

mod assemble;
mod chain;
mod clean;
mod data;
mod depends;
mod error;
mod measure;
pub mod new;
mod next_steps;
mod observer;
mod plan;
mod recipe;
pub mod report;
mod run;
mod stages;

pub use clean::{Leftover, clean};
pub use data::{DataSource, Texts};
pub use error::Error;
pub use measure::{Measurement, labelled_texts, measure};
pub use observer::{Observer, Silent};
pub use plan::{PlannedStage, plan};
pub use recipe::{
    DataSection, EvaluateSection, FILE, ModelSection, PruneSection, Recipe, RecipeText, StudentSection, TeacherSection,
    TokenizerSection, TrainingSection,
};
pub use run::{Goal, Model, Outcome, RunOptions, make, run};
