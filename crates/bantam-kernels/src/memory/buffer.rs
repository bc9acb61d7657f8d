//! 64-byte-aligned slices of f32 whose memory is kept and handed out again, so that a training step allocates nothing and faults no page.
//!
//! Freed blocks go to a small cache of their thread, and from there to lists shared by all threads, one list per size. Sizes are rounded up
//! to quarters of a power of two. Together with what is in use, the lists hold at most
//! five quarters of what was once in use at the same time (and a little slack); sizes that nobody asks for any more go first.

use super::region::{HUGE_PAGE, Piece, Region};
use half::f16;
use memmap2::MmapMut;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a cache line, and of the widest vector.
const ALIGNMENT: usize = 64;
/// Blocks from this size are mapped on their own: pages become zeros where and when they are written first, and not one after another by the
/// thread that asks for them, as an allocator clears aligned memory.
const MAPPED: usize = 128 << 10;
/// Blocks that a thread keeps for itself, and the largest of them in elements.
const LOCAL_BLOCKS: usize = 16;
const LOCAL_CAPACITY: usize = 1 << 18;
/// Bytes that may be kept beyond five quarters of the most that was live at once.
const SLACK: usize = 16 << 20;

/// A fixed-length slice of f32, aligned to 64 bytes. Dropping it keeps its memory for the next one.
pub struct Buffer {
    block: Option<Block>,
    length: usize,
}

impl Buffer {
    /// `length` zeros.
    pub fn zeroed(length: usize) -> Buffer {
        let (mut buffer, is_fresh) = Buffer::take(length);
        if !is_fresh {
            buffer.fill(0.0);
        }
        buffer
    }

    /// `length` numbers left over from earlier use: for results that are written whole before they are read.
    pub fn scratch(length: usize) -> Buffer {
        Buffer::take(length).0
    }

    /// `length` zeros for what stays, such as weights: side by side with others of their kind on huge pages, and given back to the system and not
    /// kept when they are dropped. A few, which caches hold, are not worth a huge page.
    pub fn lasting(length: usize) -> Buffer {
        let bytes = length * size_of::<f32>();
        let piece = if bytes < MAPPED { None } else { Piece::take(bytes) };
        let Some(piece) = piece else { return Buffer::zeroed(length) };
        let (pointer, home) = (piece.pointer, Home::Piece(piece));
        Buffer { block: Some(Block { pointer, capacity: length, home }), length }
    }

    /// A copy of `data`.
    pub fn from_slice(data: &[f32]) -> Buffer {
        let mut buffer = Buffer::scratch(data.len());
        buffer.copy_from_slice(data);
        buffer
    }

    fn take(length: usize) -> (Buffer, bool) {
        if length == 0 {
            return (Buffer { block: None, length }, false);
        }
        let capacity = round_up(length);
        let kept = LOCAL.try_with(|local| local.borrow_mut().take(capacity)).ok().flatten();
        let kept = kept.or_else(|| shared().take(capacity));
        let is_fresh = kept.is_none();
        let block = kept.unwrap_or_else(|| Block::allocate(capacity));
        (Buffer { block: Some(block), length }, is_fresh)
    }

    /// The same memory as 32-bit words.
    pub(crate) fn words(&self) -> &[u32] {
        // SAFETY: u32 and f32 have one size and alignment, and every bit pattern is valid for both.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), self.length) }
    }

    /// The same memory as half-precision numbers, two to an element.
    pub(crate) fn halves(&self) -> &[f16] {
        // SAFETY: an f32 has room for two numbers of 16 bits, at a coarser alignment, and every bit pattern is valid for both.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), 2 * self.length) }
    }

    /// The same memory as half-precision numbers, to be written.
    pub(crate) fn halves_mut(&mut self) -> &mut [f16] {
        let length = 2 * self.length;
        // SAFETY: as above, and the buffer is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), length) }
    }

