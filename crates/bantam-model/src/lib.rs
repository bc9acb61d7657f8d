//! Weights by name, layers, architectures, and model folders.
//!
//! Start with [`schema::Schema`], which an architecture's constructor fills, and [`weights::Weights`], the numbers laid
//! out as it says. [`layers`] hold what is computed, [`architectures`] put layers together, one file per family.
//! [`folder`] reads and writes Hugging Face folders. Forward passes return values: everything that can go wrong is
//! checked when weights are loaded and when a request is accepted.

pub mod architectures;
pub mod arrays;
mod batch;
pub mod folder;
mod foreign_config;
pub mod gguf;
pub mod layers;
mod pass;
mod random;
pub mod schema;
mod text;
mod weights;

pub use batch::{Batch, Features};
pub use pass::{Activity, Pass};
pub use random::Random;
pub use text::{EncodedText, TextEncoder};
pub use weights::{MismatchError, Weights};
