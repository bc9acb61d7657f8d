//! The small model: learns the teacher's scores.

use std::path::Path;

use bantam_artifact::Work;
use bantam_kernels::gemm::Precision;
use bantam_runtime::TextClassifier;
use bantam_tokens::Tokenizer;
use bantam_train::objectives::{Distillation, Lesson, Teacher};

use super::corpus::Corpus;
use super::model::{fresh, load, save};
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

/// Refuses to follow a finished teacher token by token where it reads other tokens, or state by state where its states have another width.
pub(crate) fn check_inner(section: &StudentSection, tokenizer: &Tokenizer, folder: &Path) -> Result<(), Error> {
    let (relations, states) = (section.objective.relations, section.objective.states);
    let (key, value) = if states > 0.0 { ("states", states) } else { ("relations", relations) };
    if value == 0.0 {
        return Ok(());
    }
    let teacher = load(folder, Precision::F32)?;
    let refused = |what: String| Err(Error::Data { what: format!("student.objective.{key} = {value}: {what}") });
    let (own, limit) = (section.model.max_tokens, teacher.encoder.max_tokens());
    if teacher.encoder.tokenizer().to_bytes() != tokenizer.to_bytes() {
        return refused(
            "the teacher of teacher.folder has another tokenizer than the student, which learns its own from the texts; set relations and states to 0, or let the recipe train the teacher".to_owned(),
        );
    }
    if own != limit {
        return refused(format!(
            "the student reads up to {own} tokens of a text (student.model.max_tokens), the teacher of teacher.folder up to {limit}; give both one limit"
        ));
    }
    let config = teacher.architecture.config();
    let width = config.get("hidden_size").and_then(serde_json::Value::as_u64);
    if states > 0.0 && width != Some(section.model.width as u64) {
        return refused(format!(
            "the student's states are {} numbers wide (student.model.width), those of teacher.folder {}; give both one width, or use student.objective.relations, which compares across widths",
            section.model.width,
            width.map_or("unknown".to_owned(), |width| width.to_string())
        ));
    }
    Ok(())
}
