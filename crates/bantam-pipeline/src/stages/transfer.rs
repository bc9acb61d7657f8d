//! What the student learns from: all texts at hand and versions of them with words dropped, scored by the teacher.

use bantam_artifact::{Artifact, Work, write_atomic};
use bantam_model::Random;
use bantam_train::objectives::{Lesson, thinned};

use super::corpus::Corpus;
use super::ensemble::Ensemble;
use crate::{Error, Observer, StudentSection};

/// Texts that the teacher scores at a time.
const BATCH: usize = 256;
const FILE: &str = "lessons.jsonl";

pub(crate) fn make(
    corpus: &Corpus,
    teacher: &Ensemble,
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
    for (index, batch) in lessons.chunks_mut(BATCH).enumerate() {
        if observer.is_stopped() {
            return Err(Error::Stopped);
        }
        let texts: Vec<&str> = batch.iter().map(|lesson| lesson.text.as_str()).collect();
        let scored = teacher.logits(&texts);
        for (lesson, scores) in batch.iter_mut().zip(scored) {
            lesson.scores = scores;
            serde_json::to_writer(&mut lines, lesson).expect("plain data");
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
            serde_json::from_slice(line).map_err(|error| Error::Damaged { path: path.clone(), what: error.to_string() })
        })
        .collect()
}
