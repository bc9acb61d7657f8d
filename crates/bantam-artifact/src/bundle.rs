//! The container that a bundle is: named sections in one file, laid out to be mapped into memory.
//!
//! | bytes | what |
//! |---|---|
//! | 0 to 7 | `BANTAM2\0`; the digit is the layout |
//! | 8 to 15 | the header's length, u64, little endian |
//! | 16 to 47 | BLAKE3 of the header |
//! | 48 and on | the header: JSON with the maker's metadata and, by name, each section's place, length and BLAKE3 |
//! | the rest | the sections in the order of their names, each beginning at a multiple of 64 bytes, with zeros between |
//!
//! Nothing in the file is without a check: a hash protects the header, the header's hashes the sections, and whatever else
//! there is must be zero. Layout 1 had no hash of the header.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hash::digest;
use crate::{Error, hash_bytes, write_atomic};

const MAGIC: &[u8; 8] = b"BANTAM2\0";
/// The layout that this program writes and understands: the digit of the first bytes.
pub const LAYOUT: u32 = (MAGIC[6] - b'0') as u32;
const ALIGNMENT: usize = 64;
/// Where the header begins: after the magic bytes, its length and its hash.
const HEADER: usize = 48;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    metadata: Value,
    sections: BTreeMap<String, Section>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Section {
    /// From the end of the header, rounded up to the alignment.
    offset: u64,
    length: u64,
    blake3: String,
}

/// Why bytes are not a bundle that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Another kind of file.
    #[error(
        "not a Bantam bundle: it does not begin with BANTAM{LAYOUT}; give a .bantam file, as `bantam run` makes it"
    )]
    Foreign,
    /// The file ends too early.
    #[error("the bundle is cut off: {what} needs {needed} bytes, and the file has {found}; copy it again")]
    Truncated {
        /// Which part.
        what: String,
        /// Where that part ends.
        needed: u64,
        /// The file's length.
        found: u64,
    },
    /// The header is not what it should be.
    #[error("the bundle's header is damaged ({what}); copy it again")]
    Header {
        /// What was found.
        what: String,
    },
    /// Made by an older program.
    #[error("the bundle has layout {found}, and this program knows {LAYOUT}; make it again with `bantam run`")]
    Older {
        /// Its layout.
        found: u32,
    },
    /// Made by a newer program.
    #[error("the bundle has layout {found}, and this program knows {LAYOUT}; use a newer bantam")]
    Newer {
        /// Its layout.
        found: u32,
    },
    /// Bytes that belong to no section.
    #[error("the bundle is damaged: it has {what}; copy it again")]
    Stray {
        /// Which, and where.
        what: String,
    },
    /// A section's contents have changed.
    #[error("section `{name}` of the bundle is damaged: its hash does not agree; copy it again")]
    Damaged {
        /// The section.
        name: String,
    },
    /// A section is not there.
    #[error("the bundle has no section `{name}`; make it again with this version of bantam")]
    Missing {
        /// The section.
        name: String,
    },
}

/// Sections being put together.
#[derive(Debug, Default)]
pub struct Writer {
    sections: BTreeMap<String, Vec<u8>>,
}

impl Writer {
    /// An empty bundle.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a section, or replaces it.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>) {
        self.sections.insert(name.to_owned(), bytes);
    }

    /// The bytes of the whole file; the same sections give the same bytes.
    pub fn to_bytes(&self, metadata: &Value) -> Vec<u8> {
        let mut offset = 0;
        let place = |(name, bytes): (&String, &Vec<u8>)| {
            let section = Section { offset: offset as u64, length: bytes.len() as u64, blake3: hash_bytes(bytes) };
            offset = (offset + bytes.len()).next_multiple_of(ALIGNMENT);
            (name.clone(), section)
        };
        let sections = self.sections.iter().map(place).collect();
        let header = Header { metadata: metadata.clone(), sections };
        let header = serde_json::to_vec(&header).expect("a header is plain data");
        let mut file = MAGIC.to_vec();
        file.extend((header.len() as u64).to_le_bytes());
        file.extend(digest(&header));
        file.extend(header);
        for bytes in self.sections.values() {
            file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
            file.extend(bytes);
        }
        file
    }

    /// Writes the file whole, or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path, metadata: &Value) -> Result<(), Error> {
        write_atomic(path, &self.to_bytes(metadata))
    }
}

