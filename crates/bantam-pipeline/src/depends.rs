//! What each stage depends on: the values of the recipe that, with the keys of what it is made from, name its artifact. Stages ask here
//! when they run, and the plan asks before anything runs.

use bantam_artifact::Key;
use bantam_artifact::bundle::LAYOUT;
use bantam_eval::baselines::Analyser;
use serde::Serialize;

use crate::stages::replies::Replies;
use crate::stages::{bundle, corpus, teacher};
use crate::{Error, Recipe, RecipeText};

pub(crate) fn corpus(text: &RecipeText) -> impl Serialize + use<'_> {
    (&text.data.read, corpus::Settings::of(text))
}

pub(crate) fn linear(analysers: &[Analyser]) -> impl Serialize + use<'_> {
    (LAYOUT, analysers)
}

pub(crate) fn pretraining(text: &RecipeText) -> impl Serialize + use<'_> {
    let section = &text.teacher;
    (&section.model, &section.pretraining, section.masked, text.seed)
}

/// The seed of a member of the teacher, counted from 1: far from the seeds that people choose, so that members of two runs are not the
/// same.
pub(crate) fn member_seed(text: &RecipeText, number: usize) -> u64 {
    text.seed.wrapping_add((number as u64 - 1) << 32)
}

pub(crate) fn teacher(text: &RecipeText, number: usize) -> impl Serialize + use<'_> {
    let section = &text.teacher;
    (&section.model, &section.training, &section.objective, member_seed(text, number))
}

/// The files of a finished teacher.
pub(crate) fn finished_teacher(recipe: &Recipe, folder: &std::path::Path) -> Result<Vec<Key>, Error> {
    let folder = recipe.path(folder);
    Ok(teacher::FILES.map(|file| Key::of_file(&folder.join(file))).into_iter().collect::<Result<_, _>>()?)
}

pub(crate) fn transfer(text: &RecipeText) -> impl Serialize + use<> {
    (text.student.variants, text.student.word_dropout, text.seed)
}

pub(crate) fn student(text: &RecipeText) -> impl Serialize + use<'_> {
    let section = &text.student;
    (&section.model, &section.training, &section.objective, text.seed)
}

pub(crate) fn pruning(text: &RecipeText) -> impl Serialize + use<'_> {
    (&text.student.prune, &text.student.objective, text.seed)
}

pub(crate) fn bundle<'a>(text: &'a RecipeText, replies: &'a Replies) -> bundle::Settings<'a> {
    bundle::Settings {
        name: &text.name,
        purpose: &text.purpose,
        licence: &text.licence,
        languages: &text.languages,
        precision: text.evaluate.quality.precision,
        replies,
        layout: LAYOUT,
    }
}
