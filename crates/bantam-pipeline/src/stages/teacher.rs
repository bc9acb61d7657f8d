//! The big model: learns the labels, from pretrained weights where there are some.

use std::path::Path;

use bantam_artifact::{Artifact, Work, read};
use bantam_model::Weights;
use bantam_model::arrays::read_safetensors;
use bantam_model::folder::{classifier_of, labels_of};
use bantam_tokens::Tokenizer;
use bantam_train::objectives::Classification;

use super::corpus::Corpus;
use super::model::{fresh, load, save, training_precision};
use super::pretraining::WEIGHTS;
use super::training::{plan, train_in};
use crate::{Error, Observer, TeacherSection};

pub(crate) fn make(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    pretrained: Option<&Artifact>,
    section: &TeacherSection,
    seed: u64,
    work: &Work,
    observer: &mut dyn Observer,
) -> Result<(), Error> {
    let columns = corpus.columns();
    let (model, encoder, mut weights) = fresh(&section.model, tokenizer, columns.len(), seed);
    if let Some(artifact) = pretrained {
        weights = started_from(&weights, artifact)?;
    }
    let lessons = corpus.lessons(&corpus.train);
    let validation = corpus.lessons(&corpus.validation);
    let options = section.objective.clone();
    let plan = plan(&section.training, lessons.len(), options.batch, seed);
    let objective = Classification::new(&model, &encoder, &lessons, &validation, options, seed);
    let weights = train_in(work, "teacher", &objective, &weights, &plan, observer)?;
    save(&work.path(""), &model, &weights, &encoder, &columns)
}

/// The files of a finished teacher.
pub(crate) const FILES: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

/// The labels of the finished teacher in a folder, which must have all its files.
pub(crate) fn labels(folder: &Path) -> Result<Vec<String>, Error> {
    let remedy = "teacher.folder names a folder with config.json, model.safetensors and tokenizer.json, as `bantam train` leaves one";
    for file in FILES {
        let path = folder.join(file);
        std::fs::metadata(&path).map_err(|source| Error::Read { path, source, remedy })?;
    }
    let path = folder.join(FILES[0]);
    let text = std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source, remedy })?;
    let config = serde_json::from_slice(&text)
        .map_err(|error| Error::Data { what: format!("{}: {error}; {remedy}", path.display()) })?;
    Ok(labels_of(&config, classifier_of(&config, &path)?.labels()))
}

/// Refuses a finished teacher whose labels are not the corpus's.
pub(crate) fn check_labels(folder: &Path, labels: &[String], corpus: &Corpus) -> Result<(), Error> {
    let columns = corpus.columns();
    if labels == columns {
        return Ok(());
    }
    let what = format!(
        "{}: the teacher's {} labels are not the corpus's {} ({} ...); train it on the same labels, in alphabetical order{}",
        folder.display(),
        labels.len(),
        columns.len(),
        columns.iter().take(3).cloned().collect::<Vec<_>>().join(", "),
        if corpus.account.out_of_scope { ", with `oos` last" } else { "" }
    );
    Err(Error::Data { what })
}

/// A finished teacher from elsewhere, whose labels must be the corpus's.
pub(crate) fn copy(folder: &Path, corpus: &Corpus, work: &Work) -> Result<(), Error> {
    let teacher = load(folder, training_precision())?;
    check_labels(folder, &teacher.labels, corpus)?;
    save(&work.path(""), teacher.architecture.as_ref(), &teacher.weights, &teacher.encoder, &corpus.columns())
}

/// Fresh weights with every pretrained array of the same name and shape in its place.
fn started_from(weights: &Weights, artifact: &Artifact) -> Result<Weights, Error> {
    let path = artifact.path(WEIGHTS);
    let damaged = |what: String| Error::Damaged { path: path.clone(), what };
    let pretrained = read_safetensors(&read(&path)?).map_err(|error| damaged(error.to_string()))?;
    let mut arrays = weights.to_arrays();
    for (name, array) in pretrained {
        if let Some(place) = arrays.get_mut(&name).filter(|place| place.shape == array.shape) {
            *place = array;
        }
    }
    Weights::from_arrays(weights.schema(), &arrays, training_precision()).map_err(|error| damaged(error.to_string()))
}
