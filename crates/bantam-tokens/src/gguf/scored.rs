//! Scored pieces: the pair tokenizers of SentencePiece (Kudo and Richardson 2018), as in Llama 1 and 2.
//!
//! SentencePiece joins the neighbours whose joint piece has the highest score. The engine joins by an ordered list of
//! pairs, so each way of joining a piece becomes a pair, ordered by the piece's score.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{GgufTokenKind, GgufVocabulary, surroundings, whole};
use crate::pairs::{Pairs, Rules};

/// Bytes of pairs for each byte of pieces; Llama 2 has two. More is a small file that asks for much memory.
const MOST_BYTES_OF_PAIRS: usize = 32;
/// Stands for a space.
const SPACE: &str = "▁";

/// The `tokenizer.json` of the vocabulary, and what stands in its model; ids that llama.cpp assumes where they are absent are filled in.
pub(super) fn parts(vocabulary: &mut GgufVocabulary) -> Result<(Value, Pairs), String> {
    if vocabulary.scores.len() != vocabulary.tokens.len() {
        return Err("tokenizer.ggml.scores is missing".into());
    }
    if vocabulary.scores.iter().any(|score| score.is_nan()) {
        return Err("tokenizer.ggml.scores has an entry that is no number".into());
    }
    let usual = |id: Option<u32>, otherwise: &str| id.or_else(|| vocabulary.id(otherwise));
    let (unknown, begin, end) =
        (usual(vocabulary.unknown, "<unk>"), usual(vocabulary.begin, "<s>"), usual(vocabulary.end, "</s>"));
    (vocabulary.unknown, vocabulary.begin, vocabulary.end) = (unknown, begin, end);
    let unknown = unknown.ok_or("tokenizer.ggml.unknown_token_id is missing")?;

    let has_prefix = vocabulary.add_space_prefix.unwrap_or(true);
    let space = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
    let prefix = has_prefix.then(|| json!({"type": "Prepend", "prepend": SPACE}));
    let normalizers: Vec<Value> = prefix.into_iter().chain([space]).collect();
    let strip = has_prefix.then(|| json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    let decoders: Vec<Value> = [
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ]
    .into_iter()
    .chain(strip)
    .collect();
    let begin = begin.filter(|_| vocabulary.add_begin.unwrap_or(true));
    let end = end.filter(|_| vocabulary.add_end.unwrap_or(false));
    let model = json!({
        "type": "BPE", "dropout": null, "unk_token": vocabulary.spelling(unknown), "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
        "vocab": {}, "merges": [],
    });
    let frame = whole(
        vocabulary,
        [
            ("normalizer", json!({"type": "Sequence", "normalizers": normalizers})),
            ("pre_tokenizer", Value::Null),
            ("post_processor", surroundings(vocabulary, begin, end)),
            ("decoder", json!({"type": "Sequence", "decoders": decoders})),
            ("model", model),
        ],
    );
    let rules = Rules { unknown: Some(unknown), fuses_unknown: true, falls_back_to_bytes: true, ignores_merges: false };
    let mut pairs = Pairs::new(&vocabulary.tokens, rules)?;
    pairs.join(merges(vocabulary)?.into_iter())?;
    Ok((frame, pairs))
}

/// Every pair of tokens that makes a token, by falling score of what it makes.
fn merges(vocabulary: &GgufVocabulary) -> Result<Vec<[&str; 2]>, String> {
    let is_text = |id: usize| {
        let kind = vocabulary.kind(id);
        matches!(kind, GgufTokenKind::Normal | GgufTokenKind::UserDefined | GgufTokenKind::Unused)
    };
    let pieces: HashMap<&str, usize> = vocabulary
        .tokens
        .iter()
        .enumerate()
        .filter(|(id, _)| is_text(*id))
        .map(|(id, token)| (token.as_str(), id))
        .collect();
    let most_bytes = pieces.keys().map(|piece| piece.len()).sum::<usize>() * MOST_BYTES_OF_PAIRS;
    let mut bytes = 0;
    let mut pairs = Vec::new();
    for (&piece, &id) in &pieces {
        for (at, _) in piece.char_indices().skip(1) {
            let (left, right) = piece.split_at(at);
            if pieces.contains_key(left) && pieces.contains_key(right) {
                pairs.push((vocabulary.scores[id], id, at, [left, right]));
                bytes += piece.len();
            }
        }
        if bytes > most_bytes {
            return Err("tokenizer.ggml.tokens can be joined in too many ways".into());
        }
    }
    // Equal scores are joined from the left in SentencePiece; places are unknown here, so that ids decide.
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    Ok(pairs.into_iter().map(|(_, _, _, pair)| pair).collect())
}

/// Scores that join pieces in the order of `merges`: the earlier a piece is made, the higher.
pub(super) fn scores(tokens: &[String], merges: &[[String; 2]]) -> Vec<f32> {
    let ids = super::export::ids(tokens);
    // Pieces that no pair makes are never joined, so that their scores say nothing.
    let mut scores = vec![0.0; tokens.len()];
    let mut is_known = vec![false; tokens.len()];
    let mut rank = 0.0;
    for [left, right] in merges {
        if let Some(&id) = ids.get(format!("{left}{right}").as_str())
            && !std::mem::replace(&mut is_known[id], true)
        {
            scores[id] = rank;
            rank -= 1.0;
        }
    }
    scores
}
