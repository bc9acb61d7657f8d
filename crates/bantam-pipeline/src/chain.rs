//! The stages in order, from the texts to the figures: each is looked up, or worked on and committed.

use std::path::Path;
use std::time::Instant;

use bantam_artifact::{Artifact, Key, Stage, Store, Work};
use bantam_eval::baselines::TfidfSvm;
use bantam_kernels::gemm::Precision;
use bantam_kernels::memory;
use bantam_runtime::{BundleParts, TextClassifier};
use bantam_tokens::Tokenizer;
use serde::Serialize;

use crate::report::Role;
use crate::stages::bundle;
use crate::stages::corpus::{self, Corpus};
use crate::stages::ensemble::{Ensemble, Taught};
use crate::stages::evaluation::{self, Models, Scorer, Subject};
use crate::stages::replies::Replies;
use crate::stages::training::Curves;
use crate::stages::{baseline, model, pretraining, pruning, student, teacher, transfer, vocabulary};
use crate::{DataSource, Error, Observer, Recipe, depends};

/// A recipe that is being followed.
pub(crate) struct Chain<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) store: Store,
    pub(crate) observer: &'a mut dyn Observer,
    /// Seconds of each stage so far, those of an earlier run where it was found done.
    pub(crate) seconds: Vec<(&'static str, f64)>,
    /// Losses of the stages that trained.
    pub(crate) curves: Vec<(&'static str, Curves)>,
    /// Over all stages: timing the models begins the process's own count anew.
    pub(crate) peak_bytes: u64,
    /// Whether every stage so far was found done.
    pub(crate) is_cached: bool,
    /// Artifacts that were found, and not read whole yet: a run that finds everything done takes no time for it.
    pub(crate) found: Vec<Artifact>,
}

/// Clean texts, and what is learnt from them at once: the trivial baseline and the tokenizer.
pub(crate) struct Curated {
    pub(crate) corpus: Corpus,
    texts: Artifact,
    baseline: Artifact,
    tokens: Artifact,
    tokenizer: Tokenizer,
}

/// A student, and the texts with the teacher's scores that it learnt from.
pub(crate) struct Distilled {
    pub(crate) student: Artifact,
    scored: Artifact,
}

impl Chain<'_> {
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
                self.found.push(artifact.clone());
                artifact
            }
            Stage::Open(open) => {
                self.is_cached = false;
                self.found.drain(..).try_for_each(|artifact| artifact.verify())?;
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

    /// Reads and cleans the texts, trains the baseline, and learns the vocabulary.
    pub(crate) fn curated(&mut self, source: &DataSource) -> Result<Curated, Error> {
        let (recipe, text) = (self.recipe, &self.recipe.text);
        let keys = source.keys(recipe)?;
        let inputs: Vec<&Key> = keys.iter().collect();
        let settings = depends::corpus(text);
        let texts = self.stage("corpus", "reading and cleaning the texts", &settings, &inputs, |work, _| {
            corpus::make(source.read(recipe)?, &corpus::Settings::of(text), work)
        })?;
        let corpus = Corpus::load(&texts)?;
        // Other texts than the recipe's have other labels than its replies.
        if *source == DataSource::Recipe {
            Replies::check_labels(recipe, &corpus.account.labels)?;
        }
        for folder in &text.teacher.folder {
            teacher::check_labels(&recipe.path(folder), &teacher::labels(&recipe.path(folder))?, &corpus)?;
        }
        corpus.account.warnings.iter().for_each(|warning| self.observer.note(warning));
        let settings = depends::linear(&TfidfSvm::USUAL);
        let what = "TF-IDF and a linear SVM, to be beaten";
        let baseline =
            self.stage("baseline", what, &settings, &[texts.key()], |work, _| baseline::make(&corpus, work))?;
        let tokens =
            self.stage("tokenizer", "learning the vocabulary", &text.tokenizer, &[texts.key()], |work, _| {
                vocabulary::make(&corpus, &text.tokenizer, work)
            })?;
        let tokenizer = Tokenizer::load(tokens.path("tokenizer.json"))?;
        Ok(Curated { corpus, texts, baseline, tokens, tokenizer })
    }

    /// The teacher: copied from the folder that the recipe names, or trained.
    pub(crate) fn teacher(&mut self, curated: &Curated) -> Result<Taught, Error> {
        let Curated { corpus, texts, tokens, tokenizer, .. } = curated;
        let (section, seed) = (&self.recipe.text.teacher, self.recipe.text.seed);
        let linear = if section.with_linear {
            let what = "a linear model learns the labels from pairs of words";
            let settings = depends::linear(&TfidfSvm::ON_PAIRS);
            Some(self.stage("linear", what, &settings, &[texts.key()], |work, observer| {
                baseline::make_voice(corpus, seed, work, observer)
            })?)
        } else {
            None
        };
        let mut members = Vec::new();
        for folder in &section.folder {
            let keys = depends::finished_teacher(self.recipe, folder)?;
            let folder = self.recipe.path(folder);
            let inputs: Vec<&Key> = std::iter::once(texts.key()).chain(&keys).collect();
            let copy = |work: &Work, _: &mut dyn Observer| teacher::copy(&folder, corpus, work);
            members.push(self.stage("teacher", "copying the teacher", &(), &inputs, copy)?);
        }
        if let Some(first) = members.first() {
            student::check_inner(&self.recipe.text.student, tokenizer, first.folder())?;
            return Ok(Taught { members, linear });
        }
        let mut inputs = vec![texts.key(), tokens.key()];
        let pretrained = if section.pretraining.epochs > 0.0 {
            let settings = depends::pretraining(&self.recipe.text);
            let what = "the teacher learns the language";
            let artifact = self.stage("pretraining", what, &settings, &inputs, |work, observer| {
                pretraining::make(corpus, tokenizer, section, seed, work, observer)
            })?;
            self.curves.push(("pretraining", Curves::load(&artifact)?));
            Some(artifact)
        } else {
            None
        };
        inputs.extend(pretrained.as_ref().map(Artifact::key));
        for number in 1..=section.members {
            let what = match section.members {
                1 => "the teacher learns the labels".to_owned(),
                all => format!("the teacher learns the labels, member {number} of {all}"),
            };
            let seed = depends::member_seed(&self.recipe.text, number);
            let settings = depends::teacher(&self.recipe.text, number);
            let member = self.stage("teacher", &what, &settings, &inputs, |work, observer| {
                teacher::make(corpus, tokenizer, pretrained.as_ref(), section, seed, work, observer)
            })?;
            if number == 1 {
                self.curves.push(("teacher", Curves::load(&member)?));
            }
            members.push(member);
        }
        Ok(Taught { members, linear })
    }

    /// The student, which learns from the teacher's scores.
    pub(crate) fn student(&mut self, curated: &Curated, teacher: &Taught) -> Result<Distilled, Error> {
        let Curated { corpus, texts, tokens, tokenizer, .. } = curated;
        let (section, seed) = (&self.recipe.text.student, self.recipe.text.seed);
        let settings = depends::transfer(&self.recipe.text);
        let inputs: Vec<&Key> = std::iter::once(texts.key()).chain(teacher.artifacts().map(Artifact::key)).collect();
        let scored = self.stage("transfer", "the teacher scores all texts", &settings, &inputs, |work, observer| {
            let teacher = Ensemble::load(teacher, corpus, model::training_precision())?;
            transfer::make(corpus, &teacher, section, seed, work, observer)
        })?;
        let inputs = [scored.key(), tokens.key()];
        let settings = depends::student(&self.recipe.text);
        let what = "the student learns from the teacher";
        let student = self.stage("student", what, &settings, &inputs, |work, observer| {
            // States and relations are those of one model; scores are those of all.
            let first = model::load(teacher.members[0].folder(), model::training_precision())?;
            let lessons = transfer::load(&scored)?;
            student::make(corpus, tokenizer, &first, &lessons, section, seed, work, observer)
        })?;
        self.curves.push(("student", Curves::load(&student)?));
        Ok(Distilled { student, scored })
    }

    /// The student without what the domain uses least.
    pub(crate) fn pruned(&mut self, curated: &Curated, distilled: &Distilled) -> Result<Artifact, Error> {
        let (section, seed) = (&self.recipe.text.student, self.recipe.text.seed);
        let Distilled { student, scored } = distilled;
        let settings = depends::pruning(&self.recipe.text);
        let inputs = [student.key(), scored.key()];
        let what = "cutting what is used least, and recovering";
        let pruned = self.stage("pruning", what, &settings, &inputs, |work, observer| {
            let (student, lessons) =
                (model::load(student.folder(), model::training_precision())?, transfer::load(scored)?);
            pruning::make(&curated.corpus, &student, &lessons, section, seed, work, observer)
        })?;
        if section.prune.recovery.epochs > 0.0 {
            self.curves.push(("pruning", Curves::load(&pruned)?));
        }
        Ok(pruned)
    }

    /// The one file that ships.
    pub(crate) fn bundle(&mut self, curated: &Curated, pruned: &Artifact) -> Result<Artifact, Error> {
        let replies = Replies::read(self.recipe)?;
        let settings = depends::bundle(&self.recipe.text, &replies);
        self.stage("bundle", "eight-bit weights, calibration, one file", &settings, &[pruned.key()], |work, _| {
            bundle::make(&curated.corpus, &model::load(pruned.folder(), Precision::F32)?, &settings, work)
        })
    }

    /// Looks at the test texts with the baseline and all models.
    pub(crate) fn evaluation(
        &mut self,
        curated: &Curated,
        teacher: &Taught,
        student: &Artifact,
        pruned: &Artifact,
        bundle: &Artifact,
    ) -> Result<evaluation::Figures, Error> {
        let (corpus, settings) = (&curated.corpus, &self.recipe.text.evaluate);
        let mut inputs = vec![curated.baseline.key(), student.key(), pruned.key(), bundle.key()];
        inputs.extend(teacher.artifacts().map(Artifact::key));
        let evaluated =
            self.stage("evaluation", "one look at the test texts", settings, &inputs, |work, observer| {
                let baseline = TfidfSvm::load(&curated.baseline.path(baseline::FILE))?;
                let taught = Ensemble::load(teacher, corpus, Precision::F32)?;
                let load = |artifact: &Artifact| model::load(artifact.folder(), Precision::F32);
                let (learnt, small) = (load(student)?, load(pruned)?);
                let (shipped, shipped_bytes) = shipped(&bundle.path(bundle::FILE))?;
                fn subject<'a>(role: Role, name: &'a str, scorer: &'a dyn Scorer, bytes: u64) -> (Role, Subject<'a>) {
                    (role, Subject { name, scorer, bytes })
                }
                let models = Models {
                    baseline: &baseline,
                    neural: vec![
                        subject(Role::Teacher, "teacher", &taught, teacher.artifacts().map(folder_bytes).sum()),
                        subject(Role::Student, "student, distilled", &learnt, folder_bytes(student)),
                        subject(Role::Student, "student, pruned", &small, folder_bytes(pruned)),
                        subject(Role::Bundle, "bundle, 8 bits", &shipped, shipped_bytes),
                    ],
                };
                evaluation::make(corpus, &models, settings, work, observer)
            })?;
        evaluation::load(&evaluated)
    }
}

/// What a bundle's file holds.
pub(crate) fn parts(path: &Path) -> Result<BundleParts, Error> {
    BundleParts::read(path).map_err(|error| Error::Damaged { path: path.to_owned(), what: error.to_string() })
}

/// The model in a bundle as it will answer, and the file's bytes.
pub(crate) fn shipped(path: &Path) -> Result<(TextClassifier, u64), Error> {
    let parts = parts(path)?;
    let damaged = |what: String| Error::Damaged { path: path.to_owned(), what };
    let bytes = std::fs::metadata(path).map_err(|error| damaged(error.to_string()))?.len();
    Ok((parts.classifier(path).map_err(|error| damaged(error.to_string()))?, bytes))
}

/// Bytes of an artifact's files.
pub(crate) fn folder_bytes(artifact: &Artifact) -> u64 {
    artifact.manifest().files.iter().filter(|file| file.name != Curves::FILE).map(|file| file.bytes).sum()
}
