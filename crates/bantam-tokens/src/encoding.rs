//! Texts and pairs of texts as tokens that know where they stand: what labels of tokens and answers in texts are told by.

use std::ops::Range;

use tokenizers::tokenizer::{Decoder, EncodeInput};
use tokenizers::{Encoding as Found, ModelWrapper};

use crate::Tokenizer;
use crate::engine::Model;

/// The tokens of a text or of a pair of texts, with those that the tokenizer puts around them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// The kind of segment of each token: mostly 0 for the first text and 1 for the second.
    pub kinds: Vec<u32>,
    /// Where each token begins and ends in its text, in characters.
    pub places: Vec<(usize, usize)>,
    /// Which text each token is of, 0 or 1; none for tokens that were put around the texts.
    pub texts: Vec<Option<usize>>,
    /// The number of each token's word in its text.
    pub words: Vec<Option<u32>>,
}

/// Which text of a pair loses its end where both together are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shorten {
    /// The longer one, then both.
    Longest,
    /// The first one.
    First,
}

impl Encoding {
    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// How many tokens are of that text.
    pub fn count(&self, text: usize) -> usize {
        self.texts.iter().filter(|&&of| of == Some(text)).count()
    }

    /// At most `most` tokens, by leaving out the ends of texts; none where that leaves no room for a text.
    pub fn shortened(self, most: usize, shorten: Shorten) -> Option<Self> {
        if self.len() <= most {
            return Some(self);
        }
        let (first, second) = (self.count(0), self.count(1));
        let room = most.checked_sub(self.len() - first - second)?;
        let (first, second) = match shorten {
            Shorten::First => (room.checked_sub(second)?, second),
            Shorten::Longest => shares(first, second, room),
        };
        (first + second > 0).then(|| self.keeping(&[0..first, 0..second]))
    }

    /// How many windows [`Encoding::windows`] would make; none where it makes none.
    pub fn window_count(&self, text: usize, most: usize, overlap: usize) -> Option<usize> {
        if self.len() <= most {
            return Some(1);
        }
        let count = self.count(text);
        let room = most.checked_sub(self.len() - count).filter(|&room| room > overlap)?;
        Some(1 + (count - room).div_ceil(room - overlap))
    }

    /// The tokens of one text in windows of at most `most` tokens, all with what else there is. Windows after the first begin
    /// with the last `overlap` tokens of the one before. None where an overlap leaves no room for anything new.
    pub fn windows(self, text: usize, most: usize, overlap: usize) -> Option<Vec<Self>> {
        if self.len() <= most {
            return Some(vec![self]);
        }
        let counts = [self.count(0), self.count(1)];
        let room = most.checked_sub(self.len() - counts[text]).filter(|&room| room > overlap)?;
        let mut windows = Vec::new();
        let mut start = 0;
        loop {
            let end = (start + room).min(counts[text]);
            let mut kept = counts.map(|count| 0..count);
            kept[text] = start..end;
            windows.push(self.keeping(&kept));
            if end == counts[text] {
                return Some(windows);
            }
            start += room - overlap;
        }
    }

    /// The same with only those tokens of each text.
    fn keeping(&self, kept: &[Range<usize>; 2]) -> Self {
        let (mut seen, mut same) = ([0, 0], Self::default());
        for index in 0..self.len() {
            if let Some(text) = self.texts[index] {
                seen[text] += 1;
                if !kept[text].contains(&(seen[text] - 1)) {
                    continue;
                }
            }
            same.ids.push(self.ids[index]);
            same.kinds.push(self.kinds[index]);
            same.places.push(self.places[index]);
            same.texts.push(self.texts[index]);
            same.words.push(self.words[index]);
        }
        same
    }
}

/// How many tokens two texts keep of `room`, as Hugging Face `tokenizers` share it.
fn shares(first: usize, second: usize, room: usize) -> (usize, usize) {
    let (short, long) = (first.min(second), first.max(second));
    let kept = if short > room { short } else { short.max(room - short) };
    let (short, long) = if short + kept > room { (room / 2, room / 2 + room % 2) } else { (short, kept.min(long)) };
    if first <= second { (short, long) } else { (long, short) }
}

