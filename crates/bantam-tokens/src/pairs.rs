//! A byte-pair encoding in little memory: the tokenizers of GGUF files.
//!
//! The library keeps each token as two texts of their own and each pair in a table beside, which is 12 MB for 49,152 tokens, a seventh of a
//! model of 135 M parameters in 4 bits. Here all spellings are one text, and tables hold numbers only: 2 MB, made in a third of the time.
//! It joins as the library's `BPE` does (Sennrich et al. 2016), which is what tests hold it against, and is written as one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};
use tokenizers::Token;
use tokenizers::models::bpe::BPE;

/// How a text without a token of its own is encoded.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    /// What stands for a character that is no token; without it the character is left out.
    pub(crate) unknown: Option<u32>,
    /// Whether several such characters in a row are one unknown token.
    pub(crate) fuses_unknown: bool,
    /// Whether a character that is no token becomes the tokens of its bytes, `<0x00>` to `<0xFF>`, where there are all.
    pub(crate) falls_back_to_bytes: bool,
    /// Whether a word that is a token is taken whole, whatever the pairs.
    pub(crate) ignores_merges: bool,
}

/// Tokens by their place, and the pairs of them that are joined.
pub(crate) struct Pairs {
    spellings: String,
    /// Where each token's spelling ends; it begins where the one before ends.
    ends: Vec<u32>,
    /// Ids, found by their spelling.
    ids: HashTable<u32>,
    /// The earliest is joined first.
    joins: Vec<Join>,
    /// Places in `joins`, found by the pair.
    ranks: HashTable<u32>,
    hasher: DefaultHashBuilder,
    rules: Rules,
}

/// Two tokens that become one.
#[derive(Clone, Copy)]
struct Join {
    pair: [u32; 2],
    whole: u32,
}

/// A part of a word.
#[derive(Clone, Copy)]
struct Part {
    id: u32,
    /// Bytes of the word; 0 once it was joined to the part before.
    bytes: usize,
    before: usize,
    after: usize,
}

/// No part.
const NONE: usize = usize::MAX;

impl Pairs {
    /// Takes the tokens; an error where a spelling is there twice.
    pub(crate) fn new(tokens: &[String], rules: Rules) -> Result<Self, String> {
        let bytes = tokens.iter().map(String::len).sum::<usize>();
        u32::try_from(bytes.max(tokens.len())).map_err(|_| format!("{bytes} bytes of tokens are too many"))?;
        let mut pairs = Pairs {
            spellings: String::with_capacity(bytes),
            ends: Vec::with_capacity(tokens.len()),
            ids: HashTable::with_capacity(tokens.len()),
            joins: Vec::new(),
            ranks: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            rules,
        };
        for (id, token) in tokens.iter().enumerate() {
            if let Some(before) = pairs.id(token) {
                return Err(format!("tokens {before} and {id} are both spelled {token:?}"));
            }
            pairs.spellings += token;
            pairs.ends.push(pairs.spellings.len() as u32);
            let Pairs { spellings, ends, ids, hasher, .. } = &mut pairs;
            let rehash = |&id: &u32| hasher.hash_one(&spellings[place(ends, id)]);
            ids.insert_unique(hasher.hash_one(token.as_str()), id as u32, rehash);
        }
        Ok(pairs)
    }

