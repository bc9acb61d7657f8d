//! Answers that stand in a text.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use bantam_tokens::{Encoding, Shorten};

use super::numbers::{descending, softmax};
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

/// Answers by their texts in small letters: the same one may stand in several places. Most are never told, so that of their texts only
/// hashes are kept; it would take billions of answers for two of them to be equal by chance.
#[derive(Default)]
struct Answers {
    /// Scores, where they begin and where they end.
    found: Vec<(f32, usize, usize)>,
    known: HashMap<u64, usize>,
}

impl Answers {
    /// Adds an answer, or its score to that of the same one.
    fn add(&mut self, score: f32, (start, end): (usize, usize), context: &[char]) {
        let mut hasher = DefaultHasher::new();
        String::from_iter(&context[start..end]).to_lowercase().hash(&mut hasher);
        let place = *self.known.entry(hasher.finish()).or_insert(self.found.len());
        match self.found.get_mut(place) {
            Some((sum, ..)) => *sum += score,
            None => self.found.push((score, start, end)),
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
                    answers.add(candidate.score, self.place(window, &candidate), &self.context);
                }
            }
        }
        let mut answers = answers.found;
        if self.options.may_be_none {
            answers.push((none_score, 0, 0));
        }
        let scores: Vec<f32> = answers.iter().map(|&(score, ..)| score).collect();
        let span = |index: usize| {
            let (score, start, end) = answers[index];
            AnswerSpan { score, start, end, answer: self.context[start..end].iter().collect() }
        };
        descending(&scores, self.options.most).into_iter().map(span).collect()
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

/// The likeliest places of answers that are not longer than `longest` tokens, the likeliest first. A long window has far more of them than are
/// kept at a time.
fn candidates(starts: &[f32], ends: &[f32], longest: usize, most: usize) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let order = |a: &Candidate, b: &Candidate| {
        b.score.total_cmp(&a.score).then_with(|| (a.first, a.last).cmp(&(b.first, b.last)))
    };
    for (first, start) in starts.iter().enumerate().filter(|(_, start)| **start > 0.0) {
        let last = first.saturating_add(longest).min(ends.len());
        for (last, end) in ends.iter().enumerate().take(last).skip(first).filter(|(_, end)| **end > 0.0) {
            found.push(Candidate { first, last, score: start * end });
        }
        if found.len() / 2 > most {
            found.select_nth_unstable_by(most, order);
            found.truncate(most);
        }
    }
    found.sort_unstable_by(order);
    found.truncate(most);
    found
}

#[cfg(test)]
mod tests {
    use bantam_model::Random;

    use super::*;

    #[test]
    fn the_likeliest_places_are_those_of_all_in_order() {
        let mut random = Random::new(2, 0);
        // Few values, so that many are equal, and some are 0.
        let [starts, ends] = [(); 2].map(|()| (0..60).map(|_| random.below(4) as f32).collect::<Vec<f32>>());
        for longest in [1, 7, 100] {
            let mut all: Vec<(usize, usize)> = (0..60).flat_map(|a| (a..60).map(move |b| (a, b))).collect();
            all.retain(|&(a, b)| b - a < longest && starts[a] * ends[b] > 0.0);
            all.sort_by(|a, b| (starts[b.0] * ends[b.1]).total_cmp(&(starts[a.0] * ends[a.1])));
            for most in [1, 3, 50, 10_000] {
                let found = candidates(&starts, &ends, longest, most);
                let places: Vec<(usize, usize)> = found.iter().map(|found| (found.first, found.last)).collect();
                assert_eq!(places, all[..most.min(all.len())], "{most} of at most {longest} tokens");
            }
        }
    }
}
