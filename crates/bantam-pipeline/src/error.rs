//! Why a run did not end with a bundle.

use std::path::PathBuf;

/// What went wrong, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {}: {source}; {remedy}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// A recipe that cannot be followed.
    #[error("{}: {what}", path.display())]
    Recipe {
        /// The file.
        path: PathBuf,
        /// Which key, and what is wrong with it.
        what: String,
    },
    /// Data that no model can be made from.
    #[error("{what}")]
    Data {
        /// What is wrong, and what to do.
        what: String,
    },
    /// The user asked to stop.
    #[error("stopped; the same command continues from here")]
    Stopped,
    /// Texts.
    #[error(transparent)]
    Corpus(#[from] bantam_corpus::Error),
    /// Artifacts.
    #[error(transparent)]
    Artifact(#[from] bantam_artifact::Error),
    /// Tokenizers.
    #[error(transparent)]
    Tokens(#[from] bantam_tokens::Error),
    /// Model folders.
    #[error(transparent)]
    Folder(#[from] bantam_model::folder::FolderError),
    /// Training.
    #[error("{stage}: {source}")]
    Train {
        /// Which stage.
        stage: &'static str,
        /// What happened.
        source: bantam_train::TrainError,
    },
    /// Pruning.
    #[error("student.prune: {0}")]
    Prune(#[from] bantam_compress::PruneError),
    /// The baseline.
    #[error(transparent)]
    Baseline(#[from] bantam_eval::Error),
    /// A bundle that cannot be measured.
    #[error(transparent)]
    Bundle(#[from] bantam_runtime::LoadError),
    /// A file inside an artifact that this program did not write.
    #[error("{}: {what}; delete its folder, and it is made again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}
