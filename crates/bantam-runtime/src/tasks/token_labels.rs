//! Labels of tokens, alone or put together: names, places and the like.

use serde::Serialize;

use bantam_tokens::Encoding;

use super::numbers::{largest, softmax};
use super::{Cut, Document, Rows, TaskError, TaskModel, Wanted};

/// How labels of tokens are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    /// Not at all.
    None,
    /// Neighbours of one label, by the scheme of B- and I-.
    Simple,
    /// The same, after each word has the label of its first token.
    First,
    /// The same, after each word has the label with the best mean over its tokens.
    Average,
    /// The same, after each word has the label of its surest token.
    Max,
}

/// How tokens are labelled.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenOptions {
    /// How labels are put together.
    pub aggregation: Aggregation,
    /// Labels that are not told.
    pub ignored: Vec<String>,
    /// Reads long texts in windows that share so many tokens.
    pub overlap: Option<usize>,
    /// What happens to long texts without that.
    pub cut: Cut,
}

/// A label that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundLabel {
    /// The label of tokens that were put together, without B- and I-.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_group: Option<String>,
    /// The label of a single token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// How sure the model is.
    pub score: f32,
    /// Which token it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// What it is the label of.
    pub word: String,
    /// Where that begins, in characters.
    pub start: usize,
    /// Where that ends, in characters.
    pub end: usize,
}

/// A text whose tokens are being labelled.
pub struct TokenLabelling {
    windows: Vec<Encoding>,
    text: Vec<char>,
    options: TokenOptions,
}

/// A token of the text with its probabilities.
struct Piece {
    word: String,
    scores: Vec<f32>,
    index: usize,
    start: usize,
    end: usize,
    goes_on: bool,
}

/// A token or word with one label.
struct Labelled {
    label: String,
    score: f32,
    index: Option<usize>,
    word: String,
    start: usize,
    end: usize,
}

impl TokenLabelling {
    /// Asks for the labels of a text's tokens.
    ///
    /// # Errors
    /// When the text is too long and may not be cut, or windows overlap so much that they never move on.
    pub fn new(model: &TaskModel, text: &str, options: TokenOptions) -> Result<(Self, Vec<Document>), TaskError> {
        let most = model.max_tokens();
        let windows = match options.overlap {
            None => vec![model.encoding(text, None, options.cut)?],
            Some(overlap) => {
                let whole = model.tokenizer().encode_placed(text, None);
                model.windows(whole, 0, most, overlap)?
            }
        };
        let documents = windows.iter().filter(|window| !window.is_empty());
        let documents = documents.map(|window| Document::of(window, Wanted::Scores)).collect();
        Ok((Self { windows, text: text.chars().collect(), options }, documents))
    }

    /// The labels in the order of the text.
    pub fn finish(self, model: &TaskModel, rows: &[Rows]) -> Vec<FoundLabel> {
        let mut found = Vec::new();
        for (window, rows) in self.windows.iter().zip(rows) {
            let pieces = self.pieces(model, window, rows);
            let labelled = match self.options.aggregation {
                Aggregation::None | Aggregation::Simple => {
                    pieces.into_iter().map(|piece| alone(model, piece)).collect()
                }
                way => words(pieces).iter().map(|word| together(model, word, way)).collect::<Vec<_>>(),
            };
            let labels: Vec<FoundLabel> = if self.options.aggregation == Aggregation::None {
                labelled.into_iter().map(single).collect()
            } else {
                groups(labelled).iter().map(|group| grouped(model, group)).collect()
            };
            let is_told = |found: &FoundLabel| {
                let label = found.entity_group.as_ref().or(found.entity.as_ref());
                label.is_some_and(|label| !self.options.ignored.contains(label))
            };
            found.extend(labels.into_iter().filter(is_told));
        }
        if self.windows.len() > 1 { without_overlaps(found) } else { found }
    }

