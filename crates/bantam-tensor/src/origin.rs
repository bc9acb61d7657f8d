//! How a tensor was made: the record that the backward pass follows, and uses up.

use crate::gradients::Gradients;
use crate::kept::Keep;
use crate::shared::Shared;
use bantam_kernels::memory::Buffer;
use bantam_kernels::vector;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The backward half of an op: gets the gradient of the op's result, hands on those of its inputs.
type Backward = Box<dyn FnOnce(Shared, &mut Inputs<'_>) + Send>;

/// Where a tracked tensor comes from. It holds no numbers: those that the backward half needs are in that half.
pub(crate) struct Origin {
    /// Increases with each origin made, so that a result's number is above those of its inputs.
    number: u64,
    length: usize,
    keep: Keep,
    is_leaf: bool,
    /// Taken by the backward pass.
    record: Mutex<Option<Record>>,
}

pub(crate) struct Record {
    inputs: Vec<Option<Arc<Origin>>>,
    backward: Backward,
}

impl Origin {
    pub(crate) fn leaf(length: usize) -> Arc<Origin> {
        Origin::numbered(length, Keep::Whole, None)
    }

    pub(crate) fn made(length: usize, keep: Keep, inputs: Vec<Option<Arc<Origin>>>, backward: Backward) -> Arc<Origin> {
        Origin::numbered(length, keep, Some(Record { inputs, backward }))
    }

    fn numbered(length: usize, keep: Keep, record: Option<Record>) -> Arc<Origin> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Origin { number, length, keep, is_leaf: record.is_none(), record: Mutex::new(record) })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn keep(&self) -> &Keep {
        &self.keep
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.is_leaf
    }

    fn take(&self) -> Option<Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Runs the backward half on the gradient of the result, and frees all that it kept.
    pub(crate) fn backward(&self, upstream: Shared, gradients: &mut Gradients) {
        let record =
            self.take().expect("the backward pass used this tensor's record up before: run the forward pass again");
        (record.backward)(upstream, &mut Inputs { origins: &record.inputs, gradients });
    }
}

impl Drop for Origin {
    /// Frees a chain of records that no backward pass has used up in a loop: by recursion, a long one would overflow the stack.
    fn drop(&mut self) {
        let mut waiting: Vec<Arc<Origin>> =
            self.take().into_iter().flat_map(|record| record.inputs).flatten().collect();
        while let Some(origin) = waiting.pop() {
            if let Some(record) = Arc::into_inner(origin).and_then(|origin| origin.take()) {
                waiting.extend(record.inputs.into_iter().flatten());
            }
        }
    }
}

/// The inputs of an op, as its backward half sees them: numbered in the order in which the op named them.
pub struct Inputs<'a> {
    origins: &'a [Option<Arc<Origin>>],
    gradients: &'a mut Gradients,
}

impl Inputs<'_> {
    /// Whether the input collects a gradient or passes one on. What is given to others is dropped, so this only spares work.
    pub fn wants(&self, input: usize) -> bool {
        self.origins[input].is_some()
    }

    /// Hands a gradient to an input: kept as it is, or added to what the input already has.
    pub fn give(&mut self, input: usize, gradient: impl Into<Shared>) {
        let Some(origin) = &self.origins[input] else { return };
        let gradient = gradient.into();
        assert_eq!(origin.length, gradient.len(), "backward: input {input} and its gradient differ in length");
        let sum = match self.gradients.take_pending(origin) {
            Some(before) => sum(before, gradient),
            None => gradient,
        };
        self.gradients.set_pending(origin, sum);
    }

    /// Lets `write` put an input's gradient in its place. It writes the whole slice, or, if told so, adds to it.
    pub fn write(&mut self, input: usize, write: impl FnOnce(&mut [f32], bool)) {
        let Some(origin) = &self.origins[input] else { return };
        let gradient = match self.gradients.take_pending(origin) {
            Some(mut before) => {
                write(before.make_mut(), true);
                before
            }
            None => {
                let mut fresh = Buffer::scratch(origin.length);
                write(&mut fresh, false);
                fresh.into()
            }
        };
        self.gradients.set_pending(origin, gradient);
    }

    /// Lets `add` add an input's gradient to what the input already has, or to zeros.
    pub fn add(&mut self, input: usize, add: impl FnOnce(&mut [f32])) {
        self.write(input, |gradient, accumulate| {
            if !accumulate {
                vector::clear(gradient);
            }
            add(gradient);
        });
    }
}

/// `first + second`, in the memory of one that nobody else holds.
fn sum(mut first: Shared, mut second: Shared) -> Shared {
    if let Some(target) = first.get_mut() {
        vector::add_assign(target, &second);
        return first;
    }
    if let Some(target) = second.get_mut() {
        vector::add_assign(target, &first);
        return second;
    }
    let mut both = Buffer::scratch(first.len());
    vector::add_into(&first, &second, &mut both);
    both.into()
}
