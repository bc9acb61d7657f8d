//! Training of byte-level BPE, WordPiece and Unigram tokenizers, with the same bytes each time.
//!
//! The trainers of the `tokenizers` crate walk over hash maps, whose order differs from run to run. Three things make
//! them repeatable here: words are counted and sorted by us; continuing characters of WordPiece get their ids before
//! training starts; and Unigram, whose sums of floats depend on the order of threads, trains on one thread, and gets
//! its ties and the scores of rare characters sorted afterwards.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::tokenizer::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    Tokenizer as Engine,
};

use crate::{Error, SpecialTokens, Tokenizer};

/// The algorithm of a tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Byte-level byte pair encoding (GPT-2, Llama 3): no unknown token, any text decodes to itself.
    Bpe,
    /// Longest match of word pieces (BERT).
    WordPiece,
    /// Most probable pieces (SentencePiece, T5).
    Unigram,
}

/// Unicode normalisation before splitting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalisation {
    /// The text as it is.
    None,
    /// Canonical composition: the same letter has one spelling.
    #[default]
    Nfc,
    /// Compatibility composition: also ligatures, full-width letters, circled digits.
    Nfkc,
}

/// What a trained tokenizer shall be like.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    /// Number of tokens in all; fewer when the texts do not give as many.
    pub vocabulary: usize,
    /// Unicode normalisation.
    pub normalisation: Normalisation,
    /// Case is dropped.
    pub lowercase: bool,
    /// Accents are dropped.
    pub strip_accents: bool,
    /// Byte-level BPE: the first word is treated like the others, so `card` and ` card` are one token. Decoded texts
    /// then begin with a space.
    pub prefix_space: bool,
    /// A merge needs this many occurrences (BPE, WordPiece).
    pub min_frequency: u64,
    /// Special tokens; they get the first ids.
    pub special: SpecialTokens,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions {
            vocabulary: 8_192,
            normalisation: Normalisation::Nfc,
            lowercase: false,
            strip_accents: false,
            prefix_space: false,
            min_frequency: 2,
            special: SpecialTokens::default(),
        }
    }
}

/// Longer runs without a split (encoded files, repeated characters) teach nothing and make Unigram's sums overflow.
const LONGEST_WORD_CHARACTERS: usize = 400;

/// Texts counted at once: bounds memory while `texts` streams.
const TEXTS_AT_ONCE: usize = 16_384;

impl Tokenizer {
    /// Trains a tokenizer on `texts`. The same texts and options give the same bytes.
    ///
    /// # Errors
    /// [`Error::NoText`], [`Error::VocabularyTooSmall`], [`Error::RepeatedSpecial`].
    pub fn train<T: AsRef<str> + Sync>(
        kind: Kind,
        texts: impl IntoIterator<Item = T>,
        options: &TrainOptions,
    ) -> Result<Self, Error> {
        let special = options.special.all();
        let mut seen = BTreeSet::new();
        if let Some(token) = special.iter().find(|token| !seen.insert(*token)) {
            return Err(Error::RepeatedSpecial { token: token.clone() });
        }
        let words = count_words(&splitter(kind, options)?, texts);
        if words.is_empty() {
            return Err(Error::NoText);
        }
        let model = match kind {
            Kind::Bpe => train_bpe(&words, &special, options)?,
            Kind::WordPiece => train_wordpiece(&words, &special, options)?,
            Kind::Unigram => train_unigram(&words, &special, options)?,
        };
        let ids: HashMap<&String, usize> = special.iter().enumerate().map(|(id, token)| (token, id)).collect();
        let mut value = pieces_around(kind, options);
        value["added_tokens"] = special.iter().map(|token| added_token(token, ids[token])).collect();
        value["post_processor"] = template(&options.special, &ids);
        value["model"] = model;
        Self::from_value(&value, None)
    }
}

/// Everything of `tokenizer.json` but the model and the special tokens.
fn pieces_around(kind: Kind, options: &TrainOptions) -> Value {
    let mut normalizers = Vec::new();
    if options.strip_accents {
        normalizers.extend([json!({"type": "NFD"}), json!({"type": "StripAccents"})]);
    }
    if options.lowercase {
        normalizers.push(json!({"type": "Lowercase"}));
    }
    match options.normalisation {
        Normalisation::None => {}
        Normalisation::Nfc => normalizers.push(json!({"type": "NFC"})),
        Normalisation::Nfkc => normalizers.insert(0, json!({"type": "NFKC"})),
    }
    let normalizer = match normalizers.len() {
        0 => Value::Null,
        1 => normalizers.remove(0),
        _ => json!({"type": "Sequence", "normalizers": normalizers}),
    };
    let (pre_tokenizer, decoder) = match kind {
        Kind::Bpe => {
            let byte_level = json!({
                "type": "ByteLevel", "add_prefix_space": options.prefix_space, "trim_offsets": true, "use_regex": true
            });
            (byte_level.clone(), byte_level)
        }
        Kind::WordPiece => {
            (json!({"type": "BertPreTokenizer"}), json!({"type": "WordPiece", "prefix": "##", "cleanup": true}))
        }
        Kind::Unigram => {
            let metaspace =
                json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true});
            (metaspace.clone(), metaspace)
        }
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": decoder,
        "model": {"type": "BPE", "vocab": {}, "merges": []},
    })
}

