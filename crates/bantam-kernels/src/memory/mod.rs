//! Memory without allocations per step: recycled aligned buffers, regions for weights, mapped files, the program's own pages, and what the process uses.

mod buffer;
mod counting;
mod mapped;
mod process;
mod program;
mod region;

pub use buffer::{Buffer, release};
pub use counting::Counting;
pub use mapped::Mapped;
pub use process::{cpu_seconds, current_bytes, peak_bytes, reset_peak};
pub use program::give_back_program;
