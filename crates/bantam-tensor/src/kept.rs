//! What an op keeps of its input until the backward pass: the numbers, their upper halves, or a way to make them again.

use crate::maker::Maker;
use crate::shared::Shared;
use bantam_kernels::halves::Halves;
use std::sync::Arc;

/// How the ops that use a tensor keep it: settled by the op that made it.
#[derive(Clone, Default)]
pub enum Keep {
    /// As it is, shared with everyone who holds it.
    #[default]
    Whole,
    /// Rounded to bf16: half the memory. For results that are only that exact, such as products in bf16.
    Half,
    /// Not at all: it is made again from what its own op keeps anyway, and must be what the forward pass gave.
    Again(Maker),
}

/// A tensor's numbers, kept for the backward pass; clones share them.
#[derive(Clone)]
pub struct Kept(Form);

#[derive(Clone)]
enum Form {
    Whole(Shared),
    Made { maker: Maker, length: usize },
}

impl Kept {
    pub(crate) fn new(data: &Shared, keep: &Keep) -> Kept {
        let maker = match keep {
            Keep::Whole => return Kept(Form::Whole(data.clone())),
            Keep::Half => Maker::halves(data.halves().unwrap_or_else(|| Arc::new(Halves::pack(data)))),
            Keep::Again(maker) => maker.clone(),
        };
        Kept(Form::Made { maker, length: data.len() })
    }

    /// How users of the same numbers share what is kept here.
    pub(crate) fn shared(&self) -> Keep {
        match &self.0 {
            Form::Whole(_) => Keep::Whole,
            Form::Made { maker, .. } => Keep::Again(maker.clone()),
        }
    }

    /// The numbers.
    pub fn load(&self) -> Shared {
        match &self.0 {
            Form::Whole(data) => data.clone(),
            Form::Made { maker, length } => Shared::made(maker.clone(), *length),
        }
    }
}
