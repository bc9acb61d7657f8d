//! What an op keeps of its input until the backward pass: the numbers, their upper halves, or a way to make them again.

use crate::shared::Shared;
use bantam_kernels::halves;
use bantam_kernels::memory::Buffer;
use std::sync::Arc;

/// How the ops that use a tensor keep it: settled by the op that made it.
#[derive(Clone, Default)]
pub enum Keep {
    /// As it is, shared with everyone who holds it.
    #[default]
    Whole,
    /// Rounded to bf16: half the memory. For results that are only that exact, such as products in bf16.
    Half,
    /// Not at all: the function makes it again in one cheap pass from what its own op keeps anyway.
    Again(Arc<dyn Fn() -> Buffer + Send + Sync>),
}

impl Keep {
    /// Makes a tensor's numbers again by `make`, which must give what the forward pass gave.
    pub fn again(make: impl Fn() -> Buffer + Send + Sync + 'static) -> Keep {
        Keep::Again(Arc::new(make))
    }
}

/// A tensor's numbers, kept for the backward pass; clones share them.
#[derive(Clone)]
pub struct Kept(Form);

#[derive(Clone)]
enum Form {
    Whole(Shared),
    Half { pairs: Arc<Buffer>, length: usize },
    Again(Arc<dyn Fn() -> Buffer + Send + Sync>),
}

impl Kept {
    pub(crate) fn new(data: &Shared, keep: &Keep) -> Kept {
        Kept(match keep {
            Keep::Whole => Form::Whole(data.clone()),
            Keep::Half => Form::Half { pairs: Arc::new(halves::pack(data)), length: data.len() },
            Keep::Again(make) => Form::Again(make.clone()),
        })
    }

    /// How users of the same numbers share what is kept here.
    pub(crate) fn shared(&self) -> Keep {
        match &self.0 {
            Form::Whole(_) => Keep::Whole,
            Form::Half { .. } | Form::Again(_) => {
                let kept = self.clone();
                Keep::again(move || kept.load().into_owned())
            }
        }
    }

    /// The numbers.
    pub fn load(&self) -> Shared {
        match &self.0 {
            Form::Whole(data) => data.clone(),
            Form::Half { pairs, length } => halves::unpack(pairs, *length).into(),
            Form::Again(make) => make().into(),
        }
    }
}
