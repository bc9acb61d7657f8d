//! Why a saved baseline can be refused.

use std::path::PathBuf;

/// Why a baseline could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no.
    #[error(transparent)]
    File(#[from] bantam_artifact::Error),
    /// The file is no bundle, or a damaged one.
    #[error("cannot load {}: {source}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: bantam_artifact::bundle::BundleError,
    },
    /// The bundle holds something else, or its parts contradict each other.
    #[error("{} is not a saved TF-IDF + linear SVM: {reason}; train the baseline again", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong, naming the section or key.
        reason: String,
    },
}
