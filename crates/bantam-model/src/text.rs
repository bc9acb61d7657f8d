//! Text to what a model reads: the one place where training, evaluation and serving agree on it.

use bantam_kernels::pool;
use bantam_tokens::Tokenizer;
use bantam_tokens::features::NgramHasher;

use crate::batch::{Batch, Features};

/// Texts of a batch that one task encodes.
const TEXTS: usize = 8;

/// A tokenizer, and the hasher of features for models that have a table for them.
#[derive(Clone)]
pub struct TextEncoder {
    tokenizer: Tokenizer,
    hasher: Option<NgramHasher>,
    max_tokens: usize,
    /// Stands for a text without any token.
    nothing: u32,
}

/// One text as a model reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncodedText {
    /// Token ids, one at least.
    pub tokens: Vec<u32>,
    /// Buckets of hashed features; empty where the model has none.
    pub features: Vec<u32>,
}

impl TextEncoder {
    /// Encodes with `tokenizer`, cutting after `max_tokens`.
    pub fn new(tokenizer: Tokenizer, hasher: Option<NgramHasher>, max_tokens: usize) -> Self {
        let special = tokenizer.special();
        let nothing = special.unknown.or(special.begin).unwrap_or(0);
        Self { tokenizer, hasher, max_tokens, nothing }
    }

    /// One text.
    pub fn encode(&self, text: &str) -> EncodedText {
        let mut tokens = self.tokenizer.encode(text, self.max_tokens);
        if tokens.is_empty() {
            tokens.push(self.nothing);
        }
        let mut features = Vec::new();
        if let Some(hasher) = &self.hasher {
            hasher.collect(text, &mut features);
        }
        EncodedText { tokens, features }
    }

    /// Several texts as one batch.
    pub fn batch<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Batch {
        let texts: Vec<&str> = texts.into_iter().collect();
        let mut encoded = vec![EncodedText::default(); texts.len()];
        pool::for_each_chunk(&mut encoded, TEXTS, |piece, encoded| {
            for (encoded, text) in encoded.iter_mut().zip(&texts[piece * TEXTS..]) {
                *encoded = self.encode(text);
            }
        });
        self.gather(encoded.iter())
    }

    /// Encoded texts as one batch.
    pub fn gather<'a>(&self, texts: impl Iterator<Item = &'a EncodedText> + Clone) -> Batch {
        let batch = Batch::new(texts.clone().map(|text| text.tokens.as_slice()));
        if self.hasher.is_none() {
            return batch;
        }
        let mut features = Features { ids: Vec::new(), offsets: vec![0] };
        for text in texts {
            features.ids.extend_from_slice(&text.features);
            features.offsets.push(features.ids.len());
        }
        batch.with_features(features)
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The hasher of features, if any.
    pub fn hasher(&self) -> Option<&NgramHasher> {
        self.hasher.as_ref()
    }

    /// The most tokens of one text.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }
}
