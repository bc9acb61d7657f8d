//! The tokenizer, trained on the texts at hand.

use bantam_artifact::{Work, write_atomic};
use bantam_tokens::{Tokenizer, TrainOptions};

use super::corpus::Corpus;
use crate::{Error, TokenizerSection};

pub(crate) fn make(corpus: &Corpus, section: &TokenizerSection, work: &Work) -> Result<(), Error> {
    let options = TrainOptions {
        vocabulary: section.vocabulary,
        lowercase: true,
        strip_accents: true,
        prefix_space: true,
        ..TrainOptions::default()
    };
    let tokenizer = Tokenizer::train(section.kind, corpus.language(), &options)?;
    Ok(write_atomic(&work.path("tokenizer.json"), &tokenizer.to_bytes())?)
}
