//! Why a bundle cannot be used.

use std::path::PathBuf;

use bantam_artifact::bundle::BundleError;
use bantam_model::folder::FolderError;

/// Why a bundle could not be loaded. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {}: {source}; give the path of a .bantam file, as `bantam run` makes it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No bundle, or a damaged one.
    #[error("{}: {source}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: BundleError,
    },
    /// A bundle whose parts cannot be used, or contradict each other.
    #[error("{}: {what}; make the bundle again", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Which part, and why.
        what: String,
    },
    /// A Hugging Face folder that cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
}
