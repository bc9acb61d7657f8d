//! Answers that stand in a text.

use std::collections::HashMap;

use serde::Serialize;

use bantam_tokens::{Encoding, Shorten};

use super::numbers::softmax;
use super::{Document, Rows, TaskError, TaskModel, Wanted};

/// The usual size of the windows that a long text is read in, and what they share.
const WINDOW: usize = 384;
const OVERLAP: usize = 128;

/// How answers are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanOptions {
    /// How many answers are told.
    pub most: usize,
    /// Tokens of an answer at most.
    pub answer_tokens: usize,
    /// Whether "there is none" is an answer.
    pub may_be_none: bool,
    /// Whether answers begin and end with words.
    pub whole_words: bool,
    /// Tokens of a window, the question included; none for the usual size.
    pub window: Option<usize>,
    /// Tokens that windows share; none for the usual.
    pub overlap: Option<usize>,
    /// Tokens of the question at most.
    pub question_tokens: Option<usize>,
}

impl Default for SpanOptions {
    fn default() -> Self {
        Self {
            most: 1,
            answer_tokens: 15,
            may_be_none: false,
            whole_words: true,
            window: None,
            overlap: None,
            question_tokens: None,
        }
    }
}

/// An answer and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswerSpan {
    /// How likely it is.
    pub score: f32,
    /// Where it begins, in characters.
    pub start: usize,
    /// Where it ends, in characters.
    pub end: usize,
    /// The answer; empty where there is none.
    pub answer: String,
}

/// A text in which the answer to a question is looked for.
pub struct SpanSearch {
    windows: Vec<Encoding>,
    context: Vec<char>,
    options: SpanOptions,
}

/// Answers by their texts in small letters: the same one may stand in several places.
#[derive(Default)]
struct Answers {
    found: Vec<AnswerSpan>,
    known: HashMap<String, usize>,
}

impl Answers {
    /// Adds an answer, or its score to that of the same one.
    fn add(&mut self, span: AnswerSpan) {
        let place = *self.known.entry(span.answer.to_lowercase()).or_insert(self.found.len());
        match self.found.get_mut(place) {
            Some(same) => same.score += span.score,
            None => self.found.push(span),
        }
    }
}

/// Where an answer may stand in a window.
struct Candidate {
    first: usize,
    last: usize,
    score: f32,
}

impl SpanSearch {
    /// Looks for the answer to `question` in `context`, in windows where it is long.
    ///
    /// # Errors
    /// When the question leaves no room for the context, or windows overlap so much that they never move on.
    pub fn new(
        model: &TaskModel,
        question: &str,
        context: &str,
        options: SpanOptions,
    ) -> Result<(Self, Vec<Document>), TaskError> {
        let most = options.window.unwrap_or(WINDOW).min(model.max_tokens());
        let mut whole = model.tokenizer().encode_placed(question, Some(context));
        if let Some(limit) = options.question_tokens {
            let over = whole.count(0).saturating_sub(limit);
            let shorter = whole.len() - over;
            whole = whole.shortened(shorter, Shorten::First).unwrap_or_default();
        }
        let around = whole.len() - whole.count(1);
        let room = most.saturating_sub(around);
        // The usual overlap gives way to a long question; one that was asked for does not.
        let usual = (most / 2).min(OVERLAP);
        let overlap = options.overlap.unwrap_or(if usual < room { usual } else { room / 2 });
        let tokens = whole.len();
        if room < 2 && tokens > most {
            return Err(TaskError::TooLong { tokens, most });
        }
        let windows = model.windows(whole, 1, most, overlap)?;
        let windows: Vec<Encoding> = windows.into_iter().filter(|window| !window.is_empty()).collect();
        let documents = windows.iter().map(|window| Document::of(window, Wanted::Scores)).collect();
        Ok((Self { windows, context: context.chars().collect(), options }, documents))
    }

    /// The answers, the likeliest first.
    pub fn finish(self, model: &TaskModel, rows: &[Rows]) -> Vec<AnswerSpan> {
        let begin = model.tokenizer().special().begin;
        let tried = if self.options.whole_words {
            // Several may become one when they are made whole words.
            self.options.most.saturating_mul(2).saturating_add(10)
        } else {
            self.options.most
        };
        let (mut answers, mut none_score) = (Answers::default(), 1e6_f32);
        for (window, rows) in self.windows.iter().zip(rows) {
            // Tokens of the context, and the first token, with which models say that there is no answer.
            let may_be: Vec<bool> =
                window.texts.iter().zip(&window.ids).map(|(&text, &id)| text == Some(1) || Some(id) == begin).collect();
            let [mut starts, mut ends] = [0, 1].map(|column| {
                let masked = rows.iter().zip(&may_be).map(|(row, &may)| if may { row[column] } else { -10_000.0 });
                softmax(&masked.collect::<Vec<f32>>())
            });
            none_score = none_score.min(starts[0] * ends[0]);
            (starts[0], ends[0]) = (0.0, 0.0);
            for candidate in candidates(&starts, &ends, self.options.answer_tokens, tried) {
                if may_be[candidate.first] && may_be[candidate.last] {
                    answers.add(self.span(window, &candidate));
                }
            }
        }
        let mut answers = answers.found;
        if self.options.may_be_none {
            answers.push(AnswerSpan { score: none_score, start: 0, end: 0, answer: String::new() });
        }
        answers.sort_by(|a, b| b.score.total_cmp(&a.score));
        answers.truncate(self.options.most);
        answers
    }

    fn span(&self, window: &Encoding, candidate: &Candidate) -> AnswerSpan {
        let (start, end) = self.place(window, candidate);
        AnswerSpan { score: candidate.score, start, end, answer: self.context[start..end].iter().collect() }
    }

    fn place(&self, window: &Encoding, candidate: &Candidate) -> (usize, usize) {
        let places = |token: usize| {
            let word = window.words[token].filter(|_| self.options.whole_words)?;
            let of_word = |&index: &usize| window.texts[index] == Some(1) && window.words[index] == Some(word);
            let first = (0..window.len()).find(of_word)?;
            let last = (0..window.len()).rfind(of_word)?;
            Some((window.places[first].0, window.places[last].1))
        };
        let (start, end) = match (places(candidate.first), places(candidate.last)) {
            (Some((start, _)), Some((_, end))) => (start, end),
            _ => (window.places[candidate.first].0, window.places[candidate.last].1),
        };
        let end = end.min(self.context.len());
        (start.min(end), end)
    }
}

/// The likeliest places of answers that are not longer than `longest` tokens, the likeliest first.
fn candidates(starts: &[f32], ends: &[f32], longest: usize, most: usize) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (first, start) in starts.iter().enumerate().filter(|(_, start)| **start > 0.0) {
        let last = first.saturating_add(longest).min(ends.len());
        for (last, end) in ends.iter().enumerate().take(last).skip(first).filter(|(_, end)| **end > 0.0) {
            found.push(Candidate { first, last, score: start * end });
        }
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(most);
    found
}
