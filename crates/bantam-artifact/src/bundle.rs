//! The container that a bundle is: named sections in one file, laid out to be mapped into memory.
//!
//! `BANTAM1\0`, the header's length as u64 (little endian), the header as JSON, then the sections, each beginning at a
//! multiple of 64 bytes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, hash_bytes, write_atomic};

const MAGIC: &[u8; 8] = b"BANTAM1\0";
const ALIGNMENT: usize = 64;
/// The newest layout of sections that this program understands.
const VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    version: u32,
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
    #[error("not a Bantam bundle: it does not begin with BANTAM1")]
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
    /// Made by a newer program.
    #[error("the bundle has layout {found}, and this program knows {VERSION}; use a newer bantam")]
    Newer {
        /// Its layout.
        found: u32,
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
        let header = Header { version: VERSION, metadata: metadata.clone(), sections };
        let header = serde_json::to_vec(&header).expect("a header is plain data");
        let mut file = MAGIC.to_vec();
        file.extend((header.len() as u64).to_le_bytes());
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

/// A bundle in memory or mapped from a file.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    body: usize,
    header: Header,
}

impl<'a> Reader<'a> {
    /// Reads the header and checks that every section lies inside the file. Contents are checked by [`Reader::verify`].
    ///
    /// # Errors
    /// When the bytes are no bundle, cut off, damaged, or of a newer layout.
    pub fn new(bytes: &'a [u8]) -> Result<Self, BundleError> {
        let found = bytes.len() as u64;
        let truncated = |what: &str, needed: u64| BundleError::Truncated { what: what.to_owned(), needed, found };
        let start = MAGIC.len().min(bytes.len());
        if bytes.is_empty() || bytes[..start] != MAGIC[..start] {
            return Err(BundleError::Foreign);
        }
        let Some(length) = bytes.get(8..16) else { return Err(truncated("the header's length", 16)) };
        let length = u64::from_le_bytes(length.try_into().expect("eight bytes were taken"));
        let end =
            length.checked_add(16).ok_or_else(|| BundleError::Header { what: "its length overflows".to_owned() })?;
        if end > found {
            return Err(truncated("the header", end));
        }
        let body = end as usize;
        let header: Header = serde_json::from_slice(&bytes[16..body])
            .map_err(|error| BundleError::Header { what: error.to_string() })?;
        if header.version > VERSION {
            return Err(BundleError::Newer { found: header.version });
        }
        let body = body.next_multiple_of(ALIGNMENT);
        for (name, section) in &header.sections {
            let end = section.offset.checked_add(section.length).and_then(|end| end.checked_add(body as u64));
            match end {
                Some(end) if end <= found || section.length == 0 => {}
                Some(end) => return Err(truncated(&format!("section `{name}`"), end)),
                None => return Err(BundleError::Header { what: format!("section `{name}` overflows") }),
            }
        }
        Ok(Self { bytes, body, header })
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
        if section.length == 0 {
            return Ok(&[]);
        }
        let start = self.body + section.offset as usize;
        Ok(&self.bytes[start..start + section.length as usize])
    }

    /// Compares every section with its hash.
    ///
    /// # Errors
    /// Names the first section that does not agree.
    pub fn verify(&self) -> Result<(), BundleError> {
        for (name, section) in &self.header.sections {
            if hash_bytes(self.section(name)?) != section.blake3 {
                return Err(BundleError::Damaged { name: name.clone() });
            }
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
    fn every_truncation_and_a_flipped_bit_is_found() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert!(Reader::new(&bytes[..length]).is_err(), "{length} bytes were accepted");
        }
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let error = Reader::new(&damaged).unwrap().verify().unwrap_err();
        assert_eq!(error, BundleError::Damaged { name: "weights".to_owned() });
    }

    #[test]
    fn foreign_newer_and_lying_headers_are_told_apart() {
        assert_eq!(Reader::new(b"GGUF").unwrap_err(), BundleError::Foreign);
        let with = |header: &str| {
            let mut bytes = MAGIC.to_vec();
            bytes.extend((header.len() as u64).to_le_bytes());
            bytes.extend(header.as_bytes());
            Reader::new(&bytes).unwrap_err()
        };
        assert_eq!(with(r#"{"version":9,"metadata":null,"sections":{}}"#), BundleError::Newer { found: 9 });
        assert!(matches!(with("{}"), BundleError::Header { .. }));
        let huge = format!(
            r#"{{"version":1,"metadata":null,"sections":{{"x":{{"offset":{0},"length":{0},"blake3":""}}}}}}"#,
            u64::MAX
        );
        assert!(matches!(with(&huge), BundleError::Header { .. }));
        let mut endless = MAGIC.to_vec();
        endless.extend(u64::MAX.to_le_bytes());
        assert!(matches!(Reader::new(&endless), Err(BundleError::Header { .. })));
    }
}
