//! Features of a text that need no vocabulary: its words, and n-grams hashed into a fixed number of buckets.
//!
//! The bucket of an n-gram is part of saved models. Never change the hash, the borders or the word rule below: a test
//! pins them.

use serde::{Deserialize, Serialize};
use unicode_normalization::char::is_combining_mark;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The words of `text`, lowercased: the longest runs of letters, digits and combining marks, in NFC. An apostrophe
/// between two letters belongs to the word (`don't`; a typographic one becomes `'`); all else separates.
pub fn words(text: &str) -> Vec<String> {
    let mut buffer = Words::default();
    buffer.read(text);
    buffer.iter().map(str::to_owned).collect()
}

/// Hashes a text's n-grams into buckets, in the manner of fastText (Bojanowski et al., 2017): character n-grams
/// inside `<word>` with its two border marks, whole words, and word n-grams.
///
/// Each feature is one bucket id; a feature that occurs twice gives its id twice. Two different features may share a
/// bucket: take at least ten buckets per distinct n-gram that matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NgramHasher {
    /// Number of buckets: ids are below it. At least 1.
    pub buckets: u32,
    /// Shortest character n-gram; 0 switches character n-grams off.
    pub char_min: usize,
    /// Longest character n-gram, border marks included.
    pub char_max: usize,
    /// Longest word n-gram: 0 none, 1 words, 2 words and pairs of neighbours, and so on.
    pub word_order: usize,
}

impl Default for NgramHasher {
    fn default() -> Self {
        NgramHasher { buckets: 1 << 17, char_min: 3, char_max: 5, word_order: 2 }
    }
}

impl NgramHasher {
    /// The bucket ids of all n-grams of `text`: per word its character n-grams by start and length, then the word
    /// n-grams by start and length. Empty for a text without a word.
    pub fn buckets_of(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        self.collect(text, &mut ids);
        ids
    }

    /// [`NgramHasher::buckets_of`], appended to `ids`: for callers that reuse the list.
    pub fn collect(&self, text: &str, ids: &mut Vec<u32>) {
        let mut words = Words::default();
        words.read(text);
        if self.char_min > 0 {
            for bordered in words.bordered() {
                self.characters(bordered, ids);
            }
        }
        self.word_ngrams(&words, ids);
    }

    /// The n-grams of `<word>`: as long as the borders cannot occur in words, beginnings and ends are unambiguous.
    fn characters(&self, bordered: &[u8], ids: &mut Vec<u32>) {
        for start in 0..bordered.len() {
            if is_continuation(bordered[start]) {
                continue;
            }
            let (mut hash, mut length) = (CHARACTERS, 0);
            for (index, &byte) in bordered.iter().enumerate().skip(start) {
                hash = step(hash, byte);
                if bordered.get(index + 1).is_none_or(|&next| !is_continuation(next)) {
                    length += 1;
                    if length >= self.char_min {
                        ids.push(self.bucket(hash));
                    }
                    if length >= self.char_max {
                        break;
                    }
                }
            }
        }
    }

    fn word_ngrams(&self, words: &Words, ids: &mut Vec<u32>) {
        for start in 0..words.ends.len() {
            let mut hash = WORDS;
            for word in words.iter().skip(start).take(self.word_order) {
                hash = step(word.bytes().fold(hash, step), b' ');
                ids.push(self.bucket(hash));
            }
        }
    }

    /// Spreads the weak low bits of FNV over all 64 (the finaliser of MurmurHash3), then scales to the buckets.
    fn bucket(&self, mut hash: u64) -> u32 {
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^= hash >> 33;
        ((u128::from(hash) * u128::from(self.buckets)) >> 64) as u32
    }
}

// FNV-1a, 64 bits; word n-grams start from another basis, so that the word `<a>` and its 3-gram differ.
const CHARACTERS: u64 = 0xcbf2_9ce4_8422_2325;
const WORDS: u64 = CHARACTERS ^ 0x9e37_79b9_7f4a_7c15;
const PRIME: u64 = 0x0000_0100_0000_01b3;

fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(PRIME)
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Lowercased words as `<one><two>` in one string, so that a text costs two allocations.
#[derive(Default)]
struct Words {
    letters: String,
    ends: Vec<usize>,
}

