//! A buffer with any number of owners, which only a sole owner may change in place.

use bantam_kernels::gemm::{Operand, RightFactor};
use bantam_kernels::memory::Buffer;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// A buffer that several tensors or gradients may share; cloning it copies no numbers.
#[derive(Clone)]
pub struct Shared(Arc<Numbers>);

/// The numbers, and what was made of them for products in bf16; gone when they change.
struct Numbers {
    buffer: Buffer,
    factors: [OnceLock<Arc<RightFactor>>; 2],
}

impl Clone for Numbers {
    fn clone(&self) -> Self {
        self.buffer.clone().into()
    }
}

impl From<Buffer> for Numbers {
    fn from(buffer: Buffer) -> Self {
        Numbers { buffer, factors: Default::default() }
    }
}

impl Numbers {
    fn changed(&mut self) -> &mut [f32] {
        self.factors = Default::default();
        &mut self.buffer
    }
}

impl Shared {
    /// The buffer itself: as it is for the sole owner, a copy otherwise.
    pub fn into_owned(self) -> Buffer {
        Arc::try_unwrap(self.0).map_or_else(|shared| shared.buffer.clone(), |numbers| numbers.buffer)
    }

    /// The numbers, to be changed in place; copied first if there are other owners.
    pub fn make_mut(&mut self) -> &mut [f32] {
        Arc::make_mut(&mut self.0).changed()
    }

    /// The numbers, to be changed in place by their sole owner.
    pub fn get_mut(&mut self) -> Option<&mut [f32]> {
        Arc::get_mut(&mut self.0).map(Numbers::changed)
    }

    /// The right factor of products in bf16 that this is as a matrix `[rows, columns]`, or as its transpose. Kept until the numbers change: what
    /// weights cost is shared by all the batches of a step.
    pub(crate) fn factor(&self, rows: usize, columns: usize, transposed: bool) -> Arc<RightFactor> {
        let operand = Operand::new(self, rows, columns);
        let operand = if transposed { operand.t() } else { operand };
        let kept = self.0.factors[usize::from(transposed)].get_or_init(|| Arc::new(RightFactor::pack(operand)));
        if kept.fits(operand.rows, operand.columns) { kept.clone() } else { Arc::new(RightFactor::pack(operand)) }
    }
}

impl Deref for Shared {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0.buffer
    }
}

impl From<Buffer> for Shared {
    fn from(buffer: Buffer) -> Self {
        Shared(Arc::new(buffer.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sole_owner_changes_numbers_in_place() {
        let mut first = Shared::from(Buffer::from_slice(&[1.0, 2.0]));
        let second = first.clone();
        assert!(first.get_mut().is_none());
        first.make_mut()[0] = 5.0;
        assert_eq!((first[0], second[0]), (5.0, 1.0));
        let address = first.as_ptr();
        assert_eq!(first.into_owned().as_ptr(), address);
    }
}