impl Tokenizer {
    /// The tokens of a text, or of a pair, with where they stand and without a limit.
    pub fn encode_placed(&self, text: &str, pair: Option<&str>) -> Encoding {
        let input: EncodeInput<'_> = match pair {
            Some(pair) => (text, pair).into(),
            None => text.into(),
        };
        // Loading refused every tokenizer whose model can fail on some text.
        let found: Found =
            self.engine().encode_char_offsets(input, true).expect("loading refused tokenizers that can fail");
        Encoding {
            ids: found.get_ids().to_vec(),
            kinds: found.get_type_ids().to_vec(),
            places: found.get_offsets().to_vec(),
            texts: found.get_sequence_ids(),
            words: found.get_word_ids().to_vec(),
        }
    }

    /// The text of `ids` with all special tokens. Ids outside the vocabulary are skipped.
    pub fn decode_all(&self, ids: &[u32]) -> String {
        self.engine().decode(ids, false).unwrap_or_else(|_| ids.iter().filter_map(|&id| self.token(id)).collect())
    }

    /// Spellings of tokens as one text.
    pub fn join(&self, tokens: Vec<String>) -> String {
        let plain = tokens.join(" ");
        match self.engine().get_decoder() {
            Some(decoder) => decoder.decode(tokens).unwrap_or(plain),
            None => plain,
        }
    }

    /// Whether the spelling of a token tells that it goes on with a word (`##ing`).
    pub fn marks_continuations(&self) -> bool {
        match self.engine().get_model() {
            Model::Library(ModelWrapper::WordPiece(model)) => !model.continuing_subword_prefix.is_empty(),
            Model::Library(ModelWrapper::BPE(model)) => {
                model.continuing_subword_prefix.as_ref().is_some_and(|prefix| !prefix.is_empty())
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(first: usize, second: usize) -> Encoding {
        let texts: Vec<Option<usize>> =
            [vec![None], vec![Some(0); first], vec![None], vec![Some(1); second], vec![None]].concat();
        let ids = (0..texts.len() as u32).collect();
        let count = texts.len();
        Encoding { ids, kinds: vec![0; count], places: vec![(0, 0); count], texts, words: vec![None; count] }
    }

    #[test]
    fn ends_of_texts_are_left_out() {
        let counts = |first, second, most, shorten| {
            let kept = encoding(first, second).shortened(most, shorten).unwrap();
            assert!(kept.len() <= most && kept.texts.iter().filter(|text| text.is_none()).count() == 3);
            (kept.count(0), kept.count(1))
        };
        assert_eq!(counts(5, 9, 20, Shorten::Longest), (5, 9));
        assert_eq!(counts(2, 9, 11, Shorten::Longest), (2, 6));
        assert_eq!(counts(9, 2, 11, Shorten::Longest), (6, 2));
        assert_eq!(counts(9, 8, 10, Shorten::Longest), (4, 3));
        assert_eq!(counts(9, 2, 10, Shorten::First), (5, 2));
        assert!(encoding(9, 8).shortened(10, Shorten::First).is_none());
        assert!(encoding(9, 8).shortened(2, Shorten::Longest).is_none());
    }

    #[test]
    fn windows_cover_a_text_and_overlap() {
        let whole = encoding(2, 10);
        let windows = whole.clone().windows(1, 9, 1).unwrap();
        let ids: Vec<&[u32]> = windows.iter().map(|window| &window.ids[4..window.len() - 1]).collect();
        assert_eq!(whole.window_count(1, 9, 1), Some(3));
        assert_eq!(ids, [&[4, 5, 6, 7][..], &[7, 8, 9, 10], &[10, 11, 12, 13]]);
        assert!(windows.iter().all(|window| window.ids[..4] == [0, 1, 2, 3] && window.ids.last() == Some(&14)));
        assert_eq!(whole.clone().windows(1, 15, 4).unwrap(), vec![whole.clone()]);
        assert!(whole.clone().windows(1, 9, 4).is_none());
        assert!(whole.windows(1, 3, 0).is_none());
    }
}
