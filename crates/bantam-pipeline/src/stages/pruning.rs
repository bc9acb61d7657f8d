//! Pruning: vocabulary, layers, heads and channels that the domain uses least go; the teacher then helps what is left to
//! recover.

use bantam_artifact::Work;
use bantam_compress::{PruneTarget, keep_tokens, prune, restrict};
use bantam_model::architectures::Sizes;
use bantam_model::{TextEncoder, Weights};
use bantam_runtime::TextClassifier;
use bantam_train::objectives::{Distillation, Lesson};

use super::corpus::Corpus;
use super::model::{save, training_precision};
use super::training::{plan, train_in};
use crate::{Error, Observer, StudentSection};

/// Texts whose activity decides what goes.
const CALIBRATION: usize = 1024;
const BATCH: usize = 64;

pub(crate) fn make(
    corpus: &Corpus,
    student: &TextClassifier,
    lessons: &[Lesson],
    section: &StudentSection,
    seed: u64,
    work: &Work,
    observer: &mut dyn Observer,
) -> Result<(), Error> {
    let target = &section.prune;
    let model = student.architecture.as_ref();
    let texts: Vec<&str> = corpus.train.iter().map(|document| document.text.as_str()).collect();
    let step = (texts.len() / CALIBRATION).max(1);
    let some: Vec<&str> = texts.iter().copied().step_by(step).take(CALIBRATION).collect();
    let calibration: Vec<_> = some.chunks(BATCH).map(|texts| student.encoder.batch(texts.iter().copied())).collect();
    let sizes = PruneTarget { layers: target.layers, heads: target.heads, channels: target.channels };
    let pruned = prune(model, &student.weights, &calibration, sizes)?;
    let (mut architecture, mut arrays) = (pruned.architecture, pruned.arrays);
    let mut encoder = student.encoder.clone();
    if target.least_token_count > 0 {
        let seen = corpus.train.iter().chain(&corpus.unlabelled);
        let documents: Vec<Vec<u32>> = seen.map(|document| encoder.encode(&document.text).tokens).collect();
        let keep = keep_tokens(documents.iter().map(Vec::as_slice), model.vocabulary(), target.least_token_count);
        let vocabulary = restrict(architecture.schema(), &arrays, encoder.tokenizer(), &keep)?;
        let sizes = Sizes {
            vocabulary: vocabulary.kept.len(),
            layers: (0..target.layers).collect(),
            heads: target.heads,
            channels: target.channels,
        };
        architecture = architecture.resized(&sizes);
        arrays = vocabulary.arrays;
        encoder = TextEncoder::new(vocabulary.tokenizer, encoder.hasher().cloned(), encoder.max_tokens());
    }
    let mut weights = Weights::from_arrays(architecture.schema(), &arrays, training_precision())
        .map_err(|error| Error::Data { what: format!("pruning: {error}") })?;
    let validation = corpus.lessons(&corpus.validation);
    let options = section.objective.clone();
    let plan = plan(&target.recovery, lessons.len(), options.batch, seed);
    if plan.steps > 0 {
        // The vocabulary differs from the teacher's by now: only its scores can be followed.
        let options = bantam_train::objectives::DistillationOptions { relations: 0.0, states: 0.0, ..options };
        let objective = Distillation::new(architecture.as_ref(), &encoder, None, lessons, &validation, options, seed);
        weights = train_in(work, "pruning", &objective, &weights, &plan, observer)?;
    }
    save(&work.path(""), architecture.as_ref(), &weights, &encoder, &corpus.columns())
}
