//! What is learned, a file each.

mod classification;
mod distillation;
mod lesson;
mod masked_token;
mod next_token;
mod order;

pub use classification::{Classification, ClassificationOptions};
pub use distillation::{Distillation, DistillationOptions, Teacher};
pub use lesson::{Lesson, thinned};
pub use masked_token::{MaskedToken, Masking};
pub use next_token::NextToken;
pub use order::Order;
