//! Curation: what is learnt from, chosen with and measured with, cleaned and told apart.

use std::collections::BTreeSet;
use std::path::Path;

use bantam_artifact::{Artifact, Work, read, write_atomic};
use bantam_corpus::readers::OUT_OF_SCOPE;
use bantam_corpus::{CurateOptions, Document, Funnel, Reject, check_labels, curate, load, save, split, statistics};
use bantam_eval::{Classifier, Examples, Outcomes, scores_of};
use bantam_train::objectives::Lesson;
use serde::{Deserialize, Serialize};

use crate::{Error, RecipeText, Texts};

/// Examples below which a label is hardly learnt.
pub(crate) const FEW: usize = 8;

/// Everything of the recipe that curation depends on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Settings<'a> {
    pub(crate) curate: &'a CurateOptions,
    pub(crate) held_out: f64,
    pub(crate) seed: u64,
}

impl<'a> Settings<'a> {
    pub(crate) fn of(text: &'a RecipeText) -> Self {
        Self { curate: &text.curate, held_out: text.data.held_out, seed: text.seed }
    }
}

/// What curation tells the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) labels: Vec<String>,
    pub(crate) out_of_scope: bool,
    pub(crate) funnel: Funnel,
    pub(crate) warnings: Vec<String>,
    pub(crate) rejects: Vec<Reject>,
}

/// The curated texts.
pub(crate) struct Corpus {
    pub(crate) account: Account,
    pub(crate) train: Vec<Document>,
    pub(crate) validation: Vec<Document>,
    pub(crate) test: Vec<Document>,
    pub(crate) unlabelled: Vec<Document>,
    pub(crate) background: Vec<Document>,
}

/// The file of the background texts, where there are some.
const BACKGROUND: &str = "background.jsonl";
/// Rejects that the report shows; all of them are in `rejects.jsonl`.
const SHOWN_REJECTS: usize = 40;

pub(crate) fn make(texts: Texts, settings: &Settings, work: &Work) -> Result<(), Error> {
    let Texts { train, mut validation, mut test, unlabelled, background } = texts;
    let mut warnings: Vec<String> = check_labels(&train, FEW)?.iter().map(ToString::to_string).collect();
    let counts = statistics(&train).labels;
    let curated = curate(train, &test, settings.curate)?;
    let mut train = curated.kept;
    let left = statistics(&train).labels;
    for (label, count) in counts.iter().filter(|(label, _)| !left.contains_key(*label)) {
        warnings.push(format!(
            "label {label:?} is gone: curation left out all of its {count} training texts ({}); rejects.jsonl has them",
            steps_of(label, &curated.rejects)
        ));
    }
    // Only of what curation left: a text that stands twice would be on both sides.
    if test.is_empty() {
        (train, test) = split(train, settings.held_out, settings.seed ^ 1)?;
        warnings.push(format!("no test texts were given: {} training texts were set apart", test.len()));
    }
    if validation.is_empty() {
        (train, validation) = split(train, settings.held_out, settings.seed)?;
    }
    let unlabelled = curate(unlabelled, &test, settings.curate)?;
    let background = curate(background, &test, settings.curate)?;
    // Written first: whoever is left with too few texts needs them most.
    let mut rejects = Vec::new();
    for reject in curated.rejects.iter().chain(&unlabelled.rejects).chain(&background.rejects) {
        serde_json::to_writer(&mut rejects, reject).expect("a reject is plain data");
        rejects.push(b'\n');
    }
    let rejects_path = work.path("rejects.jsonl");
    write_atomic(&rejects_path, &rejects)?;
    let known: BTreeSet<&str> = train.iter().filter_map(|document| document.label.as_deref()).collect();
    if known.iter().filter(|label| **label != OUT_OF_SCOPE).count() < 2 {
        let what = format!(
            "after curation fewer than two labels are left; {} tells why texts were left out: give more, or relax [curate]",
            rejects_path.display()
        );
        return Err(Error::Data { what });
    }
    for (part, documents) in [("validation", &mut validation), ("test", &mut test)] {
        let before = documents.len();
        let fits = |document: &Document| document.label.as_deref().is_some_and(|label| known.contains(label));
        let outside = |document: &Document| document.label.as_deref() == Some(OUT_OF_SCOPE);
        documents.retain(|document| fits(document) || outside(document));
        if documents.len() < before {
            let gone = before - documents.len();
            warnings.push(format!("{gone} {part} texts have no label that a training text has; they were left out"));
        }
        if documents.is_empty() {
            return Err(Error::Data {
                what: format!("no {part} text is left; give more data, or raise data.held_out"),
            });
        }
    }
    if !curated.conflicts.is_empty() {
        warnings.push(format!("{} texts occur under different labels", curated.conflicts.len()));
    }
    if !curated.near_conflicts.is_empty() {
        warnings.push(format!("{} pairs are nearly the same under different labels", curated.near_conflicts.len()));
    }
    let account = Account {
        labels: known.iter().filter(|label| **label != OUT_OF_SCOPE).map(|&label| label.to_owned()).collect(),
        out_of_scope: known.contains(OUT_OF_SCOPE),
        funnel: curated.funnel,
        warnings,
        rejects: curated.rejects.iter().take(SHOWN_REJECTS).cloned().collect(),
    };
    save(work.path("train.jsonl"), &train)?;
    save(work.path("validation.jsonl"), &validation)?;
    save(work.path("test.jsonl"), &test)?;
    save(work.path("unlabelled.jsonl"), &unlabelled.kept)?;
    if !background.kept.is_empty() {
        save(work.path(BACKGROUND), &background.kept)?;
    }
    Ok(write_atomic(&work.path("account.json"), &serde_json::to_vec_pretty(&account).expect("plain data"))?)
}

