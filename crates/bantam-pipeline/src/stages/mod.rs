//! The stages of a recipe, a file each, in the order in which they run.

pub(crate) mod baseline;
pub(crate) mod bundle;
pub(crate) mod corpus;
pub(crate) mod ensemble;
pub(crate) mod evaluation;
pub(crate) mod model;
pub(crate) mod pretraining;
pub(crate) mod pruning;
pub(crate) mod replies;
pub(crate) mod student;
pub(crate) mod teacher;
pub(crate) mod training;
pub(crate) mod transfer;
pub(crate) mod vocabulary;
