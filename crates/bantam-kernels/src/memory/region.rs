//! Memory for what stays: the weights of a model. They are read whole for each token, and a small model's matrices are shorter than a huge page each, so
//! they lie side by side in mappings of huge pages: on pages of 4 KiB a core reads a stream at little more than half the speed (docs/log.md).

use memmap2::MmapMut;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Bytes of a huge page.
pub(super) const HUGE_PAGE: usize = 2 << 20;
/// Bytes of a cache line: where pieces begin.
const ALIGNMENT: usize = 64;
/// Bytes of a region. Only pages that are written take memory.
const REGION: usize = 256 << 20;
/// Pieces from this size have a region of their own.
const OWN: usize = REGION / 4;
/// Bytes of a page of the system at most: what is given back of a piece is whole pages of it.
const PAGE: usize = 64 << 10;

/// A mapping that is given away piece by piece, and back to the system when all of its pieces are.
pub(super) struct Region {
    start: NonNull<u8>,
    /// Bytes of the mapping before the start.
    lead: usize,
    mapping: MmapMut,
}

// SAFETY: a region is only an address; each piece of it belongs to whom it was given.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Maps zeros, of which the first `bytes` begin at a huge page; `None` where the system has none to give.
    pub(super) fn map(bytes: usize) -> Option<Region> {
        let mut mapping = MmapMut::map_anon(bytes + HUGE_PAGE).ok()?;
        #[cfg(target_os = "linux")]
        // Advice only: without huge pages everything works, a little slower.
        let _ = mapping.advise(memmap2::Advice::HugePage);
        let begin = mapping.as_mut_ptr();
        let lead = begin.align_offset(HUGE_PAGE);
        // SAFETY: the mapping is one huge page longer than what is used of it.
        let start = NonNull::new(unsafe { begin.add(lead) })?;
        Some(Region { start, lead, mapping })
    }

    /// The beginning of the region.
    pub(super) fn start(&self) -> NonNull<f32> {
        self.start.cast()
    }

    /// Gives the memory of `bytes` from an address of the region back to the system, where it takes it.
    ///
    /// # Safety
    /// Both are multiples of [`PAGE`], the bytes are in the region, and nobody uses them any more.
    unsafe fn give_back(&self, address: usize, bytes: usize) {
        let offset = address - self.start.as_ptr().addr() + self.lead;
        #[cfg(unix)]
        // SAFETY: as promised: whole pages of this mapping.
        let _ = unsafe { self.mapping.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, offset, bytes) };
        #[cfg(not(unix))]
        let _ = (&self.mapping, offset, bytes);
    }
}

/// A part of a region. Its memory goes back to the system when it is dropped, its addresses with the region.
pub(super) struct Piece {
    pub(super) pointer: NonNull<f32>,
    region: Arc<Region>,
    bytes: usize,
}

impl Piece {
    /// `bytes` zeros that nobody else has; `None` where the system has none to give.
    pub(super) fn take(bytes: usize) -> Option<Piece> {
        /// The region that was begun last, and how much of it was given away.
        static LAST: Mutex<(Weak<Region>, usize)> = Mutex::new((Weak::new(), 0));
        if bytes >= OWN {
            let region = Region::map(bytes)?;
            return Some(Piece { pointer: region.start(), region: Arc::new(region), bytes });
        }
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        let region = match last.0.upgrade() {
            Some(region) if last.1 + bytes <= REGION => region,
            _ => {
                let region = Arc::new(Region::map(REGION)?);
                *last = (Arc::downgrade(&region), 0);
                region
            }
        };
        // SAFETY: the region has `REGION` bytes, and these are among them.
        let pointer = unsafe { region.start.add(last.1) }.cast();
        last.1 += bytes.next_multiple_of(ALIGNMENT);
        Some(Piece { pointer, region, bytes })
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let start = self.pointer.as_ptr().addr();
        let (first, last) = (start.next_multiple_of(PAGE), (start + self.bytes) / PAGE * PAGE);
        if first < last {
            // SAFETY: nobody but this piece, which is not used any more, has a part of these pages.
            unsafe { self.region.give_back(first, last - first) };
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::memory::Buffer;

    #[test]
    fn lasting_buffers_are_zeroed_aligned_and_apart() {
        let lengths = [1, 17, 70_000, 600_000, 3_000_000, 9_000_000, 5];
        let mut buffers: Vec<Buffer> = lengths.map(Buffer::lasting).into();
        for (index, buffer) in buffers.iter_mut().enumerate() {
            assert_eq!(buffer.len(), lengths[index]);
            assert!(buffer.as_ptr().addr().is_multiple_of(64));
            assert!(buffer.iter().all(|&value| value == 0.0), "of {}", lengths[index]);
            buffer.fill(index as f32 + 1.0);
        }
        for (index, buffer) in buffers.iter().enumerate() {
            assert!(buffer.iter().all(|&value| value == index as f32 + 1.0), "of {}", lengths[index]);
        }
        assert!(Buffer::lasting(0).is_empty());
    }

    #[test]
    fn what_is_dropped_is_not_handed_out_with_its_numbers() {
        for _ in 0..3 {
            let mut buffers = [Buffer::lasting(50_000), Buffer::lasting(50_000)];
            assert!(buffers.iter().all(|buffer| buffer.iter().all(|&value| value == 0.0)));
            buffers.iter_mut().for_each(|buffer| buffer.fill(1.0));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_dropped_gives_its_memory_back_while_others_stay() {
        let before = crate::memory::current_bytes();
        // Of each region something stays, so that none goes back whole.
        let stays: Vec<Buffer> = (0..100)
            .map(|_| {
                let mut stays = Buffer::lasting(50_000);
                stays.fill(1.0);
                Buffer::lasting(2_000_000).fill(1.0);
                stays
            })
            .collect();
        let grown = crate::memory::current_bytes().saturating_sub(before);
        // Other tests of this process take some, too.
        assert!(grown < 500 << 20, "{grown} bytes more after 100 pieces of 8 MB, one at a time");
        assert!(stays.iter().all(|stays| stays.iter().all(|&value| value == 1.0)));
    }
}
