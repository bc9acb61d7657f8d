//! The façade: what a program that embeds Bantam needs, under one name.
//!
//! To answer with a bundle, [`runtime::Assistant`] is enough; [`pipeline::run`] makes one.

pub use bantam_eval as eval;
pub use bantam_kernels as kernels;
pub use bantam_model as model;
pub use bantam_pipeline as pipeline;
pub use bantam_runtime as runtime;
pub use bantam_server as server;
pub use bantam_tensor as tensor;
pub use bantam_train as train;
