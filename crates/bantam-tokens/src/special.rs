//! Tokens with a role: padding, unknown, mask, begin and end.

use serde::{Deserialize, Serialize};

/// Texts of the special tokens that a trained tokenizer gets. Their ids are the first ones, in the order of the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialTokens {
    /// Fills unused places.
    pub pad: String,
    /// Stands for what the vocabulary lacks.
    pub unknown: String,
    /// Put before each text when there is one (`[CLS]`, `<s>`).
    pub begin: Option<String>,
    /// Put after each text when there is one (`[SEP]`, `</s>`).
    pub end: Option<String>,
    /// Stands for a hidden token in masked training.
    pub mask: Option<String>,
    /// Further tokens that are never split, such as the marks of a chat format.
    #[serde(default)]
    pub extra: Vec<String>,
}

impl SpecialTokens {
    /// The set of BERT: `[PAD] [UNK] [CLS] [SEP] [MASK]`; a text becomes `[CLS] text [SEP]`.
    pub fn encoder() -> Self {
        SpecialTokens {
            pad: "[PAD]".into(),
            unknown: "[UNK]".into(),
            begin: Some("[CLS]".into()),
            end: Some("[SEP]".into()),
            mask: Some("[MASK]".into()),
            extra: Vec::new(),
        }
    }

    /// The set of Llama: `<pad> <unk> <s> </s>`; a text becomes `<s> text </s>`.
    pub fn decoder() -> Self {
        SpecialTokens {
            pad: "<pad>".into(),
            unknown: "<unk>".into(),
            begin: Some("<s>".into()),
            end: Some("</s>".into()),
            mask: None,
            extra: Vec::new(),
        }
    }

    /// All tokens in the order of their ids.
    pub(crate) fn all(&self) -> Vec<String> {
        let mut all = vec![self.pad.clone(), self.unknown.clone()];
        all.extend(self.begin.iter().chain(&self.end).chain(&self.mask).cloned());
        all.extend(self.extra.iter().cloned());
        all
    }
}

impl Default for SpecialTokens {
    fn default() -> Self {
        SpecialTokens::encoder()
    }
}

/// Ids of the special tokens of a loaded tokenizer; `None` where the vocabulary has no such token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpecialIds {
    /// Fills unused places.
    pub pad: Option<u32>,
    /// Stands for what the vocabulary lacks.
    pub unknown: Option<u32>,
    /// Stands for a hidden token in masked training.
    pub mask: Option<u32>,
    /// `[CLS]` or the beginning of a sequence.
    pub begin: Option<u32>,
    /// `[SEP]` or the end of a sequence.
    pub end: Option<u32>,
}

// `tokenizer.json` does not name roles; these are the spellings of the published model families.
const PAD: &[&str] = &["[PAD]", "<pad>", "<|pad|>", "<|padding|>", "<|finetune_right_pad_id|>", "<|endoftext|>"];
const UNKNOWN: &[&str] = &["[UNK]", "<unk>", "<|unk|>"];
const MASK: &[&str] = &["[MASK]", "<mask>", "<|mask|>"];
const BEGIN: &[&str] = &["[CLS]", "<s>", "<bos>", "<|begin_of_text|>", "<|bos|>", "<|startoftext|>", "[BOS]"];
const END: &[&str] =
    &["[SEP]", "</s>", "<eos>", "<|end_of_text|>", "<|eos|>", "[EOS]", "<|im_end|>", "<|eot_id|>", "<|endoftext|>"];

impl SpecialIds {
    /// Looks the usual spellings up with `id`; what the post-processor really puts around a text goes first.
    pub(crate) fn find(id: impl Fn(&str) -> Option<u32>, prefix: &[u32], suffix: &[u32]) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| id(name));
        SpecialIds {
            pad: first(PAD),
            unknown: first(UNKNOWN),
            mask: first(MASK),
            begin: prefix.first().copied().or_else(|| first(BEGIN)),
            end: suffix.last().copied().or_else(|| first(END)),
        }
    }
}
