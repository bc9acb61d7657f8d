//! The main job, from a recipe to its bundle and report, and its parts: following a recipe as far as one model.

use std::path::{Path, PathBuf};

use bantam_artifact::{Artifact, Lock, Store, create_folder, remove_leftovers, write_atomic};
use bantam_eval::Classifier;
use bantam_eval::baselines::TfidfSvm;
use bantam_kernels::gemm::Precision;
use serde::Serialize;

use crate::chain::{Chain, folder_bytes, parts, shipped};
use crate::report::{HTML_FILE, Report};
use crate::stages::corpus::Corpus;
use crate::stages::ensemble::{Ensemble, Taught};
use crate::stages::evaluation::{Figures, Subject};
use crate::stages::training::Curves;
use crate::stages::{baseline, bundle, model};
use crate::{DataSource, Error, Observer, Recipe, assemble};

/// Where a run reads and writes.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOptions {
    /// Where the texts come from.
    pub source: DataSource,
    /// The folder for the report, the bundle and the artifacts.
    pub out: PathBuf,
}

impl RunOptions {
    /// Where stages keep their results.
    pub(crate) fn artifacts(&self) -> PathBuf {
        self.out.join("artifacts")
    }

    /// The results of stages, for one process alone while the lock is held.
    pub(crate) fn store(&self) -> Result<(Store, Lock), Error> {
        let artifacts = self.artifacts();
        Ok((Store::open(&artifacts)?, Lock::take(&artifacts.join(".lock"))?))
    }
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
    /// What it is.
    pub name: String,
    /// Its folder or file; that of the first part where several answer together.
    pub path: PathBuf,
    /// Numbers that were learnt.
    pub parameters: u64,
    /// Size on disk.
    pub bytes: u64,
    /// Share of the validation texts of the labels that it answers rightly. The test texts stay unseen.
    pub validation_accuracy: f64,
    /// The models that answer together as this one, each in a folder of its own: `teacher`, `teacher-2`, ..., `teacher-linear`. Empty
    /// where there is one alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Model>,
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

/// Follows a recipe as far as one model and puts that into the output folder: `teacher` (and beside it whatever answers with it),
/// `student`, `pruned`, or the bundle.
/// What is there already is not made again; a later [`run`] finds all of it.
///
/// # Errors
/// As [`run`].
pub fn make(recipe: &Recipe, options: &RunOptions, goal: Goal, observer: &mut dyn Observer) -> Result<Model, Error> {
    follow(recipe, options, observer, |mut chain| {
        let curated = chain.curated(&options.source)?;
        let teacher = chain.teacher(&curated)?;
        if goal == Goal::Teacher {
            return placed_teacher(&options.out, &teacher, &curated.corpus);
        }
        let distilled = chain.student(&curated, &teacher)?;
        let made = match goal {
            Goal::Student => distilled.student,
            _ => chain.pruned(&curated, &distilled)?,
        };
        if goal == Goal::Bundle {
            let path = place_bundle(recipe, options, &chain.bundle(&curated, &made)?)?;
            let (classifier, bytes) = shipped(&path)?;
            let subject = Subject { name: "bundle", scorer: &classifier, bytes };
            return Ok(told(path, &subject, &curated.corpus));
        }
        let name = if goal == Goal::Student { "student" } else { "pruned" };
        let path = place_folder(&options.out.join(name), &made)?;
        told_folder(name, path, &made, &curated.corpus)
    })
}

/// Opens the artifacts for one run alone.
fn follow<T>(
    recipe: &Recipe,
    options: &RunOptions,
    observer: &mut dyn Observer,
    steps: impl FnOnce(Chain) -> Result<T, Error>,
) -> Result<T, Error> {
    let (store, _lock) = options.store()?;
    remove_leftovers(&options.out)?;
    let (seconds, curves) = (Vec::new(), Vec::new());
    steps(Chain { recipe, store, observer, seconds, curves, peak_bytes: 0, is_cached: true, found: Vec::new() })
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

/// All folders of a teacher, and what they answer together.
fn placed_teacher(out: &Path, teacher: &Taught, corpus: &Corpus) -> Result<Model, Error> {
    let mut parts = Vec::new();
    let all = teacher.members.len();
    for (index, member) in teacher.members.iter().enumerate() {
        let folder = if index == 0 { "teacher".to_owned() } else { format!("teacher-{}", index + 1) };
        let path = place_folder(&out.join(folder), member)?;
        parts.push(told_folder(&format!("member {} of {all}", index + 1), path, member, corpus)?);
    }
    if let Some(linear) = &teacher.linear {
        let path = place_folder(&out.join("teacher-linear"), linear)?;
        let svm = TfidfSvm::load(&linear.path(baseline::FILE))?;
        let name = "linear model".to_owned();
        parts.push(Model { name, bytes: folder_bytes(linear), ..told(path, &svm, corpus) });
    }
    if parts.len() == 1 {
        return Ok(Model { name: "teacher".to_owned(), ..parts.remove(0) });
    }
    let ensemble = Ensemble::load(teacher, corpus, Precision::F32)?;
    let bytes = teacher.artifacts().map(folder_bytes).sum();
    let subject = Subject { name: "teacher", scorer: &ensemble, bytes };
    Ok(Model { parts: parts.clone(), ..told(parts[0].path.clone(), &subject, corpus) })
}

/// What is told of the model in a folder.
fn told_folder(name: &str, path: PathBuf, artifact: &Artifact, corpus: &Corpus) -> Result<Model, Error> {
    let classifier = model::load(artifact.folder(), Precision::F32)?;
    Ok(told(path, &Subject { name, scorer: &classifier, bytes: folder_bytes(artifact) }, corpus))
}

/// What is told of a model: the validation texts are asked, the test texts stay unseen.
fn told(path: PathBuf, classifier: &dyn Classifier, corpus: &Corpus) -> Model {
    let validation_accuracy = corpus.validation_accuracy(classifier);
    let (name, parts) = (classifier.name().to_owned(), Vec::new());
    Model { name, path, parameters: classifier.parameters(), bytes: classifier.bytes(), validation_accuracy, parts }
}
