//! Tokens with a role in a text that is put together from parts: only the parts that say so become such tokens,
//! whatever a stranger spells in the others.

use tokenizers::tokenizer::{Model, Normalizer, OffsetType, PreTokenizedString, PreTokenizer};

use crate::Tokenizer;

/// A token that stands beside the vocabulary and is never split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedToken {
    /// Its id.
    pub id: u32,
    /// How it is spelled.
    pub spelling: String,
    /// Whether it is left out of decoded text.
    pub is_special: bool,
}

/// A part of a text that [`Tokenizer::encode_pieces`] encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A token, by its id.
    Mark(u32),
    /// Text in which no mark counts as one.
    Text(&'a str),
}

impl Tokenizer {
    /// The added tokens, by rising id.
    pub fn added_tokens(&self) -> Vec<AddedToken> {
        let added = self.engine().get_added_tokens_decoder();
        let mut tokens: Vec<AddedToken> = added
            .into_iter()
            .map(|(id, token)| AddedToken { id, spelling: token.content, is_special: token.special })
            .collect();
        tokens.sort_by_key(|token| token.id);
        tokens
    }

    /// The ids of pieces that belong together, without the tokens that [`Tokenizer::encode`] puts around a text. Ids
    /// for which `is_mark` is true come from [`Piece::Mark`] alone; but for an unknown token, which stands for text
    /// that the vocabulary lacks. Where no text spells a mark, the ids are those of the joined text.
    pub fn encode_pieces(&self, pieces: &[Piece<'_>], is_mark: &dyn Fn(u32) -> bool) -> Vec<u32> {
        self.encode_joined(pieces, is_mark).unwrap_or_else(|| {
            let each = pieces.iter().map(|piece| match *piece {
                Piece::Mark(id) => vec![id],
                Piece::Text(text) => self.encode_without_marks(text, is_mark),
            });
            each.collect::<Vec<_>>().concat()
        })
    }

    /// The ids of the joined text; `None` if other marks are found in it than the pieces have.
    fn encode_joined(&self, pieces: &[Piece<'_>], is_mark: &dyn Fn(u32) -> bool) -> Option<Vec<u32>> {
        let (mut text, mut meant) = (String::new(), Vec::new());
        for piece in pieces {
            match *piece {
                Piece::Mark(id) => {
                    let start = text.len();
                    text += &self.token(id)?;
                    meant.push((id, start, text.len()));
                }
                Piece::Text(piece) => text += piece,
            }
        }
        let encoding = self.engine().encode(text.as_str(), false).ok()?;
        let unknown = self.special().unknown;
        let is_spelled = |id: u32, (start, end): (usize, usize)| {
            text.get(start..end).is_some_and(|found| Some(found.trim()) == self.token(id).as_deref())
        };
        let mut found = encoding
            .get_ids()
            .iter()
            .zip(encoding.get_offsets())
            .filter(|&(&id, &place)| is_mark(id) && (Some(id) != unknown || is_spelled(id, place)));
        // A mark may take spaces beside it, so that its place is around what was meant.
        let fits = meant.iter().all(|&(id, start, end)| {
            found.next().is_some_and(|(&found, place)| found == id && place.0 <= start && place.1 >= end)
        });
        (fits && found.next().is_none()).then(|| encoding.get_ids().to_vec())
    }

    /// The ids of a text as if there were no added tokens. Where the vocabulary itself has a mark, the text is cut
    /// inside of its spelling.
    fn encode_without_marks(&self, text: &str, is_mark: &dyn Fn(u32) -> bool) -> Vec<u32> {
        let unknown = self.special().unknown;
        let (mut ids, mut open) = (Vec::new(), vec![text]);
        while let Some(text) = open.pop() {
            let found = self.encode_by_vocabulary(text);
            let marks = found.iter().filter(|(id, _)| is_mark(*id) && Some(*id) != unknown);
            let mut cuts: Vec<usize> = marks.filter_map(|&(_, start)| second_character(text, start)).collect();
            cuts.sort_unstable();
            cuts.dedup();
            if cuts.is_empty() {
                ids.extend(found.iter().map(|&(id, _)| id).filter(|&id| !is_mark(id) || Some(id) == unknown));
                continue;
            }
            let mut rest = text;
            for &cut in cuts.iter().rev() {
                let (before, after) = rest.split_at(cut);
                open.push(after);
                rest = before;
            }
            open.push(rest);
        }
        ids
    }

    /// Ids, and the byte where each begins.
    fn encode_by_vocabulary(&self, text: &str) -> Vec<(u32, usize)> {
        let engine = self.engine();
        let mut pieces = PreTokenizedString::from(text);
        let done = (|| {
            if let Some(normalizer) = engine.get_normalizer() {
                pieces.normalize(|piece| normalizer.normalize(piece))?;
            }
            if let Some(splitter) = engine.get_pre_tokenizer() {
                splitter.pre_tokenize(&mut pieces)?;
            }
            pieces.tokenize(|piece| engine.get_model().tokenize(piece.get()))?;
            pieces.into_encoding(None, 0, OffsetType::Byte)
        })();
        let encoding = done.expect("loading refused tokenizers that can fail");
        encoding.get_ids().iter().copied().zip(encoding.get_offsets().iter().map(|place| place.0)).collect()
    }
}

/// Where the character after the one at `start` begins, if that is inside of the text.
fn second_character(text: &str, start: usize) -> Option<usize> {
    let first = text.get(start..)?.chars().next()?;
    let second = start + first.len_utf8();
    (second < text.len()).then_some(second)
}
