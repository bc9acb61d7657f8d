//! The main job: a recipe from its texts to its bundle, stage by stage.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bantam_artifact::bundle::LAYOUT;
use bantam_artifact::{Artifact, Key, Lock, Stage, Store, Work, remove_leftovers, write_atomic};
use bantam_eval::baselines::TfidfSvm;
use bantam_kernels::gemm::Precision;
use bantam_kernels::memory;
use bantam_runtime::{BundleParts, TextClassifier};
use bantam_tokens::Tokenizer;
use serde::Serialize;

use crate::report::{HTML_FILE, Report, Role};
use crate::stages::bundle::{self, Replies};
use crate::stages::corpus::{self, Corpus};
use crate::stages::evaluation::{self, Models, Subject};
use crate::stages::training::Curves;
use crate::stages::{baseline, model, pretraining, pruning, student, teacher, transfer, vocabulary};
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

/// Runs a recipe. What is there already is not made again.
///
/// # Errors
/// What is wrong, where, and what to do. Nothing half-made is left where a finished thing belongs.
pub fn run(recipe: &Recipe, options: &RunOptions, observer: &mut dyn Observer) -> Result<Outcome, Error> {
    let store = Store::open(&options.out.join("artifacts"))?;
    let _lock = Lock::take(&options.out.join("artifacts").join(".lock"))?;
    remove_leftovers(&options.out)?;
    let mut run = Run { store, observer, seconds: Vec::new(), peak_bytes: 0, is_cached: true };
    let made = run.stages(recipe, &options.source)?;
    let bundle = options.out.join(format!("{}.bantam", recipe.text.name));
    let bytes = bantam_artifact::read(&made.bundle.path(bundle::FILE))?;
    write_atomic(&bundle, &bytes)?;
    let report = assemble::report(recipe, &made, &run.seconds, &bundle)?;
    report.write(&options.out)?;
    Ok(Outcome { report, bundle, page: options.out.join(HTML_FILE), is_cached: run.is_cached })
}

/// The artifacts that the report is made from.
pub(crate) struct Made {
    pub(crate) corpus: Corpus,
    pub(crate) figures: evaluation::Figures,
    pub(crate) curves: Vec<(&'static str, Curves)>,
    pub(crate) bundle: Artifact,
    pub(crate) temperature: f64,
    pub(crate) threshold: Option<f32>,
    pub(crate) peak_bytes: u64,
}

struct Run<'a> {
    store: Store,
    observer: &'a mut dyn Observer,
    seconds: Vec<(&'static str, f64)>,
    /// Over all stages: timing the models begins the process's own count anew.
    peak_bytes: u64,
    is_cached: bool,
}

impl Run<'_> {
    /// One stage: looked up, or worked on and committed.
    fn stage(
        &mut self,
        name: &'static str,
        what: &str,
        settings: &impl Serialize,
        inputs: &[&Key],
        work: impl FnOnce(&Work, &mut dyn Observer) -> Result<(), Error>,
    ) -> Result<Artifact, Error> {
        if self.observer.is_stopped() {
            return Err(Error::Stopped);
        }
        let artifact = match self.store.stage(name, settings, inputs)? {
            Stage::Done(artifact) => {
                self.observer.stage(name, what, true);
                artifact
            }
            Stage::Open(open) => {
                self.is_cached = false;
                self.observer.stage(name, what, false);
                let began = Instant::now();
                work(&open, self.observer)?;
                open.commit(began.elapsed().as_secs_f64())?
            }
        };
        self.peak_bytes = self.peak_bytes.max(memory::peak_bytes());
        self.seconds.push((name, artifact.manifest().seconds));
        Ok(artifact)
    }