/// Checks the first bytes; what is cut off inside them is left to later checks.
fn check_magic(bytes: &[u8]) -> Result<(), BundleError> {
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    match start {
        [_, ..] if MAGIC.starts_with(start) => Ok(()),
        [name @ .., digit @ b'1'..=b'9', 0] if *name == MAGIC[..6] => {
            let found = u32::from(digit - b'0');
            Err(if found < LAYOUT { BundleError::Older { found } } else { BundleError::Newer { found } })
        }
        _ => Err(BundleError::Foreign),
    }
}

/// A bundle in memory or mapped from a file.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// Where the header ends.
    end: usize,
    /// Where sections may begin.
    body: usize,
    header: Header,
}

impl<'a> Reader<'a> {
    /// Checks and reads the header, and that every section lies inside the file. Contents are checked by [`Reader::verify`].
    ///
    /// # Errors
    /// When the bytes are no bundle, cut off, damaged, or of another layout.
    pub fn new(bytes: &'a [u8]) -> Result<Self, BundleError> {
        let found = bytes.len() as u64;
        let truncated = |what: &str, needed: u64| BundleError::Truncated { what: what.to_owned(), needed, found };
        check_magic(bytes)?;
        let Some(start) = bytes.get(..HEADER) else { return Err(truncated("its beginning", HEADER as u64)) };
        let length = u64::from_le_bytes(start[8..16].try_into().expect("eight bytes were taken"));
        let end = length
            .checked_add(HEADER as u64)
            .ok_or_else(|| BundleError::Header { what: "its length overflows".to_owned() })?;
        if end > found {
            return Err(truncated("the header", end));
        }
        let end = end as usize;
        let header = &bytes[HEADER..end];
        if digest(header) != start[16..] {
            return Err(BundleError::Header { what: "its hash does not agree".to_owned() });
        }
        let header: Header =
            serde_json::from_slice(header).map_err(|error| BundleError::Header { what: error.to_string() })?;
        let body = end.next_multiple_of(ALIGNMENT);
        for (name, section) in &header.sections {
            let end = section.offset.checked_add(section.length).and_then(|end| end.checked_add(body as u64));
            match end {
                Some(end) if end <= found => {}
                Some(end) => return Err(truncated(&format!("section `{name}`"), end)),
                None => return Err(BundleError::Header { what: format!("section `{name}` overflows") }),
            }
        }
        Ok(Self { bytes, end, body, header })
    }

    /// What the maker wrote about the bundle.
    pub fn metadata(&self) -> &Value {
        &self.header.metadata
    }

