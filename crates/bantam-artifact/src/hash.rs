//! Names for contents: the same inputs always have the same name.

use std::fmt;
use std::fs::File;
use std::path::Path;

use serde::Serialize;

use crate::Error;

/// The name of a stage's result: a hash of the stage, its settings and the keys of what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Key(String);

/// Hexadecimal digits of a key: 64 bits, far more than one folder will ever hold.
const DIGITS: usize = 16;

impl Key {
    /// The key of stage `stage` run with `settings` on `inputs`.
    ///
    /// # Panics
    /// When the settings cannot be written as JSON: they are plain data of this program, so that is a bug.
    pub fn new(stage: &str, settings: &impl Serialize, inputs: &[&Key]) -> Self {
        // A JSON value keeps its object keys in the order of the struct, so equal settings have equal text.
        let settings = serde_json::to_string(settings).expect("settings are plain data");
        let mut hasher = blake3::Hasher::new();
        for part in [stage, &settings].into_iter().chain(inputs.iter().map(|key| key.0.as_str())) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Self::cut(&hasher)
    }

    /// The key of bytes that come from outside.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(hash_bytes(bytes)[..DIGITS].to_owned())
    }

    /// The key of a file's contents.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        Ok(Self(hash_file(path)?[..DIGITS].to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text looks like a key.
    pub(crate) fn is_spelled(text: &str) -> bool {
        text.len() == DIGITS && text.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
    }

    fn cut(hasher: &blake3::Hasher) -> Self {
        Self(hasher.finalize().to_hex()[..DIGITS].to_owned())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// BLAKE3 of bytes, as 64 hexadecimal digits.
pub fn hash_bytes(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// BLAKE3 of bytes, as it is.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    blake3::hash(bytes).into()
}

/// BLAKE3 of a file's contents, as 64 hexadecimal digits.
///
/// # Errors
/// When the file cannot be read.
pub fn hash_file(path: &Path) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    let file = File::open(path).map_err(Error::read(path))?;
    hasher.update_reader(file).map_err(Error::read(path))?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_stage_settings_and_inputs_and_on_nothing_else() {
        let input = Key::of_bytes(b"data");
        let key = Key::new("train", &("steps", 10), &[&input]);
        assert_eq!(key, Key::new("train", &("steps", 10), &[&input]));
        assert_ne!(key, Key::new("train", &("steps", 11), &[&input]));
        assert_ne!(key, Key::new("prune", &("steps", 10), &[&input]));
        assert_ne!(key, Key::new("train", &("steps", 10), &[]));
        assert_eq!(key.as_str().len(), DIGITS);
    }

    #[test]
    fn hashes_are_those_of_blake3() {
        // The empty input of BLAKE3's published test vectors.
        assert_eq!(hash_bytes(b""), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    }
}