    /// Takes what is joined, the earliest first; an error where one of a pair is no token, or both together are none.
    pub(crate) fn join<'a>(&mut self, pairs: impl ExactSizeIterator<Item = [&'a str; 2]>) -> Result<(), String> {
        self.joins.reserve_exact(pairs.len());
        self.ranks.reserve(pairs.len(), |_| unreachable!("it is empty"));
        let mut joined = String::new();
        for [left, right] in pairs {
            joined.clear();
            joined.extend([left, right]);
            let ids = (self.id(left), self.id(right), self.id(&joined));
            let (Some(left), Some(right), Some(whole)) = ids else {
                return Err(format!("the pair {left:?} {right:?} makes no token of the vocabulary"));
            };
            let pair = [left, right];
            let rank = self.joins.len() as u32;
            self.joins.push(Join { pair, whole });
            let Pairs { joins, ranks, hasher, .. } = self;
            let hash = hasher.hash_one(pair);
            match ranks.find_mut(hash, |&rank| joins[rank as usize].pair == pair) {
                // A pair that is there twice counts where it is last, as in the library.
                Some(earlier) => *earlier = rank,
                None => {
                    ranks.insert_unique(hash, rank, |&rank| hasher.hash_one(joins[rank as usize].pair));
                }
            }
        }
        Ok(())
    }

    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The id of a spelling.
    pub(crate) fn id(&self, spelling: &str) -> Option<u32> {
        let is_it = |&id: &u32| &self.spellings[place(&self.ends, id)] == spelling;
        self.ids.find(self.hasher.hash_one(spelling), is_it).copied()
    }

    /// The spelling of an id.
    pub(crate) fn spelling(&self, id: u32) -> Option<&str> {
        ((id as usize) < self.len()).then(|| &self.spellings[place(&self.ends, id)])
    }

    /// The tokens of a word.
    pub(crate) fn encode(&self, word: &str) -> Vec<Token> {
        let whole = if self.rules.ignores_merges { self.id(word) } else { None };
        let mut parts = match whole {
            Some(id) => vec![Part { id, bytes: word.len(), before: NONE, after: NONE }],
            None => self.parts(word),
        };
        self.join_parts(&mut parts);
        let mut end = 0;
        let tokens = parts.iter().filter(|part| part.bytes > 0).map(|part| {
            let start = end;
            end += part.bytes;
            Token::new(part.id, self.spelling(part.id).unwrap_or_default().to_owned(), (start, end))
        });
        tokens.collect()
    }

    /// The characters of a word as tokens.
    fn parts(&self, word: &str) -> Vec<Part> {
        let mut ids: Vec<(u32, usize)> = Vec::with_capacity(word.len());
        // Bytes of characters that are no token and have not become one yet.
        let mut unknown = 0;
        let unknown_of =
            |bytes: &mut usize| self.rules.unknown.filter(|_| *bytes > 0).map(|id| (id, std::mem::take(bytes)));
        for (start, character) in word.char_indices() {
            let character = &word[start..start + character.len_utf8()];
            if let Some(id) = self.id(character) {
                ids.extend(unknown_of(&mut unknown));
                ids.push((id, character.len()));
            } else if let Some(bytes) = self.bytes(character) {
                ids.extend(bytes.into_iter().map(|id| (id, 1)));
            } else {
                if !self.rules.fuses_unknown {
                    ids.extend(unknown_of(&mut unknown));
                }
                unknown += character.len();
            }
        }
        ids.extend(unknown_of(&mut unknown));
        let last = ids.len().saturating_sub(1);
        let part = |(index, (id, bytes)): (usize, (u32, usize))| Part {
            id,
            bytes,
            before: index.checked_sub(1).unwrap_or(NONE),
            after: if index == last { NONE } else { index + 1 },
        };
        ids.into_iter().enumerate().map(part).collect()
    }

    /// The tokens of a character's bytes.
    fn bytes(&self, character: &str) -> Option<Vec<u32>> {
        let id = |byte: u8| self.id(&format!("<0x{byte:02X}>"));
        if self.rules.falls_back_to_bytes { character.bytes().map(id).collect() } else { None }
    }

    /// Joins neighbours, the earliest pair first, and of equal ones the leftmost.
    fn join_parts(&self, parts: &mut [Part]) {
        let rank = |left: Part, right: Part| {
            let pair = [left.id, right.id];
            self.ranks.find(self.hasher.hash_one(pair), |&rank| self.joins[rank as usize].pair == pair).copied()
        };
        let neighbours = parts.windows(2).enumerate();
        let mut waiting: BinaryHeap<Reverse<(u32, usize)>> =
            neighbours.filter_map(|(at, both)| Some(Reverse((rank(both[0], both[1])?, at)))).collect();
        while let Some(Reverse((wanted, at))) = waiting.pop() {
            let left = parts[at];
            if left.bytes == 0 || left.after == NONE {
                continue;
            }
            let right = parts[left.after];
            // One of the two was joined to something else meanwhile.
            if rank(left, right) != Some(wanted) {
                continue;
            }
            parts[left.after].bytes = 0;
            let id = self.joins[wanted as usize].whole;
            parts[at] = Part { id, bytes: left.bytes + right.bytes, after: right.after, ..left };
            if right.after != NONE {
                parts[right.after].before = at;
                waiting.extend(rank(parts[at], parts[right.after]).map(|rank| Reverse((rank, at))));
            }
            if left.before != NONE {
                waiting.extend(rank(parts[left.before], parts[at]).map(|rank| Reverse((rank, left.before))));
            }
        }
    }

    /// The same in the library's form, which is what a `tokenizer.json` is written from.
    pub(crate) fn to_library(&self) -> BPE {
        let spelling = |id: u32| self.spelling(id).unwrap_or_default().to_owned();
        let vocabulary: Vec<(String, u32)> = (0..self.len() as u32).map(|id| (spelling(id), id)).collect();
        let merges = self.joins.iter().map(|join| (spelling(join.pair[0]), spelling(join.pair[1]))).collect();
        let builder = BPE::builder()
            .vocab_and_merges(vocabulary.into_iter().collect::<tokenizers::models::bpe::Vocab>(), merges)
            .fuse_unk(self.rules.fuses_unknown)
            .byte_fallback(self.rules.falls_back_to_bytes)
            .ignore_merges(self.rules.ignores_merges);
        let builder = match self.rules.unknown {
            Some(unknown) => builder.unk_token(spelling(unknown)),
            None => builder,
        };
        builder.build().expect("each pair joins tokens to a token")
    }
}

