//! What can go wrong on disk.

use std::io;
use std::path::{Path, PathBuf};

/// Why something could not be read from or written to disk.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read {path}: {source}{}", remedy(source))]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder could not be written; what stood there before still does.
    #[error("cannot write {path}: {source}{}", remedy(source))]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process works in the same folder.
    #[error("{path} is in use by another run (process {process}); wait for it, or choose another --out")]
    InUse {
        /// The lock file.
        path: PathBuf,
        /// What the lock file says of its owner.
        process: String,
    },
    /// An artifact is not what its manifest says.
    #[error("{path} is damaged: {what}; delete the folder, and the next run makes it again")]
    Damaged {
        /// The artifact's folder.
        path: PathBuf,
        /// What does not agree.
        what: String,
    },
}

impl Error {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space and run the same command again, or choose another --out"
        }
        io::ErrorKind::FileTooLarge => {
            "; raise the limit of file sizes (ulimit -f) and run the same command again, or choose another --out"
        }
        io::ErrorKind::PermissionDenied => "; check who owns it, or choose another folder",
        io::ErrorKind::NotFound => "; check the path",
        _ => "",
    }
}
