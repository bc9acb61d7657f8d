//! What a run would do, before it does anything: the names of all artifacts follow from the recipe and its files alone.

use std::path::{Path, PathBuf};

use bantam_artifact::{Artifact, Key};
use bantam_eval::baselines::TfidfSvm;
use serde::Serialize;

use crate::stages::replies::Replies;
use crate::{Error, Recipe, RunOptions, depends};

/// A stage that a run would come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStage {
    /// Its name. Each member of a teacher is a stage of its own.
    pub name: &'static str,
    /// The name of its artifact.
    pub artifact: String,
    /// Why it is to do; `None` where it is done.
    pub why: Option<String>,
}

/// The stages of a run in their order, each done or to do. Nothing is made or written.
///
/// # Errors
/// When a file of the recipe cannot be read.
pub fn plan(recipe: &Recipe, options: &RunOptions) -> Result<Vec<PlannedStage>, Error> {
    let text = &recipe.text;
    let mut plan = Plan { artifacts: options.artifacts(), stages: Vec::new(), open: Vec::new() };
    let files = options.source.keys(recipe)?;
    let files: Vec<&Key> = files.iter().collect();
    let texts = plan.add("corpus", "[curate], [data.read], data.held_out or seed", &depends::corpus(text), &files);
    let baseline = plan.add("baseline", "this program", &depends::linear(&TfidfSvm::USUAL), &[&texts]);
    let tokens = plan.add("tokenizer", "[tokenizer]", &text.tokenizer, &[&texts]);
    let mut taught = Vec::new();
    let linear = text
        .teacher
        .with_linear
        .then(|| plan.add("linear", "this program", &depends::linear(&TfidfSvm::ON_PAIRS), &[&texts]));
    for folder in &text.teacher.folder {
        let keys = depends::finished_teacher(recipe, folder)?;
        let inputs: Vec<&Key> = std::iter::once(&texts).chain(&keys).collect();
        taught.push(plan.add("teacher", "teacher.folder", &(), &inputs));
    }
    if text.teacher.folder.is_empty() {
        let mut inputs = vec![texts.clone(), tokens.clone()];
        if text.teacher.pretraining.epochs > 0.0 {
            let keys = "[teacher.model], [teacher.pretraining], teacher.masked or seed";
            inputs.push(plan.add("pretraining", keys, &depends::pretraining(text), &[&texts, &tokens]));
        }
        let inputs: Vec<&Key> = inputs.iter().collect();
        for number in 1..=text.teacher.members {
            let keys = "[teacher.model], [teacher.training], [teacher.objective] or seed";
            taught.push(plan.add("teacher", keys, &depends::teacher(text, number), &inputs));
        }
    }
    taught.extend(linear);
    let inputs: Vec<&Key> = std::iter::once(&texts).chain(&taught).collect();
    let scored =
        plan.add("transfer", "student.variants, student.word_dropout or seed", &depends::transfer(text), &inputs);
    let keys = "[student.model], [student.training], [student.objective] or seed";
    let student = plan.add("student", keys, &depends::student(text), &[&scored, &tokens]);
    let keys = "[student.prune], [student.objective] or seed";
    let pruned = plan.add("pruning", keys, &depends::pruning(text), &[&student, &scored]);
    let replies = Replies::read(recipe)?;
    let keys = "name, purpose, licence, the replies or evaluate.quality.precision";
    let bundle = plan.add("bundle", keys, &depends::bundle(text, &replies), &[&pruned]);
    let inputs: Vec<&Key> = [&baseline, &student, &pruned, &bundle].into_iter().chain(&taught).collect();
    plan.add("evaluation", "[evaluate]", &text.evaluate, &inputs);
    Ok(plan.stages)
}

struct Plan {
    artifacts: PathBuf,
    stages: Vec<PlannedStage>,
    /// The stages that are to do, by what they will make.
    open: Vec<(Key, &'static str)>,
}

impl Plan {
    /// Plans a stage that depends on `settings`, which people know as `keys`, and answers the key of what it makes.
    fn add(&mut self, name: &'static str, keys: &str, settings: &impl Serialize, inputs: &[&Key]) -> Key {
        let key = Key::new(name, settings, inputs);
        let artifact = format!("{name}-{key}");
        let is_done = Artifact::open(&self.artifacts.join(&artifact)).is_ok();
        let why = (!is_done).then(|| self.why(name, keys, &key, inputs));
        if !is_done {
            self.open.push((key.clone(), name));
        }
        self.stages.push(PlannedStage { name, artifact, why });
        key
    }

    fn why(&self, name: &str, keys: &str, key: &Key, inputs: &[&Key]) -> String {
        let mut again: Vec<&str> =
            self.open.iter().filter(|(key, _)| inputs.contains(&key)).map(|(_, name)| *name).collect();
        again.dedup();
        let earlier = earlier(&self.artifacts, name);
        if is_begun(&self.artifacts.join(format!("{name}-{key}.part"))) {
            "begun, and continues".to_owned()
        } else if earlier.is_empty() {
            "not made yet".to_owned()
        } else if !again.is_empty() {
            format!("it is made from what changes: {}", again.join(", "))
        } else if earlier.iter().any(|artifact| artifact.manifest().inputs.iter().eq(inputs.iter().copied())) {
            format!("changed: {keys}")
        } else {
            "changed: a file that it is made from".to_owned()
        }
    }
}

/// Whether a stage has left something to go on from.
fn is_begun(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

/// What a stage made before.
fn earlier(artifacts: &Path, name: &str) -> Vec<Artifact> {
    let Ok(entries) = std::fs::read_dir(artifacts) else { return Vec::new() };
    let folders = entries.flatten().map(|entry| entry.path());
    let of_stage = |folder: &PathBuf| {
        folder.extension().is_none()
            && folder.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&format!("{name}-")))
    };
    folders.filter(of_stage).filter_map(|folder| Artifact::open(&folder).ok()).collect()
}