/// A tokenizer without a model: only the way from text to words.
fn splitter(kind: Kind, options: &TrainOptions) -> Result<Engine, Error> {
    let json = pieces_around(kind, options).to_string();
    Engine::from_bytes(json).map_err(|fault| Error::Refused { path: None, reason: fault.to_string() })
}

fn added_token(token: &str, id: usize) -> Value {
    json!({
        "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true
    })
}

/// `begin $A end`, with what there is of the two.
fn template(special: &SpecialTokens, ids: &HashMap<&String, usize>) -> Value {
    if special.begin.is_none() && special.end.is_none() {
        return Value::Null;
    }
    let token = |token: &String, segment: u32| json!({"SpecialToken": {"id": token, "type_id": segment}});
    let begin = special.begin.iter().map(|begin| token(begin, 0));
    let end = |segment| special.end.iter().map(move |end| token(end, segment));
    let text = |name: &str, segment: u32| json!({"Sequence": {"id": name, "type_id": segment}});
    let single: Vec<Value> = begin.clone().chain([text("A", 0)]).chain(end(0)).collect();
    let pair: Vec<Value> = single.iter().cloned().chain([text("B", 1)]).chain(end(1)).collect();
    let named: serde_json::Map<String, Value> = special
        .begin
        .iter()
        .chain(&special.end)
        .map(|token| (token.clone(), json!({"id": token, "ids": [ids[token]], "tokens": [token]})))
        .collect();
    json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": named})
}

/// Normalises and splits all texts; gives each word with its count, sorted by word.
fn count_words<T: AsRef<str> + Sync>(splitter: &Engine, texts: impl IntoIterator<Item = T>) -> Vec<(String, u64)> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut texts = texts.into_iter();
    loop {
        let chunk: Vec<T> = texts.by_ref().take(TEXTS_AT_ONCE).collect();
        if chunk.is_empty() {
            break;
        }
        let part = chunk
            .par_iter()
            .fold(HashMap::new, |mut counts, text| {
                count_into(splitter, text.as_ref(), &mut counts);
                counts
            })
            .reduce(HashMap::new, merge_counts);
        counts = merge_counts(counts, part);
    }
    let mut words: Vec<(String, u64)> = counts.into_iter().collect();
    words.sort_unstable();
    words
}

fn merge_counts(left: HashMap<String, u64>, right: HashMap<String, u64>) -> HashMap<String, u64> {
    let (mut large, small) = if left.len() >= right.len() { (left, right) } else { (right, left) };
    for (word, count) in small {
        *large.entry(word).or_default() += count;
    }
    large
}

fn count_into(splitter: &Engine, text: &str, counts: &mut HashMap<String, u64>) {
    let mut normalized = NormalizedString::from(text);
    if let Some(normalizer) = splitter.get_normalizer()
        && normalizer.normalize(&mut normalized).is_err()
    {
        return;
    }
    let mut pre_tokenized = PreTokenizedString::from(normalized);
    if let Some(pre_tokenizer) = splitter.get_pre_tokenizer()
        && pre_tokenizer.pre_tokenize(&mut pre_tokenized).is_err()
    {
        return;
    }
    for (word, _, _) in pre_tokenized.get_splits(OffsetReferential::Normalized, OffsetType::None) {
        // A zero character is the sentence mark inside the Unigram trainer.
        if word.is_empty() || word.contains('\0') || word.chars().nth(LONGEST_WORD_CHARACTERS).is_some() {
            continue;
        }
        match counts.get_mut(word) {
            Some(count) => *count += 1,
            None => {
                counts.insert(word.to_owned(), 1);
            }
        }
    }
}