    fn pieces(&self, model: &TaskModel, window: &Encoding, rows: &Rows) -> Vec<Piece> {
        let tokenizer = model.tokenizer();
        let (unknown, marks) = (tokenizer.special().unknown, tokenizer.marks_continuations());
        let of_text = rows.iter().enumerate().filter(|(index, _)| window.texts[*index].is_some());
        let piece = |(index, scores): (usize, &[f32])| {
            let (start, end) = window.places[index];
            let end = end.min(self.text.len());
            let start = start.min(end);
            let spelled: String = self.text[start..end].iter().collect();
            let word = tokenizer.token(window.ids[index]).unwrap_or_default();
            // A tokenizer that does not mark what goes on with a word leaves only the spaces of the text to tell.
            let goes_on = if marks {
                word.chars().count() != end - start
            } else {
                let around = &self.text[start.saturating_sub(1)..(start + 1).min(self.text.len())];
                start > 0 && !around.contains(&' ')
            };
            let scores = softmax(scores);
            if Some(window.ids[index]) == unknown {
                return Piece { word: spelled, scores, index, start, end, goes_on: false };
            }
            Piece { word, scores, index, start, end, goes_on }
        };
        of_text.map(piece).collect()
    }
}

fn alone(model: &TaskModel, piece: Piece) -> Labelled {
    let best = largest(&piece.scores);
    Labelled {
        label: model.labels()[best].clone(),
        score: piece.scores[best],
        index: Some(piece.index),
        word: piece.word,
        start: piece.start,
        end: piece.end,
    }
}

fn words(pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    let mut words: Vec<Vec<Piece>> = Vec::new();
    for piece in pieces {
        match words.last_mut() {
            Some(word) if piece.goes_on => word.push(piece),
            _ => words.push(vec![piece]),
        }
    }
    words
}

fn together(model: &TaskModel, word: &[Piece], way: Aggregation) -> Labelled {
    let average = || {
        let sum = |label: usize| word.iter().map(|piece| piece.scores[label]).sum::<f32>();
        (0..word[0].scores.len()).map(|label| sum(label) / word.len() as f32).collect()
    };
    let scores = match way {
        Aggregation::Average => average(),
        Aggregation::Max => {
            let tops: Vec<f32> = word.iter().map(|piece| piece.scores[largest(&piece.scores)]).collect();
            word[largest(&tops)].scores.clone()
        }
        _ => word[0].scores.clone(),
    };
    let best = largest(&scores);
    Labelled {
        label: model.labels()[best].clone(),
        score: scores[best],
        index: None,
        word: model.tokenizer().join(word.iter().map(|piece| piece.word.clone()).collect()),
        start: word[0].start,
        end: word[word.len() - 1].end,
    }
}

/// Neighbours of one label. A label with B- begins anew.
fn groups(labelled: Vec<Labelled>) -> Vec<Vec<Labelled>> {
    let tag = |label: &str| label.strip_prefix("B-").or_else(|| label.strip_prefix("I-")).unwrap_or(label).to_owned();
    let mut groups: Vec<Vec<Labelled>> = Vec::new();
    for next in labelled {
        let is_same = groups
            .last()
            .and_then(|group| group.last())
            .is_some_and(|last| tag(&last.label) == tag(&next.label) && !next.label.starts_with("B-"));
        match groups.last_mut() {
            Some(group) if is_same => group.push(next),
            _ => groups.push(vec![next]),
        }
    }
    groups
}

fn grouped(model: &TaskModel, group: &[Labelled]) -> FoundLabel {
    let label = &group[0].label;
    FoundLabel {
        entity_group: Some(label.split_once('-').map_or(label.as_str(), |(_, tag)| tag).to_owned()),
        entity: None,
        score: group.iter().map(|part| part.score).sum::<f32>() / group.len() as f32,
        index: None,
        word: model.tokenizer().join(group.iter().map(|part| part.word.clone()).collect()),
        start: group[0].start,
        end: group[group.len() - 1].end,
    }
}

fn single(labelled: Labelled) -> FoundLabel {
    let Labelled { label, score, index, word, start, end } = labelled;
    FoundLabel { entity_group: None, entity: Some(label), score, index, word, start, end }
}

/// Of what windows found in one place, the longest, and of equally long ones the surest.
fn without_overlaps(mut found: Vec<FoundLabel>) -> Vec<FoundLabel> {
    found.sort_by_key(|found| found.start);
    let mut kept: Vec<FoundLabel> = Vec::new();
    for next in found {
        match kept.last_mut() {
            Some(last) if (last.start..last.end).contains(&next.start) => {
                let (new, old) = (next.end - next.start, last.end - last.start);
                if new > old || (new == old && next.score > last.score) {
                    *last = next;
                }
            }
            _ => kept.push(next),
        }
    }
    kept
}
