//! The trivial baselines: what a model has to beat before anything else about it matters. A file each, and a line in [`BASELINES`].

mod csr;
mod linear_svm;
mod majority;
mod subspace;
mod tfidf;
mod tfidf_svm;
mod word_vectors;

pub use csr::SparseRows;
pub use linear_svm::{LinearSvm, SvmOptions};
pub use majority::Majority;
pub use tfidf::{Analyser, Tfidf};
pub use tfidf_svm::TfidfSvm;
pub use word_vectors::WordVectors;

use crate::{Classifier, Examples};

/// A baseline: a name, and how it learns.
#[derive(Debug, Clone, Copy)]
pub struct Baseline {
    /// What the report calls it.
    pub name: &'static str,
    /// Learns from examples of so many classes.
    pub train: fn(&Examples, usize) -> Box<dyn Classifier>,
}

/// Every baseline, the simplest first.
pub const BASELINES: &[Baseline] = &[
    Baseline { name: majority::NAME, train: |examples, classes| Box::new(Majority::train(examples, classes)) },
    Baseline { name: tfidf_svm::NAME, train: |examples, classes| Box::new(TfidfSvm::train(examples, classes)) },
];

#[cfg(test)]
mod laws;
