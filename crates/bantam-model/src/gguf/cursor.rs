//! A place in the bytes of a file; every step is checked against what is left.

use super::error::GgufError;

pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next `count` bytes; `place` says what they are.
    pub(super) fn take(&mut self, count: u64, place: &str) -> Result<&'a [u8], GgufError> {
        let left = self.bytes.len() - self.at;
        let taken = usize::try_from(count).ok().and_then(|count| self.bytes[self.at..].get(..count));
        let Some(taken) = taken else {
            return Err(GgufError::Truncated { place: place.to_owned(), at: self.at, needed: count, left });
        };
        self.at += taken.len();
        Ok(taken)
    }

    /// The next `count` items of `N` bytes.
    pub(super) fn items<const N: usize>(&mut self, count: u64, place: &str) -> Result<&'a [[u8; N]], GgufError> {
        // A count that overflows is beyond every file, so the largest number gives the right error.
        Ok(self.take(count.saturating_mul(N as u64), place)?.as_chunks::<N>().0)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, place: &str) -> Result<[u8; N], GgufError> {
        Ok(self.items::<N>(1, place)?[0])
    }

    pub(super) fn u32(&mut self, place: &str) -> Result<u32, GgufError> {
        self.array(place).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, place: &str) -> Result<u64, GgufError> {
        self.array(place).map(u64::from_le_bytes)
    }

    /// A length and that many bytes of UTF-8.
    pub(super) fn text(&mut self, place: &str) -> Result<&'a str, GgufError> {
        let length = self.u64(place)?;
        let at = self.at;
        let bytes = self.take(length, place)?;
        std::str::from_utf8(bytes).map_err(|fault| {
            GgufError::damaged(format!("{place} at byte {at}"), format!("text that is not UTF-8 ({fault})"))
        })
    }
}
