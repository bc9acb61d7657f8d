//! What the student learns from: all texts at hand and versions of them with words dropped, scored by the teacher.

use bantam_artifact::{Artifact, Work, write_atomic};
use bantam_model::Random;
use bantam_runtime::TextClassifier;
use bantam_train::objectives::{Lesson, thinned};
use serde::{Deserialize, Serialize};

use super::corpus::Corpus;
use crate::{Error, Observer, StudentSection};

/// Texts that the teacher scores at a time.
const BATCH: usize = 64;
const FILE: &str = "lessons.jsonl";

/// One line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    text: String,
    label: Option<u32>,
    scores: Vec<f32>,
}

pub(crate) fn make(
    corpus: &Corpus,
    teacher: &TextClassifier,
    section: &StudentSection,
    seed: u64,
    work: &Work,
    observer: &mut dyn Observer,
) -> Result<(), Error> {
    let mut lessons = corpus.lessons(&corpus.train);
    let plain =
        |document: &bantam_corpus::Document| Lesson { text: document.text.clone(), label: None, scores: Vec::new() };
    lessons.extend(corpus.unlabelled.iter().map(plain));
    let originals = lessons.len();
    for variant in 0..section.variants {
        for index in 0..originals {
            let mut random = Random::new(seed, (variant * originals + index) as u64);
            let text = thinned(&lessons[index].text, section.word_dropout, &mut random).into_owned();
            // A request that lost words may have lost its meaning too: only the teacher can say.
            if text != lessons[index].text {
                lessons.push(Lesson { text, label: None, scores: Vec::new() });
            }
        }
    }
    let count = lessons.len();
    let mut lines = Vec::new();
    for (index, batch) in lessons.chunks(BATCH).enumerate() {
        if observer.is_stopped() {
            return Err(Error::Stopped);
        }
        let texts: Vec<&str> = batch.iter().map(|lesson| lesson.text.as_str()).collect();
        for (lesson, scores) in batch.iter().zip(teacher.logits(&texts)) {
            let line = Line { text: lesson.text.clone(), label: lesson.label, scores };
            serde_json::to_writer(&mut lines, &line).expect("plain data");
            lines.push(b'\n');
        }
        let done = (index * BATCH + batch.len()) as f64 / count as f64;
        observer.progress(done, &format!("{count} texts"));
    }
    Ok(write_atomic(&work.path(FILE), &lines)?)
}

/// The lessons of a finished transfer set.
pub(crate) fn load(artifact: &Artifact) -> Result<Vec<Lesson>, Error> {
    let path = artifact.path(FILE);
    let text = bantam_artifact::read(&path)?;
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let line: Line = serde_json::from_slice(line)
                .map_err(|error| Error::Damaged { path: path.clone(), what: error.to_string() })?;
            Ok(Lesson { text: line.text, label: line.label, scores: line.scores })
        })
        .collect()
}