/// Where the spelling of an id is.
fn place(ends: &[u32], id: u32) -> Range<usize> {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends[id - 1] };
    start as usize..ends[id] as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::Model;

    /// Tokens of the letters a to d and, by rising length, of every word over them up to `longest` letters that `keeps` keeps, with every pair
    /// that makes one, in an order that `seed` shuffles.
    fn pairs(longest: usize, seed: u64, rules: Rules, more: &[&str]) -> Pairs {
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let mut tokens: Vec<String> = more.iter().map(|&token| token.to_owned()).collect();
        tokens.extend(["a", "b", "c", "é"].map(str::to_owned));
        let mut layer: Vec<String> = tokens[more.len()..].to_vec();
        for _ in 1..longest {
            let longer = layer.iter().flat_map(|word| ["a", "b", "c", "é"].map(|letter| format!("{word}{letter}")));
            layer = longer.filter(|_| next() % 2 == 0).collect();
            tokens.extend(layer.iter().cloned());
        }
        let mut joins = Vec::new();
        for token in &tokens[more.len()..] {
            for (at, _) in token.char_indices().skip(1) {
                let (left, right) = token.split_at(at);
                if tokens.iter().any(|token| token == left) && tokens.iter().any(|token| token == right) {
                    joins.push((next(), [left.to_owned(), right.to_owned()]));
                }
            }
        }
        joins.sort();
        let mut pairs = Pairs::new(&tokens, rules).unwrap();
        pairs.join(joins.iter().map(|(_, [left, right])| [left.as_str(), right.as_str()])).unwrap();
        pairs
    }

    #[test]
    fn words_become_the_tokens_that_the_library_gives() {
        let bytes: Vec<String> = (0..=255).map(|byte| format!("<0x{byte:02X}>")).collect();
        let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
        let fused = Rules { unknown: Some(0), fuses_unknown: true, ..Rules::default() };
        for (rules, more) in [
            (Rules::default(), &[][..]),
            (Rules { ignores_merges: true, ..Rules::default() }, &[]),
            (Rules { unknown: Some(0), ..Rules::default() }, &["?"]),
            (fused, &["?"]),
            (Rules { unknown: Some(0), falls_back_to_bytes: true, ..fused }, &bytes),
            // Only some bytes: an unknown token takes the rest.
            (Rules { falls_back_to_bytes: true, ..fused }, &bytes[..200]),
        ] {
            for seed in 0..20 {
                let ours = pairs(4, seed, rules, more);
                let library = ours.to_library();
                assert_eq!(ours.len(), library.get_vocab_size());
                let mut state = seed + 1;
                for length in 0..120 {
                    let word: String = (0..length)
                        .map(|_| {
                            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                            ['a', 'b', 'c', 'é', 'a', 'b', 'z', '漢'][(state >> 40) as usize % 8]
                        })
                        .collect();
                    assert_eq!(ours.encode(&word), library.tokenize(&word).unwrap(), "{word:?}, {rules:?}");
                }
            }
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let tokens = |list: &[&str]| {
            Pairs::new(&list.iter().map(|&token| token.to_owned()).collect::<Vec<_>>(), Rules::default())
        };
        assert!(tokens(&["a", "b", "a"]).err().unwrap().contains("tokens 0 and 2"));
        let mut pairs = tokens(&["a", "b", "ab"]).unwrap();
        assert!(pairs.join([["a", "b"]].into_iter()).is_ok());
        assert!(pairs.join([["b", "a"]].into_iter()).unwrap_err().contains("makes no token"));
    }
}