    fn stages(&mut self, recipe: &Recipe, source: &DataSource) -> Result<Made, Error> {
        let text = &recipe.text;
        let seed = text.seed;
        let keys = source.keys(recipe)?;
        let inputs: Vec<&Key> = keys.iter().collect();
        let settings = corpus::Settings { curate: &text.curate, held_out: text.data.held_out, seed };
        let read = (&text.data.read, &settings, format!("{source:?}"));
        let curated = self.stage("corpus", "reading and cleaning the texts", &read, &inputs, |work, _| {
            corpus::make(source.read(recipe)?, &settings, work)
        })?;
        let corpus = Corpus::load(&curated)?;
        corpus.account.warnings.iter().for_each(|warning| self.observer.note(warning));

        let svm =
            self.stage("baseline", "TF-IDF and a linear SVM, to be beaten", &LAYOUT, &[curated.key()], |work, _| {
                baseline::make(&corpus, work)
            })?;
        let tokens =
            self.stage("tokenizer", "learning the vocabulary", &text.tokenizer, &[curated.key()], |work, _| {
                vocabulary::make(&corpus, &text.tokenizer, work)
            })?;
        let tokenizer = Tokenizer::load(tokens.path("tokenizer.json"))?;

        let mut curves = Vec::new();
        let section = &text.teacher;
        let base = [curated.key(), tokens.key()];
        let taught = if let Some(folder) = &section.folder {
            let folder = recipe.path(folder);
            let files = ["config.json", "model.safetensors", "tokenizer.json"];
            let keys = files.map(|file| Key::of_file(&folder.join(file))).into_iter().collect::<Result<Vec<_>, _>>()?;
            let inputs: Vec<&Key> = std::iter::once(curated.key()).chain(&keys).collect();
            self.stage("teacher", "copying the teacher", &(), &inputs, |work, _| teacher::copy(&folder, &corpus, work))?
        } else {
            let pretrained = if section.pretraining.epochs > 0.0 {
                let settings = (&section.model, &section.pretraining, section.masked, seed);
                Some(self.stage(
                    "pretraining",
                    "the teacher learns the language",
                    &settings,
                    &base,
                    |work, observer| pretraining::make(&corpus, &tokenizer, section, seed, work, observer),
                )?)
            } else {
                None
            };
            if let Some(pretrained) = &pretrained {
                curves.push(("pretraining", Curves::load(pretrained)?));
            }
            let mut inputs = base.to_vec();
            inputs.extend(pretrained.as_ref().map(Artifact::key));
            let settings = (&section.model, &section.training, &section.objective, seed);
            let taught =
                self.stage("teacher", "the teacher learns the labels", &settings, &inputs, |work, observer| {
                    teacher::make(&corpus, &tokenizer, pretrained.as_ref(), section, seed, work, observer)
                })?;
            curves.push(("teacher", Curves::load(&taught)?));
            taught
        };
        let teacher_precision = model::training_precision();
        let teacher = model::load(taught.folder(), teacher_precision)?;

        let section = &text.student;
        let settings = (section.variants, section.word_dropout, seed);
        let inputs = [curated.key(), taught.key()];
        let scored = self.stage("transfer", "the teacher scores all texts", &settings, &inputs, |work, observer| {
            transfer::make(&corpus, &teacher, section, seed, work, observer)
        })?;
        let lessons = transfer::load(&scored)?;
        let inputs = [scored.key(), tokens.key()];
        let settings = (&section.model, &section.training, &section.objective, seed);
        let learnt =
            self.stage("student", "the student learns from the teacher", &settings, &inputs, |work, observer| {
                student::make(&corpus, &tokenizer, &teacher, &lessons, section, seed, work, observer)
            })?;
        curves.push(("student", Curves::load(&learnt)?));
        let student = model::load(learnt.folder(), teacher_precision)?;
        let settings = (&section.prune, &section.objective, seed);
        let inputs = [learnt.key(), scored.key()];
        let pruned = self.stage(
            "pruning",
            "cutting what is used least, and recovering",
            &settings,
            &inputs,
            |work, observer| pruning::make(&corpus, &student, &lessons, section, seed, work, observer),
        )?;
        if section.prune.recovery.epochs > 0.0 {
            curves.push(("pruning", Curves::load(&pruned)?));
        }
        drop(lessons);

        let replies = Replies::read(recipe)?;
        let settings = bundle::Settings {
            name: &text.name,
            purpose: &text.purpose,
            licence: &text.licence,
            precision: text.evaluate.quality.precision,
            replies: &replies,
            layout: LAYOUT,
        };
        let small = model::load(pruned.folder(), Precision::F32)?;
        let bundle =
            self.stage("bundle", "eight-bit weights, calibration, one file", &settings, &[pruned.key()], |work, _| {
                bundle::make(&corpus, &small, &settings, work)
            })?;
        let inputs = [svm.key(), taught.key(), learnt.key(), pruned.key(), bundle.key()];
        let path = bundle.path(bundle::FILE);
        let evaluated =
            self.stage("evaluation", "one look at the test texts", &text.evaluate, &inputs, |work, observer| {
                let baseline = TfidfSvm::load(&svm.path("baseline.bantam"))?;
                let (teacher, student) =
                    (model::load(taught.folder(), Precision::F32)?, model::load(learnt.folder(), Precision::F32)?);
                let shipped = shipped(&path)?;
                let subject = |role, name, classifier, bytes| (role, Subject { name, classifier, bytes });
                let models = Models {
                    baseline: &baseline,
                    neural: vec![
                        subject(Role::Teacher, "teacher", &teacher, folder_bytes(&taught)),
                        subject(Role::Student, "student, distilled", &student, folder_bytes(&learnt)),
                        subject(Role::Student, "student, pruned", &small, folder_bytes(&pruned)),
                        subject(Role::Bundle, "bundle, 8 bits", &shipped.0, shipped.1),
                    ],
                };
                evaluation::make(&corpus, &models, &text.evaluate, work, observer)
            })?;
        let figures = evaluation::load(&evaluated)?;
        let parts = parts(&path)?;
        let (temperature, threshold) = (parts.temperature, parts.threshold);
        Ok(Made { corpus, figures, curves, bundle, temperature, threshold, peak_bytes: self.peak_bytes })
    }
}

fn parts(path: &Path) -> Result<BundleParts, Error> {
    BundleParts::read(path).map_err(|error| Error::Damaged { path: path.to_owned(), what: error.to_string() })
}

/// The model in a bundle as it will answer, and the file's bytes.
fn shipped(path: &Path) -> Result<(TextClassifier, u64), Error> {
    let parts = parts(path)?;
    let damaged = |what: String| Error::Damaged { path: path.to_owned(), what };
    let bytes = std::fs::metadata(path).map_err(|error| damaged(error.to_string()))?.len();
    Ok((parts.classifier(path).map_err(|error| damaged(error.to_string()))?, bytes))
}

/// Bytes of an artifact's files.
fn folder_bytes(artifact: &Artifact) -> u64 {
    artifact.manifest().files.iter().filter(|file| file.name != "curves.json").map(|file| file.bytes).sum()
}
