//! A file's bytes without reading them: a read-only mapping, or a plain copy where the system has no mappings.

use memmap2::Mmap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::{Deref, Range};
use std::path::Path;

/// The bytes of a file. Bantam never changes a published file in place (artifacts are renamed into place whole), which is what makes a
/// mapping safe to read.
#[derive(Debug)]
pub struct Mapped(Source);

#[derive(Debug)]
enum Source {
    Mapping(Mmap),
    Copy(Vec<u8>),
}

impl Mapped {
    /// Maps the file at `path`; an empty file gives an empty slice. Where mapping is refused (wasm, some network file systems), the file is
    /// read instead.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Mapped> {
        let mut file = File::open(path)?;
        if file.metadata()?.is_file() && file.metadata()?.len() > 0 {
            // SAFETY: the mapping is private and read-only; files are replaced by renaming, never rewritten, while they are in use.
            if let Ok(mapping) = unsafe { Mmap::map(&file) } {
                return Ok(Mapped(Source::Mapping(mapping)));
            }
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Mapped(Source::Copy(bytes)))
    }
}

impl Mapped {
    /// Where a part of these bytes lies among them; `None` for other bytes.
    pub fn range_of(&self, part: &[u8]) -> Option<Range<usize>> {
        let start = (part.as_ptr() as usize).checked_sub(self.as_ptr() as usize)?;
        let end = start.checked_add(part.len())?;
        (end <= self.len()).then_some(start..end)
    }

    /// Gives the memory of bytes that are not needed any more back to the system; they are read from the file again if they are after all.
    pub fn forget(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Source::Mapping(mapping) = &self.0
            && range.end <= mapping.len()
        {
            // SAFETY: the mapping is of a file and never written, so that dropped pages come back with the same bytes.
            // Advice only: where it is refused, the memory stays taken.
            let _ =
                unsafe { mapping.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) };
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Source::Mapping(mapping) => mapping,
            Source::Copy(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_whole_and_errors_are_passed_on() {
        let folder = std::env::temp_dir().join(format!("bantam-mapped-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for bytes in [&b""[..], b"x", &[7; 10_000]] {
            let path = folder.join("file");
            std::fs::write(&path, bytes).unwrap();
            let mapped = Mapped::open(&path).unwrap();
            assert_eq!(&mapped[..], bytes);
            assert_eq!(mapped.range_of(&mapped[bytes.len() / 2..]), Some(bytes.len() / 2..bytes.len()));
            assert_eq!(mapped.range_of(&[1, 2]), None);
            mapped.forget(0..bytes.len());
            assert_eq!(&mapped[..], bytes, "forgotten bytes come back");
        }
        assert_eq!(Mapped::open(folder.join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(Mapped::open(&folder).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
