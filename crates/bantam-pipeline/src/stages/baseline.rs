//! Linear models: the trivial baseline (TF-IDF and a linear SVM), and its better sister, which may answer with the teacher.

use bantam_artifact::Work;
use bantam_eval::baselines::{TfidfSvm, WordVectors};

use super::corpus::Corpus;
use crate::{Error, Observer};

/// A linear model inside its artifact.
pub(crate) const FILE: &str = "linear.bantam";
/// Numbers in the vector of a word: docs/log.md has others.
const VECTOR_WIDTH: usize = 128;

/// The trivial baseline.
pub(crate) fn make(corpus: &Corpus, work: &Work) -> Result<(), Error> {
    let examples = corpus.examples(&corpus.train);
    Ok(TfidfSvm::train(&examples, corpus.account.labels.len()).save(&work.path(FILE))?)
}

/// The linear model that answers with the teacher. Where there are background texts it may read word vectors, too, which are learnt from all
/// texts: if it answers more of the validation texts with them.
pub(crate) fn make_voice(corpus: &Corpus, seed: u64, work: &Work, observer: &mut dyn Observer) -> Result<(), Error> {
    let examples = corpus.examples(&corpus.train);
    let classes = corpus.account.labels.len();
    let mut voice = TfidfSvm::train_on(&TfidfSvm::ON_PAIRS, &examples, classes);
    if !corpus.background.is_empty() {
        let vectors = WordVectors::learn(&corpus.language().collect::<Vec<_>>(), &examples.texts(), VECTOR_WIDTH, seed);
        let richer = TfidfSvm::train_with(&TfidfSvm::ON_PAIRS, Some(vectors), &examples, classes);
        let [with, without] = [&richer, &voice].map(|model| corpus.validation_accuracy(model));
        let is_better = with > without;
        observer.note(&format!(
            "word vectors are {}: with them the linear model answers {:.2} % of the validation texts, without {:.2} %",
            if is_better { "kept" } else { "left out" },
            100.0 * with,
            100.0 * without
        ));
        if is_better {
            voice = richer;
        }
    }
    Ok(voice.save(&work.path(FILE))?)
}