/// The steps that dropped the texts of a label.
fn steps_of(label: &str, rejects: &[Reject]) -> String {
    let of_label = rejects.iter().filter(|reject| reject.document.label.as_deref() == Some(label));
    of_label.map(|reject| reject.step.as_str()).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

impl Corpus {
    pub(crate) fn load(artifact: &Artifact) -> Result<Self, Error> {
        Ok(Self {
            account: read_json(&artifact.path("account.json"))?,
            train: load(artifact.path("train.jsonl"))?,
            validation: load(artifact.path("validation.jsonl"))?,
            test: load(artifact.path("test.jsonl"))?,
            unlabelled: load(artifact.path("unlabelled.jsonl"))?,
            background: if artifact.path(BACKGROUND).exists() { load(artifact.path(BACKGROUND))? } else { Vec::new() },
        })
    }

    /// All texts to learn the language from.
    pub(crate) fn language(&self) -> impl Iterator<Item = &str> {
        self.train.iter().chain(&self.unlabelled).chain(&self.background).map(|document| document.text.as_str())
    }

    /// Columns of the models' scores: the labels, and one for "none of these" where it can be learnt.
    pub(crate) fn columns(&self) -> Vec<String> {
        let outside = self.account.out_of_scope.then(|| OUT_OF_SCOPE.to_owned());
        self.account.labels.iter().cloned().chain(outside).collect()
    }

    /// Labelled documents as lessons; those whose label no column stands for are left out.
    pub(crate) fn lessons(&self, documents: &[Document]) -> Vec<Lesson> {
        let columns = self.columns();
        let column = |label: &str| columns.iter().position(|known| known == label);
        let lessons = documents.iter().filter_map(|document| {
            Some(Lesson::labelled(document.text.clone(), column(document.label.as_deref()?)? as u32))
        });
        lessons.collect()
    }

    /// Labelled documents as examples to measure with: out of scope has no class.
    pub(crate) fn examples(&self, documents: &[Document]) -> Examples {
        let class = |document: &Document| {
            self.account.labels.iter().position(|known| Some(known.as_str()) == document.label.as_deref())
        };
        Examples::new(documents.iter().map(|d| d.text.clone()).collect(), documents.iter().map(class).collect())
    }

    /// The share of the validation texts in scope that a classifier answers rightly.
    pub(crate) fn validation_accuracy(&self, classifier: &dyn Classifier) -> f64 {
        let validation = self.examples(&self.validation);
        let scores = scores_of(classifier, &validation.texts());
        let outcomes = Outcomes::new(self.account.labels.len(), validation.labels(), &scores, 1.0);
        let right = outcomes.right();
        let inside: Vec<bool> = outcomes.in_scope().map(|(index, _)| right[index]).collect();
        inside.iter().filter(|&&right| right).count() as f64 / inside.len().max(1) as f64
    }
}

/// A JSON file of an artifact.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = read(path)?;
    serde_json::from_slice(&text).map_err(|error| Error::Damaged { path: path.to_owned(), what: error.to_string() })
}

#[cfg(test)]
mod tests {
    use bantam_artifact::{Stage, Store};
    use bantam_corpus::Source;

    use super::*;

    fn document(text: String, label: &str, line: u64) -> Document {
        let source = Source { file: "a.csv".to_owned(), line };
        Document { id: format!("a.csv:{line}"), text, label: Some(label.to_owned()), source }
    }

    #[test]
    fn what_is_set_apart_has_no_text_twice_and_a_label_that_curation_took_is_named() {
        let subjects = ["invoice", "parcel", "password", "refund", "voucher", "address", "receipt", "warranty"];
        let verbs = ["lost", "found", "broke", "changed", "forgot"];
        let mut train = Vec::new();
        for (subject, verb) in subjects.iter().flat_map(|subject| verbs.iter().map(move |verb| (subject, verb))) {
            let label = if train.len() % 4 < 2 { "a" } else { "b" };
            for _ in 0..2 {
                let line = train.len() as u64 + 2;
                train.push(document(format!("somebody {verb} the {subject} of my neighbour"), label, line));
            }
        }
        for label in ["contested", "also contested"] {
            train.push(document("one text that two people label differently".to_owned(), label, 500));
        }
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let Stage::Open(work) = store.stage("corpus", &1, &[]).unwrap() else { panic!("it is new") };
        // Texts of one pattern are nearly the same: only equal ones are to go here.
        let options = CurateOptions { near: None, ..CurateOptions::default() };
        let texts = Texts { train, ..Texts::default() };
        make(texts, &Settings { curate: &options, held_out: 0.2, seed: 1 }, &work).unwrap();
        let corpus = Corpus::load(&work.commit(0.0).unwrap()).unwrap();
        let mut seen = BTreeSet::new();
        for document in corpus.train.iter().chain(&corpus.validation).chain(&corpus.test) {
            assert!(seen.insert(&document.text), "{:?} stands twice", document.text);
        }
        assert_eq!((seen.len(), corpus.test.len()), (40, 8));
        let told = corpus.account.warnings.join("\n");
        assert!(told.contains("label \"contested\" is gone") && told.contains("(conflicts)"), "{told}");
        assert!(!told.contains("no label that a training text has"), "{told}");
    }
}
