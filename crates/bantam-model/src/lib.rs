//! Weights by name, layers, architectures, and model folders.
//!
//! Start with [`schema::Schema`], which an architecture's constructor fills, and [`weights::Weights`], the numbers laid
//! out as it says. [`layers`] hold what is computed, [`architectures`] put layers together, one file per family.
//! [`folder`] reads and writes Hugging Face folders, [`task_folder`] reads those of encoders for tasks, [`gguf`] the files of llama.cpp, and [`llama2c`] reads those of
//! llama2.c. Forward passes return values: everything that can go wrong is
//! checked when weights are loaded and when a request is accepted.

mod adapter;
pub mod architectures;
pub mod arrays;
mod batch;
mod chat_files;
pub mod folder;
mod foreign_config;
pub mod gguf;
pub mod layers;
pub mod llama2c;
mod pass;
mod past;
mod random;
mod rotary_rows;
pub mod schema;
pub mod stored;
pub mod task_folder;
mod text;
mod weights;

pub use batch::{Batch, Features};
pub use pass::{Activity, Pass, Wanted};
pub use past::{Past, PastMeter};
pub use random::Random;
pub use text::{EncodedText, TextEncoder};
pub use weights::{MismatchError, Weights};
