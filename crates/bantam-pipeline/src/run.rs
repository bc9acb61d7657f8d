//! The main job, from a recipe to its bundle and report, and its parts: following a recipe as far as one model.

use std::path::{Path, PathBuf};

use bantam_artifact::{Artifact, Lock, Store, create_folder, remove_leftovers, write_atomic};
use bantam_eval::{Outcomes, scores_of};
use bantam_kernels::gemm::Precision;
use serde::Serialize;

use crate::chain::{Chain, folder_bytes, parts, shipped};
use crate::report::{HTML_FILE, Report};
use crate::stages::bundle;
use crate::stages::corpus::Corpus;
use crate::stages::ensemble::Ensemble;
use crate::stages::evaluation::{Figures, Scorer, Subject};
use crate::stages::model;
use crate::stages::training::Curves;
use crate::{DataSource, Error, Observer, Recipe, assemble};

/// Where a run reads and writes.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOptions {
    /// Where the texts come from.
    pub source: DataSource,
    /// The folder for the report, the bundle and the artifacts.
    pub out: PathBuf,
}

/// What a run leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Everything that was measured.
    pub report: Report,
    /// The bundle.
    pub bundle: PathBuf,
    /// The page.
    pub page: PathBuf,
    /// Whether every stage was found done.
    pub is_cached: bool,
}

/// A model on a recipe's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The big model, trained: a Hugging Face folder.
    Teacher,
    /// The small model, distilled from it: a Hugging Face folder.
    Student,
    /// The small model without what the domain uses least: a Hugging Face folder.
    Pruned,
    /// The small model in eight bits with all it needs: a bundle.
    Bundle,
}

/// A model that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// Its folder or file. Further members of a teacher stand beside the first: `teacher-2`, ...
    pub path: PathBuf,
    /// Numbers that were learnt.
    pub parameters: u64,
    /// Size on disk.
    pub bytes: u64,
    /// Share of the validation texts of the labels that it answers rightly. The test texts stay unseen.
    pub validation_accuracy: f64,
}

