//! A buffer with any number of owners, which only a sole owner may change in place; or numbers that become one when somebody reads them all.

use crate::maker::Maker;
use bantam_kernels::gemm::{Make, Operand, Reading, RightFactor};
use bantam_kernels::halves::Halves;
use bantam_kernels::memory::Buffer;
use bantam_kernels::pool;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// Numbers that one task makes.
const PIECE: usize = 1 << 13;

/// A buffer that several tensors or gradients may share; cloning it copies no numbers.
#[derive(Clone)]
pub struct Shared(Arc<Numbers>);

/// The numbers, and what was made of them for products in bf16; gone when they change.
struct Numbers {
    /// Always there where nothing makes it.
    buffer: OnceLock<Buffer>,
    maker: Option<Maker>,
    length: usize,
    factors: [OnceLock<Arc<RightFactor>>; 2],
}

impl Clone for Numbers {
    fn clone(&self) -> Self {
        self.buffer().clone().into()
    }
}

impl From<Buffer> for Numbers {
    fn from(buffer: Buffer) -> Self {
        let length = buffer.len();
        Numbers { buffer: buffer.into(), maker: None, length, factors: Default::default() }
    }
}

impl Numbers {
    fn buffer(&self) -> &Buffer {
        self.buffer.get_or_init(|| {
            let mut buffer = Buffer::scratch(self.length);
            if let Some(maker) = &self.maker {
                let piece = (PIECE / maker.width()).max(1) * maker.width();
                pool::for_each_chunk(&mut buffer, piece, |index, out| {
                    let start = index * piece;
                    maker.make(start..start + out.len(), out);
                });
            }
            buffer
        })
    }

    fn into_buffer(self) -> Buffer {
        self.buffer();
        self.buffer.into_inner().unwrap_or_else(|| unreachable!("it was just made"))
    }

    fn changed(&mut self) -> &mut [f32] {
        self.buffer();
        self.factors = Default::default();
        self.maker = None;
        self.buffer.get_mut().unwrap_or_else(|| unreachable!("it was just made"))
    }
}

impl Shared {
    /// So many numbers that `maker` makes when they are read.
    pub fn made(maker: Maker, length: usize) -> Shared {
        Shared(Arc::new(Numbers { buffer: OnceLock::new(), maker: Some(maker), length, factors: Default::default() }))
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.0.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers, to be read once in ranges of whole rows of `width`: without making all of them, where they need not lie in memory.
    pub fn reading(&self, width: usize) -> Reading<'_> {
        match &self.0.maker {
            Some(maker) if self.0.buffer.get().is_none() && width.is_multiple_of(maker.width()) => {
                Reading::Made { rows: maker, first: 0 }
            }
            _ => Reading::Slice(self),
        }
    }

    /// The halves that these numbers are widened from, if they are.
    pub(crate) fn halves(&self) -> Option<Arc<Halves>> {
        self.0.maker.as_ref().and_then(Maker::as_halves).cloned()
    }

    /// The buffer itself: as it is for the sole owner, a copy otherwise.
    pub fn into_owned(self) -> Buffer {
        Arc::try_unwrap(self.0).map_or_else(|shared| shared.buffer().clone(), Numbers::into_buffer)
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
        self.0.buffer()
    }
}

impl From<Buffer> for Shared {
    fn from(buffer: Buffer) -> Self {
        Shared(Arc::new(buffer.into()))
    }
}

impl From<Halves> for Shared {
    fn from(halves: Halves) -> Self {
        let length = halves.len();
        Shared::made(Maker::halves(Arc::new(halves)), length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    #[test]
    fn numbers_are_made_in_rows_for_those_who_read_rows_and_once_for_others() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let maker = Maker::rows(3, move |numbers, out| {
            count.fetch_add(out.len(), Ordering::Relaxed);
            out.iter_mut().zip(numbers).for_each(|(out, number)| *out = number as f32);
        });
        let numbers = Shared::made(maker, 30_000);
        let mut part = [0.0; 6];
        numbers.reading(6).copy(12..18, &mut part);
        assert_eq!(
            (part, made.load(Ordering::Relaxed), numbers.len()),
            ([12.0, 13.0, 14.0, 15.0, 16.0, 17.0], 6, 30_000)
        );
        assert_eq!((numbers[29_999], numbers[12]), (29_999.0, 12.0));
        assert_eq!(made.load(Ordering::Relaxed), 30_006);
        // Now they lie in memory.
        numbers.reading(3).copy(12..18, &mut part);
        let mut changed = numbers.clone();
        changed.make_mut()[12] = -1.0;
        assert_eq!((changed[12], numbers[12], made.load(Ordering::Relaxed)), (-1.0, 12.0, 30_006));
        changed.reading(3).copy(12..18, &mut part);
        assert_eq!(part[0], -1.0);
    }

    #[test]
    fn a_width_that_cannot_be_made_alone_is_read_from_memory() {
        let numbers = Shared::made(Maker::rows(4, |numbers, out| out.fill(numbers.start as f32)), 8);
        assert!(matches!(numbers.reading(2), Reading::Slice(all) if all[7] == 0.0));
    }
}
