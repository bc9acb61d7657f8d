//! The one look at the test texts: quality and cost of the baselines, the teacher, and the student at each step.

use bantam_artifact::{Artifact, Work, write_atomic};
use bantam_eval::baselines::{Majority, TfidfSvm};
use bantam_eval::{Classifier, Cost, Evaluation, Examples, confusions, evaluate, measure_cost};
use bantam_kernels::pool;
use bantam_runtime::TextClassifier;
use serde::{Deserialize, Serialize};

use super::corpus::{Corpus, read_json};
use super::ensemble::Ensemble;
use crate::report::{ConfusedPair, Role};
use crate::{Error, EvaluateSection, Observer};

const FILE: &str = "evaluation.json";
/// Examples that are shown of each pair of confused labels.
const SHOWN_EXAMPLES: usize = 3;
/// Pairs of confused labels that are shown.
const SHOWN_PAIRS: usize = 20;

/// One model's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) role: Role,
    pub(crate) evaluation: Evaluation,
    pub(crate) cost: Cost,
}

/// All figures of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) models: Vec<Measured>,
    pub(crate) confusions: Vec<ConfusedPair>,
    pub(crate) threads: usize,
    pub(crate) isa: String,
    pub(crate) cpu: String,
}

/// What scores texts: a model, or several together.
pub(crate) trait Scorer {
    /// Numbers that were learnt.
    fn parameters(&self) -> u64;
    /// A row of scores per text.
    fn logits(&self, texts: &[&str]) -> Vec<Vec<f32>>;
}

impl Scorer for TextClassifier {
    fn parameters(&self) -> u64 {
        TextClassifier::parameters(self) as u64
    }

    fn logits(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        TextClassifier::logits(self, texts)
    }
}

impl Scorer for Ensemble {
    fn parameters(&self) -> u64 {
        Ensemble::parameters(self)
    }

    fn logits(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        Ensemble::logits(self, texts)
    }
}

/// A model as the metrics see it.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    pub(crate) scorer: &'a dyn Scorer,
    pub(crate) bytes: u64,
}

impl Classifier for Subject<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn parameters(&self) -> u64 {
        self.scorer.parameters()
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn scores(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        self.scorer.logits(texts)
    }
}

/// The models to measure.
pub(crate) struct Models<'a> {
    pub(crate) baseline: &'a TfidfSvm,
    pub(crate) neural: Vec<(Role, Subject<'a>)>,
}

pub(crate) fn make(
    corpus: &Corpus,
    models: &Models,
    section: &EvaluateSection,
    work: &Work,
    observer: &mut dyn Observer,
) -> Result<(), Error> {
    let classes = corpus.account.labels.len();
    let (validation, test) = (corpus.examples(&corpus.validation), corpus.examples(&corpus.test));
    let majority = Majority::train(&corpus.examples(&corpus.train), classes);
    let baselines: [&dyn Classifier; 2] = [&majority, models.baseline];
    let all: Vec<(Role, &dyn Classifier)> = baselines
        .into_iter()
        .map(|baseline| (Role::Baseline, baseline))
        .chain(models.neural.iter().map(|(role, subject)| (*role, subject as &dyn Classifier)))
        .collect();
    let mut measured = Vec::new();
    let mut pairs = Vec::new();
    for (index, (role, classifier)) in all.iter().enumerate() {
        if observer.is_stopped() {
            return Err(Error::Stopped);
        }
        observer.progress(index as f64 / all.len() as f64, classifier.name());
        let evaluation = evaluate(*classifier, classes, &validation, &test, &section.quality);
        let Some(cost) = measure_cost(*classifier, &test.texts(), &section.cost) else {
            return Err(Error::Data { what: "there is no test text to time the models with".to_owned() });
        };
        if *role == Role::Bundle {
            pairs = worst_pairs(&corpus.account.labels, &evaluation, &test);
        }
        measured.push(Measured { role: *role, evaluation, cost });
    }
    let isa = bantam_kernels::isa::Isa::current().name().to_owned();
    let figures = Figures { models: measured, confusions: pairs, threads: pool::threads(), isa, cpu: cpu_name() };
    Ok(write_atomic(&work.path(FILE), &serde_json::to_vec_pretty(&figures).expect("plain data"))?)
}

/// The pairs of labels that are confused most often, with examples.
pub(crate) fn worst_pairs(labels: &[String], evaluation: &Evaluation, test: &Examples) -> Vec<ConfusedPair> {
    let Some(outcomes) = &evaluation.outcomes else { return Vec::new() };
    let texts = test.texts();
    let pair = |confusion: &bantam_eval::Confusion| ConfusedPair {
        truth: labels[confusion.truth].clone(),
        answer: labels[confusion.answer].clone(),
        count: confusion.texts.len(),
        of: confusion.of,
        examples: confusion.texts.iter().take(SHOWN_EXAMPLES).map(|&index| texts[index].to_owned()).collect(),
    };
    confusions(outcomes).iter().take(SHOWN_PAIRS).map(pair).collect()
}

pub(crate) fn load(artifact: &Artifact) -> Result<Figures, Error> {
    read_json(&artifact.path(FILE))
}

/// The processor's name as Linux tells it; empty elsewhere.
fn cpu_name() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or(String::new(), |(_, name)| name.trim().to_owned())
}