fn train_bpe(words: &[(String, u64)], special: &[String], options: &TrainOptions) -> Result<Value, Error> {
    let alphabet = ByteLevel::alphabet();
    enough(options.vocabulary, special.len() + alphabet.len())?;
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(options.vocabulary)
        .min_frequency(options.min_frequency)
        .special_tokens(as_special(special))
        .initial_alphabet(alphabet.into_iter().collect())
        .build();
    let mut model = BPE::default();
    run(trainer.do_train(&words.iter().map(|(word, count)| (word.as_str().into(), *count)).collect(), &mut model))?;
    Ok(serde_json::to_value(&model).expect("a model is plain data"))
}

fn train_wordpiece(words: &[(String, u64)], special: &[String], options: &TrainOptions) -> Result<Value, Error> {
    let alphabet: BTreeSet<char> = words.iter().flat_map(|(word, _)| word.chars()).collect();
    let continuing: BTreeSet<char> = words.iter().flat_map(|(word, _)| word.chars().skip(1)).collect();
    enough(options.vocabulary, special.len() + alphabet.len() + continuing.len())?;
    let reserved: Vec<String> =
        special.iter().cloned().chain(continuing.iter().map(|letter| format!("##{letter}"))).collect();
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(options.vocabulary)
        .min_frequency(options.min_frequency)
        .special_tokens(as_special(&reserved))
        .continuing_subword_prefix("##".into())
        .build();
    let mut model = BPE::default();
    run(trainer.do_train(&words.iter().map(|(word, count)| (word.as_str().into(), *count)).collect(), &mut model))?;
    let value = serde_json::to_value(&model).expect("a model is plain data");
    Ok(json!({
        "type": "WordPiece", "unk_token": options.special.unknown, "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": value["vocab"]
    }))
}

fn train_unigram(words: &[(String, u64)], special: &[String], options: &TrainOptions) -> Result<Value, Error> {
    let alphabet: BTreeSet<char> = words.iter().flat_map(|(word, _)| word.chars()).collect();
    enough(options.vocabulary, special.len() + alphabet.len())?;
    let mut trainer = UnigramTrainer::default();
    trainer.show_progress = false;
    trainer.vocab_size = u32::try_from(options.vocabulary).unwrap_or(u32::MAX);
    trainer.special_tokens = as_special(special);
    trainer.unk_token = Some(options.special.unknown.clone());
    let sentences: Vec<(String, u32)> =
        words.iter().map(|(word, count)| (word.clone(), u32::try_from(*count).unwrap_or(u32::MAX))).collect();
    let mut model = Unigram::default();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|fault| Error::Refused { path: None, reason: fault.to_string() })?;
    run(pool.install(|| trainer.do_train(sentences, &mut model)))?;
    let mut pieces: Vec<(String, f64)> = model.iter().cloned().collect();
    settle_scores(&mut pieces[special.len()..]);
    Ok(json!({"type": "Unigram", "unk_id": 1, "vocab": pieces, "byte_fallback": false}))
}

/// Removes the traces of hash order: characters that training dropped were given the lowest scores, a fixed step
/// apart, in any order; and equal scores stand in any order.
fn settle_scores(pieces: &mut [(String, f64)]) {
    const STEP: f64 = 0.0001; // `min_score_penalty_delta` of the trainer
    let single = |piece: &str| piece.chars().nth(1).is_none();
    let lowest = pieces.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
    let mut ladder: Vec<usize> = Vec::new();
    let mut penalty = 0.0;
    loop {
        let score = lowest + penalty;
        let rung = (0..pieces.len()).filter(|&at| pieces[at].1 == score && single(&pieces[at].0));
        let before = ladder.len();
        ladder.extend(rung);
        if ladder.len() == before && penalty > 0.0 {
            break;
        }
        penalty += STEP;
    }
    let mut characters: Vec<String> = ladder.iter().map(|&at| std::mem::take(&mut pieces[at].0)).collect();
    characters.sort_unstable();
    for (at, character) in ladder.into_iter().zip(characters) {
        pieces[at].0 = character;
    }
    pieces.sort_by(|(left, left_score), (right, right_score)| right_score.total_cmp(left_score).then(left.cmp(right)));
}

fn as_special(tokens: &[String]) -> Vec<AddedToken> {
    tokens.iter().map(|token| AddedToken::from(token.clone(), true)).collect()
}

fn enough(wanted: usize, least: usize) -> Result<(), Error> {
    if wanted < least { Err(Error::VocabularyTooSmall { wanted, least }) } else { Ok(()) }
}

/// Our checks leave no way for a trainer to fail; should it, its words are passed on.
fn run<T>(outcome: tokenizers::Result<T>) -> Result<T, Error> {
    outcome.map_err(|fault| Error::Refused { path: None, reason: fault.to_string() })
}
