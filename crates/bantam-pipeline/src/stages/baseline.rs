//! The trivial baseline: TF-IDF and a linear SVM.

use bantam_artifact::Work;
use bantam_eval::baselines::TfidfSvm;

use super::corpus::Corpus;
use crate::Error;

/// The baseline inside its artifact.
pub(crate) const FILE: &str = "baseline.bantam";

pub(crate) fn make(corpus: &Corpus, work: &Work) -> Result<(), Error> {
    let examples = corpus.examples(&corpus.train);
    Ok(TfidfSvm::train(&examples, corpus.account.labels.len()).save(&work.path(FILE))?)
}
