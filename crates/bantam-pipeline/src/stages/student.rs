//! The small model: learns the teacher's scores.

use bantam_artifact::Work;
use bantam_model::Weights;
use bantam_model::architectures::Architecture;
use bantam_model::architectures::encoder::Encoder;
use bantam_runtime::TextClassifier;
use bantam_tokens::Tokenizer;
use bantam_train::objectives::{Distillation, Lesson, Teacher};

use super::corpus::Corpus;
use super::model::{encoder_config, save, text_encoder, training_precision};
use super::training::{plan, train_in};
use crate::{Error, Observer, StudentSection};

pub(crate) fn make(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    teacher: &TextClassifier,
    lessons: &[Lesson],
    section: &StudentSection,
    seed: u64,
    work: &Work,
    observer: &mut dyn Observer,
) -> Result<(), Error> {
    let columns = corpus.columns();
    let encoder = text_encoder(&section.model, tokenizer.clone());
    let model = Encoder::new(encoder_config(&section.model, tokenizer.vocabulary_size(), columns.len()));
    let weights = Weights::initialise(model.schema(), seed, training_precision());
    let validation = corpus.lessons(&corpus.validation);
    let options = section.objective.clone();
    let plan = plan(&section.training, lessons.len(), options.batch, seed);
    let asked = Teacher { model: teacher.architecture.as_ref(), weights: &teacher.weights, encoder: &teacher.encoder };
    let objective = Distillation::new(&model, &encoder, Some(asked), lessons, &validation, options, seed);
    let weights = train_in(work, "student", &objective, &weights, &plan, observer)?;
    save(&work.path(""), &model, &weights, &encoder, &columns)
}
