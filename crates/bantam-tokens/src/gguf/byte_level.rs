//! Byte-level pairs: the tokenizers of GPT-2 and all that follow it.

use serde_json::{Value, json};

use super::splits::{Splits, splits_of};
use super::{GgufVocabulary, surroundings, whole};
use crate::pairs::{Pairs, Rules};

/// The `tokenizer.json` of the vocabulary, and what stands in its model.
pub(super) fn parts(vocabulary: &mut GgufVocabulary) -> Result<(Value, Pairs), String> {
    // Files from before the key have no better description of themselves.
    let pre = vocabulary.pre.as_deref().unwrap_or("default");
    let Splits { patterns, ignores_merges, adds_begin } = splits_of(pre)
        .ok_or_else(|| format!("tokenizer.ggml.pre is {pre:?}, and how that splits a text is not known here"))?;
    let merges = std::mem::take(&mut vocabulary.merges);
    let merges: Vec<[&str; 2]> = merges
        .iter()
        .map(|merge| match merge.split_once(' ') {
            Some((left, right)) if !left.is_empty() && !right.is_empty() => Ok([left, right]),
            _ => Err(format!("tokenizer.ggml.merges has {merge:?}, which is no pair of tokens")),
        })
        .collect::<Result<_, _>>()?;
    let bytes = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
    // The engine has GPT-2's pattern built in.
    let pre_tokenizer = match &patterns {
        None => bytes(true),
        Some(patterns) => {
            let split = |pattern| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
            let steps: Vec<Value> = patterns.iter().map(split).chain([bytes(false)]).collect();
            json!({"type": "Sequence", "pretokenizers": steps})
        }
    };
    let begin = vocabulary.begin.filter(|_| vocabulary.add_begin.unwrap_or(adds_begin));
    let end = vocabulary.end.filter(|_| vocabulary.add_end.unwrap_or(false));
    let model = json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": ignores_merges,
        "vocab": {}, "merges": [],
    });
    let frame = whole(
        vocabulary,
        [
            ("normalizer", Value::Null),
            ("pre_tokenizer", pre_tokenizer),
            ("post_processor", surroundings(vocabulary, begin, end)),
            ("decoder", bytes(true)),
            ("model", model),
        ],
    );
    let rules = Rules { ignores_merges, ..Rules::default() };
    let mut pairs = Pairs::new(&vocabulary.tokens, rules)?;
    pairs.join(merges.into_iter())?;
    Ok((frame, pairs))
}
