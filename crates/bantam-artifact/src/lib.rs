//! Immutable results on disk: names, hashes, manifests, atomic writes, and the container that a bundle is.
//!
//! A stage's result is a folder named by the hash of what made it ([`Key`]). [`Store::stage`] answers either the finished
//! [`Artifact`], or [`Work`]: a folder beside it to fill, which survives a crash so that the stage can continue, and is
//! renamed when it is whole. This crate knows bytes, names and hashes; it never looks inside.

mod atomic;
pub mod bundle;
mod error;
mod hash;
mod lock;
mod store;

pub use atomic::{create_folder, read, remove_leftovers, write_atomic};
pub use error::Error;
pub use hash::{Key, hash_bytes, hash_file};
pub use lock::Lock;
pub use store::{Artifact, FileRecord, Manifest, Stage, Store, Work};