impl Words {
    fn read(&mut self, text: &str) {
        self.letters.reserve(text.len() + text.len() / 2);
        self.ends.reserve(text.len() / 4);
        if text.is_ascii() || is_nfc(text) {
            self.split(text.chars());
        } else {
            self.split(text.nfc());
        }
    }

    fn split(&mut self, characters: impl Iterator<Item = char>) {
        let mut characters = characters.peekable();
        let mut inside = false;
        while let Some(character) = characters.next() {
            if is_letter(character) {
                if !inside {
                    self.letters.push('<');
                    inside = true;
                }
                if character.is_ascii() {
                    self.letters.push(character.to_ascii_lowercase());
                } else {
                    self.letters.extend(character.to_lowercase());
                }
            } else if inside
                && matches!(character, '\'' | '\u{2019}')
                && characters.peek().is_some_and(|&next| is_letter(next))
            {
                self.letters.push('\'');
            } else if inside {
                inside = false;
                self.close();
            }
        }
        if inside {
            self.close();
        }
    }

    fn close(&mut self) {
        self.letters.push('>');
        self.ends.push(self.letters.len());
    }

    fn bordered(&self) -> impl Iterator<Item = &[u8]> {
        self.spans().map(|(start, end)| &self.letters.as_bytes()[start..end])
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.spans().map(|(start, end)| &self.letters[start + 1..end - 1])
    }

    fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.ends.len()).map(|word| (if word == 0 { 0 } else { self.ends[word - 1] }, self.ends[word]))
    }
}

fn is_letter(character: char) -> bool {
    character.is_alphanumeric() || (!character.is_ascii() && is_combining_mark(character))
}

#[cfg(test)]
mod tests {
    use super::{NgramHasher, words};

    #[test]
    fn words_are_lowercased_runs_of_letters_and_digits() {
        assert_eq!(words("What's my VISA-card's PIN, no. 42?"), ["what's", "my", "visa", "card's", "pin", "no", "42"]);
        assert_eq!(words("don\u{2019}t 'quote' rock'n'roll'"), ["don't", "quote", "rock'n'roll"]);
        assert_eq!(words("Cafe\u{301} ÜBER straße"), ["café", "über", "straße"]);
        assert_eq!(words("हिन्दी में"), ["हिन्दी", "में"]);
        assert!(words(" ?! \u{1f600} ").is_empty());
    }

    #[test]
    fn composed_and_decomposed_letters_share_buckets() {
        let hasher = NgramHasher::default();
        assert_eq!(hasher.buckets_of("Café crème"), hasher.buckets_of("Cafe\u{301} cre\u{300}me"));
    }

    #[test]
    fn ngrams_are_counted_by_hand() {
        // <ab>: <ab ab> and <ab>; <é>: <é> only. Three words make three single words and two pairs.
        let characters = NgramHasher { buckets: 1 << 30, char_min: 3, char_max: 4, word_order: 0 };
        assert_eq!(characters.buckets_of("ab").len(), 3);
        assert_eq!(characters.buckets_of("é").len(), 1);
        let pairs = NgramHasher { buckets: 1 << 30, char_min: 0, char_max: 0, word_order: 2 };
        let ids = pairs.buckets_of("one two three");
        assert_eq!(ids.len(), 5);
        let (one, one_two, two) = (ids[0], ids[1], ids[2]);
        assert_eq!(pairs.buckets_of("One... TWO"), [one, one_two, two]);
        assert_ne!(pairs.buckets_of("two one")[1], one_two, "order of words matters");
    }

    #[test]
    fn buckets_never_change() {
        // Computed by an independent implementation of FNV-1a and the Murmur finaliser (Python, arbitrary integers).
        let hasher = NgramHasher { buckets: 65_536, char_min: 3, char_max: 4, word_order: 2 };
        assert_eq!(
            hasher.buckets_of("Hi Zoë"),
            [6854, 25707, 55143, 956, 11781, 18940, 26386, 34301, 60694, 61749, 13783]
        );
    }

    #[test]
    fn ids_stay_below_the_bucket_count() {
        for buckets in [1, 2, 1000] {
            let hasher = NgramHasher { buckets, ..NgramHasher::default() };
            assert!(hasher.buckets_of("how do i reset my password please").iter().all(|&id| id < buckets));
        }
    }
}
