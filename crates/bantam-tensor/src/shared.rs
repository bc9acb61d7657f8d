//! A buffer with any number of owners, which only a sole owner may change in place.

use bantam_kernels::memory::Buffer;
use std::ops::Deref;
use std::sync::Arc;

/// A buffer that several tensors or gradients may share; cloning it copies no numbers.
#[derive(Clone)]
pub struct Shared(Arc<Buffer>);

impl Shared {
    /// The buffer itself: as it is for the sole owner, a copy otherwise.
    pub fn into_owned(self) -> Buffer {
        Arc::try_unwrap(self.0).unwrap_or_else(|shared| Buffer::clone(&shared))
    }

    /// The numbers, to be changed in place; copied first if there are other owners.
    pub fn make_mut(&mut self) -> &mut [f32] {
        &mut *Arc::make_mut(&mut self.0)
    }

    /// The numbers, to be changed in place by their sole owner.
    pub fn get_mut(&mut self) -> Option<&mut [f32]> {
        Arc::get_mut(&mut self.0).map(|buffer| &mut **buffer)
    }
}

impl Deref for Shared {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl From<Buffer> for Shared {
    fn from(buffer: Buffer) -> Self {
        Shared(Arc::new(buffer))
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
