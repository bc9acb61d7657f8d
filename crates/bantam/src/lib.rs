//! The façade: what a program that embeds Bantam needs, under one name.

pub use bantam_kernels as kernels;
pub use bantam_model as model;
pub use bantam_tensor as tensor;
pub use bantam_train as train;
