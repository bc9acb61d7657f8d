//! The small model: learns the teacher's scores.

use bantam_artifact::Work;
use bantam_runtime::TextClassifier;
use bantam_tokens::Tokenizer;
use bantam_train::objectives::{Distillation, Lesson, Teacher};

use super::corpus::Corpus;
use super::model::{fresh, save};
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
    let (model, encoder, weights) = fresh(&section.model, tokenizer, columns.len(), seed);
    let validation = corpus.lessons(&corpus.validation);
    let options = section.objective.clone();
    let plan = plan(&section.training, lessons.len(), options.batch, seed);
    let asked = Teacher { model: teacher.architecture.as_ref(), weights: &teacher.weights, encoder: &teacher.encoder };
    let objective = Distillation::new(&model, &encoder, Some(asked), lessons, &validation, options, seed);
    let weights = train_in(work, "student", &objective, &weights, &plan, observer)?;
    save(&work.path(""), &model, &weights, &encoder, &columns)
}
