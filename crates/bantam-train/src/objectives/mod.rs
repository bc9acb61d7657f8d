//! What is learned, a file each.

mod masked_token;
mod next_token;
mod order;

pub use masked_token::{MaskedToken, Masking};
pub use next_token::NextToken;
pub use order::Order;
