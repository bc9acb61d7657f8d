//! Pieces of words: the tokenizers of BERT (Devlin et al. 2019).
//!
//! Texts are normalised as BERT does it. llama.cpp does the same but for letters that Unicode takes apart: it keeps the
//! first part only, which loses the vowels of Hangul and of Indian scripts. There the ids are those of BERT.
//!
//! A GGUF file marks pieces that begin a word (`▁play`), where a `tokenizer.json` marks those that go on (`##ing`).

use serde_json::{Value, json};

use super::{GgufTokenKind, GgufVocabulary, ids_by_spelling, surroundings, whole};

/// BERT takes longer words as unknown.
const LONGEST_WORD_CHARS: usize = 100;

/// The `tokenizer.json` of the vocabulary; tokens get BERT's spellings, and absent ids are found by them.
pub(super) fn json(vocabulary: &mut GgufVocabulary) -> Result<Value, String> {
    for id in 0..vocabulary.tokens.len() {
        let (kind, token) = (vocabulary.kind(id), &mut vocabulary.tokens[id]);
        let is_role = matches!(kind, GgufTokenKind::Control | GgufTokenKind::Unknown);
        // Converters leave what stands in brackets as it is, so as not to change tokens with a role.
        if is_role || (token.starts_with('[') && token.ends_with(']')) {
            continue;
        }
        *token = match token.strip_prefix('▁') {
            Some(word) => word.to_owned(),
            None => format!("##{token}"),
        };
    }
    let usual = |id: Option<u32>, otherwise: &str| id.or_else(|| vocabulary.id(otherwise));
    let (unknown, begin, end) =
        (usual(vocabulary.unknown, "[UNK]"), usual(vocabulary.begin, "[CLS]"), usual(vocabulary.end, "[SEP]"));
    (vocabulary.unknown, vocabulary.begin, vocabulary.end) = (unknown, begin, end);
    let unknown = unknown.ok_or("tokenizer.ggml.unknown_token_id is missing")?;
    let begin = begin.filter(|_| vocabulary.add_begin.unwrap_or(true));
    let end = end.filter(|_| vocabulary.add_end.unwrap_or(true));
    let model = json!({
        "type": "WordPiece", "unk_token": vocabulary.spelling(unknown), "continuing_subword_prefix": "##",
        "max_input_chars_per_word": LONGEST_WORD_CHARS, "vocab": ids_by_spelling(&vocabulary.tokens)?,
    });
    let normalizer = json!({
        "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": true,
        "lowercase": true,
    });
    Ok(whole(
        vocabulary,
        [
            ("normalizer", normalizer),
            ("pre_tokenizer", json!({"type": "BertPreTokenizer"})),
            ("post_processor", surroundings(vocabulary, begin, end)),
            ("decoder", json!({"type": "WordPiece", "prefix": "##", "cleanup": true})),
            ("model", model),
        ],
    ))
}
