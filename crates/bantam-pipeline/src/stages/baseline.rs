//! Linear models: the trivial baseline (TF-IDF and a linear SVM), and its better sister, which may answer with the teacher.

use bantam_artifact::Work;
use bantam_eval::baselines::{Analyser, TfidfSvm};

use super::corpus::Corpus;
use crate::Error;

/// A linear model inside its artifact.
pub(crate) const FILE: &str = "linear.bantam";

/// The linear model that reads what the analysers find.
pub(crate) fn make(corpus: &Corpus, analysers: &[Analyser], work: &Work) -> Result<(), Error> {
    let examples = corpus.examples(&corpus.train);
    Ok(TfidfSvm::train_on(analysers, &examples, corpus.account.labels.len()).save(&work.path(FILE))?)
}
