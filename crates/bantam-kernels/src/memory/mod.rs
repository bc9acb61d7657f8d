//! Memory without allocations per step: recycled aligned buffers, regions for weights, mapped files, and what the process uses.

mod buffer;
mod counting;
mod mapped;
mod process;
mod region;

pub use buffer::{Buffer, release};
pub use counting::Counting;
pub use mapped::Mapped;
pub use process::{cpu_seconds, current_bytes, peak_bytes, reset_peak};
