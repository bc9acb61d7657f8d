//! Before any label: the teacher learns the domain's language by filling in hidden tokens.

use std::sync::Arc;

use bantam_artifact::{Work, write_atomic};
use bantam_model::Weights;
use bantam_model::architectures::Architecture;
use bantam_model::architectures::encoder::Encoder;
use bantam_model::arrays::write_safetensors;
use bantam_tokens::Tokenizer;
use bantam_train::objectives::{MaskedToken, Masking};

use super::corpus::Corpus;
use super::model::{encoder_config, text_encoder, training_precision};
use super::training::{plan, train_in};
use crate::{Error, Observer, TeacherSection};

/// The file with the pretrained arrays.
pub(crate) const WEIGHTS: &str = "pretrained.safetensors";

/// Texts per batch.
const BATCH: usize = 64;

pub(crate) fn make(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    section: &TeacherSection,
    seed: u64,
    work: &Work,
    observer: &mut dyn Observer,
) -> Result<(), Error> {
    let encoder = text_encoder(&section.model, tokenizer.clone());
    let mut config = encoder_config(&section.model, tokenizer.vocabulary_size(), 0);
    config.features = None;
    let model = Encoder::new(config);
    let documents: Vec<Vec<u32>> = corpus.language().map(|text| encoder.encode(text).tokens).collect();
    let special = tokenizer.special();
    let Some(mask) = special.mask else {
        return Err(Error::Data {
            what: "the tokenizer has no mask token; set teacher.pretraining.epochs = 0".to_owned(),
        });
    };
    let kept: Vec<u32> = [special.begin, special.end, special.pad].into_iter().flatten().collect();
    let masking = Masking { mask, kept: &kept, rate: section.masked };
    let objective = MaskedToken::new(&model, &documents, &[], masking, BATCH, 0.0, seed);
    let weights = Weights::initialise(&Arc::clone(model.schema()), seed, training_precision());
    let plan = plan(&section.pretraining, documents.len(), BATCH, seed);
    let weights = train_in(work, "pretraining", &objective, &weights, &plan, observer)?;
    Ok(write_atomic(&work.path(WEIGHTS), &write_safetensors(&weights.to_arrays()))?)
}
