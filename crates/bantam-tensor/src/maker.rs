//! Numbers that do not lie in memory as f32, but are made when they are read: a few rows at a time by who can read them so, such as a product in
//! bf16, and once and for all for everyone else.

use bantam_kernels::gemm::Make;
use bantam_kernels::halves::Halves;
use std::ops::Range;
use std::sync::Arc;

/// How the numbers of a tensor are made. Clones share it.
#[derive(Clone)]
pub struct Maker(Way);

#[derive(Clone)]
enum Way {
    Halves(Arc<Halves>),
    Rows { width: usize, is_rounded: bool, make: Arc<MakeRows> },
}

type MakeRows = dyn Fn(Range<usize>, &mut [f32]) + Send + Sync;

impl Maker {
    /// By `make`, which writes the numbers of any range of whole rows of `width`: the same ones each time, on any thread.
    pub fn rows(width: usize, make: impl Fn(Range<usize>, &mut [f32]) + Send + Sync + 'static) -> Maker {
        Maker(Way::Rows { width: width.max(1), is_rounded: false, make: Arc::new(make) })
    }

    /// The same rows, whose numbers are only as exact as bf16.
    #[must_use]
    pub(crate) fn rounded(mut self) -> Maker {
        if let Way::Rows { is_rounded, .. } = &mut self.0 {
            *is_rounded = true;
        }
        self
    }

    /// By widening numbers that are kept rounded to bf16.
    pub fn halves(halves: Arc<Halves>) -> Maker {
        Maker(Way::Halves(halves))
    }

    /// Whether the numbers are only as exact as bf16.
    pub(crate) fn is_rounded(&self) -> bool {
        match &self.0 {
            Way::Halves(_) => true,
            Way::Rows { is_rounded, .. } => *is_rounded,
        }
    }

    /// What is widened, where that is all.
    pub(crate) fn as_halves(&self) -> Option<&Arc<Halves>> {
        match &self.0 {
            Way::Halves(halves) => Some(halves),
            Way::Rows { .. } => None,
        }
    }

    /// Ranges that begin and end at multiples of this can be made.
    pub(crate) fn width(&self) -> usize {
        match &self.0 {
            Way::Halves(_) => 1,
            Way::Rows { width, .. } => *width,
        }
    }
}

impl Make for Maker {
    fn make(&self, numbers: Range<usize>, out: &mut [f32]) {
        match &self.0 {
            Way::Halves(halves) => halves.make(numbers, out),
            Way::Rows { make, .. } => make(numbers, out),
        }
    }
}