    /// The same memory as 32-bit words, to be written.
    pub(crate) fn words_mut(&mut self) -> &mut [u32] {
        let length = self.length;
        // SAFETY: as above, and the buffer is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), length) }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        let pointer = self.block.as_ref().map_or(NonNull::dangling(), |block| block.pointer);
        // SAFETY: the block holds at least `length` initialised elements (zeroed when allocated); an empty buffer has length 0.
        unsafe { std::slice::from_raw_parts(pointer.as_ptr(), self.length) }
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        let pointer = self.block.as_ref().map_or(NonNull::dangling(), |block| block.pointer);
        // SAFETY: as above, and the block belongs to this buffer alone.
        unsafe { std::slice::from_raw_parts_mut(pointer.as_ptr(), self.length) }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        Buffer::from_slice(self)
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(block) = self.block.take().filter(|block| !matches!(block.home, Home::Piece(_))) else { return };
        // While a thread ends its cache is gone; its blocks then go straight to the shared lists.
        let mut block = Some(block);
        let _ = LOCAL.try_with(|local| {
            let mut local = local.borrow_mut();
            if block.as_ref().is_some_and(|block| block.capacity <= LOCAL_CAPACITY) && local.blocks.len() < LOCAL_BLOCKS
            {
                local.blocks.extend(block.take());
            }
        });
        if let Some(block) = block {
            shared().put(block);
        }
    }
}

/// Gives all kept memory back to the system: for the end of a stage, before something else needs it.
pub fn release() {
    let local = LOCAL.try_with(|local| std::mem::take(&mut local.borrow_mut().blocks)).unwrap_or_default();
    let mut shared = shared();
    local.into_iter().for_each(|block| shared.put(block));
    let kept = std::mem::take(&mut shared.kept);
    shared.kept_bytes = 0;
    shared.most_live_bytes = shared.live_bytes;
    drop(shared);
    drop(kept);
}

/// Rounds a length up to 16 elements, and above 128 to a quarter step between two powers of two.
fn round_up(length: usize) -> usize {
    let step = (length.next_power_of_two() / 8).max(ALIGNMENT / size_of::<f32>());
    length.next_multiple_of(step)
}

/// Memory for `capacity` elements, all of them initialised.
struct Block {
    pointer: NonNull<f32>,
    capacity: usize,
    home: Home,
}

/// Where a block's memory comes from, and what holds it.
#[expect(dead_code, reason = "held until the block is dropped, and never looked at")]
enum Home {
    Allocator,
    /// A mapping of its own.
    Mapping(MmapMut),
    /// A region of its own, of huge pages.
    Region(Region),
    /// A part of a region, which is not handed out again.
    Piece(Piece),
}

// SAFETY: a block owns its memory alone.
unsafe impl Send for Block {}
// SAFETY: a shared block is only read.
unsafe impl Sync for Block {}

impl Block {
    fn allocate(capacity: usize) -> Block {
        let bytes = capacity * size_of::<f32>();
        if bytes >= MAPPED
            && let Some(block) = Block::map(capacity, bytes)
        {
            return block;
        }
        let layout = Block::layout(capacity);
        // SAFETY: the layout's size is not zero, since buffers of length 0 have no block.
        let pointer = unsafe { alloc_zeroed(layout) };
        let Some(pointer) = NonNull::new(pointer.cast::<f32>()) else { handle_alloc_error(layout) };
        Block { pointer, capacity, home: Home::Allocator }
    }

    /// An anonymous mapping whose used part starts at a huge page, if it is as long as one; `None` where the system has none to give.
    fn map(capacity: usize, bytes: usize) -> Option<Block> {
        if bytes < HUGE_PAGE {
            let mut mapping = MmapMut::map_anon(bytes).ok()?;
            let pointer = NonNull::new(mapping.as_mut_ptr().cast())?;
            return Some(Block { pointer, capacity, home: Home::Mapping(mapping) });
        }
        let region = Region::map(bytes)?;
        Some(Block { pointer: region.start(), capacity, home: Home::Region(region) })
    }

    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity * size_of::<f32>(), ALIGNMENT)
            .expect("a buffer is smaller than the address space")
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if matches!(self.home, Home::Allocator) {
            // SAFETY: allocated with this very layout.
            unsafe { dealloc(self.pointer.as_ptr().cast(), Block::layout(self.capacity)) };
        }
    }
}

thread_local! {
    static LOCAL: RefCell<Local> = const { RefCell::new(Local { blocks: Vec::new() }) };
}

struct Local {
    blocks: Vec<Block>,
}

impl Local {
    fn take(&mut self, capacity: usize) -> Option<Block> {
        let index = self.blocks.iter().rposition(|block| block.capacity == capacity)?;
        Some(self.blocks.swap_remove(index))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let mut shared = shared();
        self.blocks.drain(..).for_each(|block| shared.put(block));
    }
}