    /// Names of the sections.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.header.sections.keys().map(String::as_str)
    }

    /// The bytes of a section.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn section(&self, name: &str) -> Result<&'a [u8], BundleError> {
        let section = self.header.sections.get(name).ok_or_else(|| BundleError::Missing { name: name.to_owned() })?;
        let start = self.body + section.offset as usize;
        Ok(&self.bytes[start..start + section.length as usize])
    }

    /// Compares every section with its hash, and everything between them with nothing.
    ///
    /// # Errors
    /// Names the first section that does not agree.
    pub fn verify(&self) -> Result<(), BundleError> {
        let mut end = self.end;
        for (name, section) in &self.header.sections {
            let bytes = self.section(name)?;
            if hash_bytes(bytes) != section.blake3 {
                return Err(BundleError::Damaged { name: name.clone() });
            }
            let start = self.body + section.offset as usize;
            let gap = self.bytes.get(end..start);
            let gap = gap.ok_or_else(|| BundleError::Header { what: format!("section `{name}` begins in another") })?;
            if gap.iter().any(|&byte| byte != 0) {
                return Err(BundleError::Stray { what: format!("bytes that are not zero before section `{name}`") });
            }
            end = start + bytes.len();
        }
        if end < self.bytes.len() {
            return Err(BundleError::Stray { what: "bytes after its last section".to_owned() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new();
        writer.add("weights", vec![7; 100]);
        writer.add("labels", b"yes\nno".to_vec());
        writer.add("nothing", Vec::new());
        writer.to_bytes(&serde_json::json!({"name": "sample"}))
    }

    #[test]
    fn sections_come_back_aligned() {
        let bytes = sample();
        let reader = Reader::new(&bytes).unwrap();
        assert_eq!(reader.section("weights").unwrap(), [7; 100]);
        assert_eq!(reader.section("labels").unwrap(), b"yes\nno");
        assert_eq!(reader.section("nothing").unwrap(), b"");
        assert_eq!(reader.metadata()["name"], "sample");
        assert!(reader.verify().is_ok());
        let offset = reader.section("weights").unwrap().as_ptr() as usize - bytes.as_ptr() as usize;
        assert!(offset.is_multiple_of(ALIGNMENT));
        assert!(matches!(reader.section("other"), Err(BundleError::Missing { .. })));
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_found() {
        let bytes = sample();
        let refused = |bytes: &[u8]| Reader::new(bytes).and_then(|reader| reader.verify()).is_err();
        assert!(!refused(&bytes));
        for length in 0..bytes.len() {
            assert!(Reader::new(&bytes[..length]).is_err(), "{length} bytes were accepted");
        }
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(&damaged), "bit {bit} was missed");
        }
        assert!(refused(&[&bytes[..], b"x"].concat()), "bytes after the end were accepted");
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let error = Reader::new(&damaged).unwrap().verify().unwrap_err();
        assert_eq!(error, BundleError::Damaged { name: "weights".to_owned() });
    }

    /// A file with this header and nothing else; its hash agrees.
    fn with(header: &str) -> Vec<u8> {
        let length = (header.len() as u64).to_le_bytes();
        [MAGIC.as_slice(), &length, &digest(header.as_bytes()), header.as_bytes()].concat()
    }

    #[test]
    fn foreign_older_newer_and_lying_headers_are_told_apart() {
        let error = |bytes: &[u8]| Reader::new(bytes).unwrap_err();
        assert_eq!(error(b"GGUF"), BundleError::Foreign);
        assert_eq!(error(b"BANTAM?\0"), BundleError::Foreign);
        let older = error(b"BANTAM1\0\x2b\0\0\0\0\0\0\0{\"version\":1,\"metadata\":null,\"sections\":{}}");
        assert_eq!(older, BundleError::Older { found: 1 });
        assert!(older.to_string().contains("make it again"), "{older}");
        assert_eq!(error(b"BANTAM9\0"), BundleError::Newer { found: 9 });
        assert!(matches!(error(&with("{}")), BundleError::Header { .. }));
        let section = |offset: u64, length: u64| {
            format!(r#"{{"metadata":null,"sections":{{"x":{{"offset":{offset},"length":{length},"blake3":""}}}}}}"#)
        };
        assert!(matches!(error(&with(&section(u64::MAX, u64::MAX))), BundleError::Header { .. }));
        assert!(matches!(error(&with(&section(1 << 40, 0))), BundleError::Truncated { .. }));
        let endless = [MAGIC.as_slice(), &[0xff; 40]].concat();
        assert!(matches!(error(&endless), BundleError::Header { .. }));
    }

    #[test]
    fn sections_that_overlap_are_refused() {
        let hash = hash_bytes(b"yes");
        let section = |name: &str| format!(r#""{name}":{{"offset":0,"length":3,"blake3":"{hash}"}}"#);
        let mut bytes = with(&format!(r#"{{"metadata":null,"sections":{{{},{}}}}}"#, section("a"), section("b")));
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes.extend(b"yes");
        let error = Reader::new(&bytes).unwrap().verify().unwrap_err();
        assert!(matches!(error, BundleError::Header { .. }), "{error}");
    }
}
