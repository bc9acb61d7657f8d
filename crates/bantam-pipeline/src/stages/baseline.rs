//! Linear models: the trivial baseline (TF-IDF and a linear SVM), and its better sister, which may answer with the teacher.

use bantam_artifact::Work;
use bantam_eval::baselines::TfidfSvm;

use super::corpus::Corpus;
use crate::Error;

/// A linear model inside its artifact.
pub(crate) const FILE: &str = "linear.bantam";

pub(crate) fn make(corpus: &Corpus, work: &Work) -> Result<(), Error> {
    let examples = corpus.examples(&corpus.train);
    Ok(TfidfSvm::train(&examples, corpus.account.labels.len()).save(&work.path(FILE))?)
}

/// Words in pairs, near and far, under the same SVM.
pub(crate) fn make_on_pairs(corpus: &Corpus, work: &Work) -> Result<(), Error> {
    let examples = corpus.examples(&corpus.train);
    Ok(TfidfSvm::train_on_pairs(&examples, corpus.account.labels.len()).save(&work.path(FILE))?)
}