/// The artifacts that the report is made from.
pub(crate) struct Made {
    pub(crate) corpus: Corpus,
    pub(crate) figures: Figures,
    pub(crate) curves: Vec<(&'static str, Curves)>,
    pub(crate) seconds: Vec<(&'static str, f64)>,
    pub(crate) temperature: f64,
    pub(crate) threshold: Option<f32>,
    pub(crate) peak_bytes: u64,
}

/// Runs a recipe. What is there already is not made again.
///
/// # Errors
/// What is wrong, where, and what to do. Nothing half-made is left where a finished thing belongs.
pub fn run(recipe: &Recipe, options: &RunOptions, observer: &mut dyn Observer) -> Result<Outcome, Error> {
    follow(recipe, options, observer, |mut chain| {
        let curated = chain.curated(&options.source)?;
        let teacher = chain.teacher(&curated)?;
        let distilled = chain.student(&curated, &teacher)?;
        let pruned = chain.pruned(&curated, &distilled)?;
        let bundle = chain.bundle(&curated, &pruned)?;
        let figures = chain.evaluation(&curated, &teacher, &distilled.student, &pruned, &bundle)?;
        let path = place_bundle(recipe, options, &bundle)?;
        let parts = parts(&path)?;
        let Chain { curves, seconds, peak_bytes, is_cached, .. } = chain;
        let (temperature, threshold) = (parts.temperature, parts.threshold);
        let made = Made { corpus: curated.corpus, figures, curves, seconds, temperature, threshold, peak_bytes };
        let report = assemble::report(recipe, &made, &path)?;
        report.write(&options.out)?;
        Ok(Outcome { report, bundle: path, page: options.out.join(HTML_FILE), is_cached })
    })
}

/// Follows a recipe as far as one model and puts that into the output folder: `teacher`, `student`, `pruned`, or the bundle.
/// What is there already is not made again; a later [`run`] finds all of it.
///
/// # Errors
/// As [`run`].
pub fn make(recipe: &Recipe, options: &RunOptions, goal: Goal, observer: &mut dyn Observer) -> Result<Model, Error> {
    follow(recipe, options, observer, |mut chain| {
        let curated = chain.curated(&options.source)?;
        let teacher = chain.teacher(&curated)?;
        let place = |name: &str, artifact: &Artifact| place_folder(&options.out.join(name), artifact);
        if goal == Goal::Teacher {
            let path = place("teacher", &teacher.members[0])?;
            for (index, member) in teacher.members.iter().enumerate().skip(1) {
                place(&format!("teacher-{}", index + 1), member)?;
            }
            let bytes = teacher.artifacts().map(folder_bytes).sum();
            return Ok(told(path, &Ensemble::load(&teacher, &curated.corpus, Precision::F32)?, bytes, &curated.corpus));
        }
        let distilled = chain.student(&curated, &teacher)?;
        let made = match goal {
            Goal::Student => distilled.student,
            _ => chain.pruned(&curated, &distilled)?,
        };
        if goal == Goal::Bundle {
            let path = place_bundle(recipe, options, &chain.bundle(&curated, &made)?)?;
            let (classifier, bytes) = shipped(&path)?;
            return Ok(told(path, &classifier, bytes, &curated.corpus));
        }
        let path = place(if goal == Goal::Student { "student" } else { "pruned" }, &made)?;
        Ok(told(path, &model::load(made.folder(), Precision::F32)?, folder_bytes(&made), &curated.corpus))
    })
}

/// Opens the artifacts for one run alone.
fn follow<T>(
    recipe: &Recipe,
    options: &RunOptions,
    observer: &mut dyn Observer,
    steps: impl FnOnce(Chain) -> Result<T, Error>,
) -> Result<T, Error> {
    let artifacts = options.out.join("artifacts");
    let store = Store::open(&artifacts)?;
    let _lock = Lock::take(&artifacts.join(".lock"))?;
    remove_leftovers(&options.out)?;
    let (seconds, curves) = (Vec::new(), Vec::new());
    steps(Chain { recipe, store, observer, seconds, curves, peak_bytes: 0, is_cached: true })
}

fn place_bundle(recipe: &Recipe, options: &RunOptions, bundle: &Artifact) -> Result<PathBuf, Error> {
    let path = options.out.join(format!("{}.bantam", recipe.text.name));
    write_atomic(&path, &bantam_artifact::read(&bundle.path(bundle::FILE))?)?;
    Ok(path)
}

/// Copies a model's files out of the artifacts, where they are named by hashes.
fn place_folder(folder: &Path, artifact: &Artifact) -> Result<PathBuf, Error> {
    create_folder(folder)?;
    remove_leftovers(folder)?;
    for file in artifact.manifest().files.iter().filter(|file| file.name != Curves::FILE) {
        write_atomic(&folder.join(&file.name), &bantam_artifact::read(&artifact.path(&file.name))?)?;
    }
    Ok(folder.to_owned())
}

/// What is told of a model: the validation texts are asked, the test texts stay unseen.
fn told(path: PathBuf, scorer: &dyn Scorer, bytes: u64, corpus: &Corpus) -> Model {
    let validation = corpus.examples(&corpus.validation);
    let scores = scores_of(&Subject { name: "model", scorer, bytes }, &validation.texts());
    let outcomes = Outcomes::new(corpus.account.labels.len(), validation.labels(), &scores, 1.0);
    let right = outcomes.right();
    let inside: Vec<bool> = outcomes.in_scope().map(|(index, _)| right[index]).collect();
    let validation_accuracy = inside.iter().filter(|&&right| right).count() as f64 / inside.len().max(1) as f64;
    Model { path, parameters: scorer.parameters(), bytes, validation_accuracy }
}