/// The lists that all threads share, with the bytes outside of them (in use, or in caches of threads), now and at most so far.
struct Lists {
    kept: BTreeMap<usize, Kept>,
    kept_bytes: usize,
    live_bytes: usize,
    most_live_bytes: usize,
    clock: u64,
}

/// The kept blocks of one size, and when a block of it last came or went.
#[derive(Default)]
struct Kept {
    blocks: Vec<Block>,
    used: u64,
}

fn shared() -> MutexGuard<'static, Lists> {
    static SHARED: Mutex<Lists> =
        Mutex::new(Lists { kept: BTreeMap::new(), kept_bytes: 0, live_bytes: 0, most_live_bytes: 0, clock: 0 });
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lists {
    /// A kept block, or the permission to allocate one: it counts as live from now on either way.
    fn take(&mut self, capacity: usize) -> Option<Block> {
        let bytes = capacity * size_of::<f32>();
        self.live_bytes += bytes;
        self.most_live_bytes = self.most_live_bytes.max(self.live_bytes);
        self.clock += 1;
        let kept = self.kept.get_mut(&capacity)?;
        kept.used = self.clock;
        let block = kept.blocks.pop()?;
        self.kept_bytes -= bytes;
        Some(block)
    }

    /// Keeps a block. Where all memory together would pass what was once live by more than the slack, the sizes unused for longest go.
    fn put(&mut self, block: Block) {
        let bytes = block.capacity * size_of::<f32>();
        self.live_bytes -= bytes;
        self.kept_bytes += bytes;
        self.clock += 1;
        let kept = self.kept.entry(block.capacity).or_default();
        kept.used = self.clock;
        kept.blocks.push(block);
        let limit = self.most_live_bytes + self.most_live_bytes / 4 + SLACK;
        while self.live_bytes + self.kept_bytes > limit {
            let oldest = self.kept.iter().filter(|(_, kept)| !kept.blocks.is_empty()).min_by_key(|(_, kept)| kept.used);
            let Some(capacity) = oldest.map(|(&capacity, _)| capacity) else { return };
            self.kept_bytes -= capacity * size_of::<f32>();
            drop(self.kept.get_mut(&capacity).and_then(|kept| kept.blocks.pop()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_zeroed_at_every_size() {
        for length in [0, 1, 15, 16, 17, 127, 129, 1000, 5000, 100_000, 600_000, 3_000_000] {
            for _ in 0..3 {
                let mut buffer = Buffer::zeroed(length);
                assert_eq!(buffer.len(), length);
                assert!(length == 0 || buffer.as_ptr().addr().is_multiple_of(ALIGNMENT));
                assert!(buffer.iter().all(|&value| value == 0.0), "{length}");
                buffer.fill(1.0);
            }
        }
    }

    #[test]
    fn memory_comes_back_to_its_thread() {
        for length in [100, 50_000] {
            let first = Buffer::scratch(length);
            let pointer = first.as_ptr();
            drop(first);
            assert_eq!(Buffer::scratch(length).as_ptr(), pointer);
        }
    }

    #[test]
    fn large_memory_crosses_threads() {
        // A size of its own, so that no other test takes the block in between.
        const LENGTH: usize = 9_437_184;
        let pointer = std::thread::spawn(|| Buffer::zeroed(LENGTH).as_ptr().addr()).join().unwrap();
        let again = Buffer::zeroed(LENGTH);
        assert_eq!(again.as_ptr().addr(), pointer);
        assert!(again.as_ptr().addr().is_multiple_of(HUGE_PAGE) && again.iter().all(|&value| value == 0.0));
    }

    #[test]
    fn copies_are_equal_and_apart() {
        let data: Vec<f32> = (0..77).map(|value| value as f32).collect();
        let first = Buffer::from_slice(&data);
        let mut second = first.clone();
        second[3] = -1.0;
        assert_eq!(&first[..], &data[..]);
        assert_eq!(second[3], -1.0);
    }

    #[test]
    fn rounding_wastes_a_quarter_at_most() {
        for length in 1..20_000 {
            let capacity = round_up(length);
            assert!(
                capacity >= length && capacity.is_multiple_of(16) && (capacity - length) * 4 <= length.max(64),
                "{length}: {capacity}"
            );
        }
    }
}
