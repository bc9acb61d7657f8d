//! An encoder with the head of a task, ready to read.

use std::collections::BTreeMap;
use std::path::Path;

use bantam_kernels::gemm::{PackedFormat, Precision};
use bantam_model::architectures::{Head, TaskEncoder};
use bantam_model::folder::FolderError;
use bantam_model::layers::Pooling;
use bantam_model::task_folder::read_task_encoder;
use bantam_model::{Batch, Pass, Weights};
use bantam_tensor::Tensor;
use bantam_tokens::{Encoding, Shorten, Tokenizer};

use super::TaskError;
use crate::classifier::compute;

/// More bytes than tokens have, all in all. What is behind them of a text that is cut is not looked at.
const TOKEN_BYTES: usize = 64;
/// The most windows of one text.
const MOST_WINDOWS: usize = 1024;

/// An encoder, ready to read. It can be shared between threads.
pub struct TaskModel {
    architecture: Box<dyn TaskEncoder>,
    weights: Weights,
    tokenizer: Tokenizer,
    labels: Vec<String>,
    problem: Option<String>,
    max_tokens: usize,
    pooling: Pooling,
    prompts: BTreeMap<String, String>,
    /// Numbers of a state.
    width: usize,
    /// Stands for a text without any token.
    nothing: u32,
}

/// What happens to a text with more tokens than the model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It is refused.
    Never,
    /// Its end is left out; of a pair, that of the longer text, then of both.
    End,
    /// Its beginning is left out; pairs, and texts whose tokens are labelled, lose their ends.
    Beginning,
    /// As [`Cut::End`], but a pair keeps its second text.
    First,
}

/// What is asked of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// What the head makes of it: one row for labels of texts, a row for each token otherwise.
    Scores,
    /// What the head makes of these of its tokens.
    ScoresAt(Vec<u32>),
    /// Its states, as one row.
    Summary,
    /// Its states, a row for each token.
    States,
}

/// A text or a pair of texts as a model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    ids: Vec<u32>,
    /// Kinds of segment; empty where all are 0.
    kinds: Vec<u32>,
    wanted: Wanted,
}

/// What was asked of a document: rows of numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    numbers: Vec<f32>,
    width: usize,
}

impl Document {
    /// Its tokens.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Its token ids.
    pub(crate) fn into_ids(self) -> Vec<u32> {
        self.ids
    }

    /// Those of an encoding.
    pub(crate) fn of(encoding: &Encoding, wanted: Wanted) -> Self {
        Self { ids: encoding.ids.clone(), kinds: encoding.kinds.clone(), wanted }
    }

    /// Token ids, for a task that makes them itself.
    pub(crate) fn plain(ids: Vec<u32>, wanted: Wanted) -> Self {
        Self { ids, kinds: Vec::new(), wanted }
    }
}

impl Rows {
    /// The rows in order.
    pub fn iter(&self) -> std::slice::Chunks<'_, f32> {
        self.numbers.chunks(self.width.max(1))
    }

    /// The first row; empty where there is none.
    pub fn first(&self) -> &[f32] {
        self.iter().next().unwrap_or_default()
    }
}

impl TaskModel {
    /// Opens a Hugging Face folder, its matrices put into `format`.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn open(folder: &Path, format: PackedFormat) -> Result<Self, FolderError> {
        let folder = read_task_encoder(folder, Precision::F32)?;
        let special = folder.tokenizer.special();
        let entries = folder.architecture.schema().entries();
        let width = entries.iter().find_map(|entry| entry.columns.as_ref()).map_or(0, |axis| axis.size);
        Ok(Self {
            weights: folder.weights.packed(format),
            nothing: special.unknown.or(special.begin).unwrap_or(0),
            architecture: folder.architecture,
            tokenizer: folder.tokenizer,
            labels: folder.labels,
            problem: folder.problem,
            max_tokens: folder.max_tokens,
            pooling: folder.pooling,
            prompts: folder.prompts,
            width,
        })
    }

    /// What its head scores.
    pub fn head(&self) -> Head {
        self.architecture.head_kind()
    }

    /// The names of its labels, in order of the scores.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The kind of problem that its labels solve, where its config says it.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The most tokens of a document.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// How states become one row.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// Tokens that it knows.
    pub(crate) fn vocabulary(&self) -> usize {
        self.architecture.vocabulary()
    }

    /// Numbers in the model.
    pub fn parameters(&self) -> usize {
        self.architecture.schema().parameters()
    }

    /// What the numbers of its matrices are stored as; see [`bantam_tensor::Matrix::number_type`].
    pub fn number_type(&self) -> &'static str {
        self.weights.number_type()
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// What is put before texts, by name.
    pub fn prompts(&self) -> &BTreeMap<String, String> {
        &self.prompts
    }

    /// Numbers of the rows that [`TaskModel::read`] gives for a document.
    pub fn numbers(&self, document: &Document) -> usize {
        let columns = match self.head() {
            Head::Nothing => self.width,
            Head::Vocabulary => self.vocabulary(),
            head => head.labels(),
        };
        let is_whole = matches!(self.head(), Head::Labels(_));
        let (rows, columns) = match &document.wanted {
            Wanted::Scores | Wanted::ScoresAt(_) if is_whole => (1, columns),
            Wanted::Scores => (document.tokens(), columns),
            Wanted::ScoresAt(places) => (places.len(), columns),
            Wanted::Summary => (1, self.width),
            Wanted::States => (document.tokens(), self.width),
        };
        rows.saturating_mul(columns)
    }

    /// A text, or a pair of texts, to be read.
    ///
    /// # Errors
    /// When it is too long, and may not be cut.
    pub fn document(&self, text: &str, pair: Option<&str>, cut: Cut, wanted: Wanted) -> Result<Document, TaskError> {
        if pair.is_some() {
            return Ok(Document::of(&self.encoding(text, pair, cut)?, wanted));
        }
        let content = self.content(text, cut);
        let (before, after) = self.tokenizer.around();
        let tokens = before.len() + content.len() + after.len();
        let room = self.max_tokens.saturating_sub(before.len() + after.len()).min(content.len());
        let kept = match cut {
            _ if tokens <= self.max_tokens => &content[..],
            Cut::Never => return Err(self.too_long(tokens)),
            Cut::End | Cut::First => &content[..room],
            Cut::Beginning => &content[content.len() - room..],
        };
        let mut ids = [before, kept, after].concat();
        ids.truncate(self.max_tokens);
        if ids.is_empty() {
            ids.push(self.nothing);
        }
        Ok(Document::plain(ids, wanted))
    }

    /// Tokens with their places, as many as the model reads.
    pub(crate) fn encoding(&self, text: &str, pair: Option<&str>, cut: Cut) -> Result<Encoding, TaskError> {
        let (text, pair) = match cut {
            Cut::Never => (text, pair),
            _ => (self.beginning(text), pair.map(|pair| self.beginning(pair))),
        };
        let mut encoding = self.tokenizer.encode_placed(text, pair);
        if encoding.is_empty() {
            let (ids, kinds, places) = (vec![self.nothing], vec![0], vec![(0, 0)]);
            encoding = Encoding { ids, kinds, places, texts: vec![None], words: vec![None] };
        }
        let tokens = encoding.len();
        if tokens <= self.max_tokens {
            return Ok(encoding);
        }
        let shorten = match cut {
            Cut::Never => None,
            Cut::First => Some(Shorten::First),
            Cut::End | Cut::Beginning => Some(Shorten::Longest),
        };
        shorten.and_then(|shorten| encoding.shortened(self.max_tokens, shorten)).ok_or_else(|| self.too_long(tokens))
    }

    /// Reads documents in one batch, and gives each what was asked of it.
    ///
    /// # Panics
    /// When a document is of another model: its tokens and places have to be this one's.
    pub fn read(&self, documents: &[&Document]) -> Vec<Rows> {
        if documents.is_empty() {
            return Vec::new();
        }
        let mut batch = Batch::new(documents.iter().map(|document| document.ids.as_slice()));
        if documents.iter().any(|document| !document.kinds.is_empty()) {
            let zeros = |document: &Document| vec![0; document.ids.len()];
            let kinds = documents
                .iter()
                .flat_map(|document| if document.kinds.is_empty() { zeros(document) } else { document.kinds.clone() });
            batch = batch.with_kinds(kinds.collect());
        }
        let products = batch.tokens().len().saturating_mul(self.parameters());
        compute(products, || self.read_batch(documents, &batch))
    }

    fn read_batch(&self, documents: &[&Document], batch: &Batch) -> Vec<Rows> {
        let is_whole = matches!(self.head(), Head::Labels(_));
        let reads_first = |document: &&Document| match document.wanted {
            Wanted::Scores => is_whole && self.architecture.pooling() == Pooling::First,
            Wanted::Summary => self.pooling == Pooling::First,
            Wanted::ScoresAt(_) | Wanted::States => false,
        };
        let mut pass = if documents.iter().all(reads_first) { Pass::answer() } else { Pass::plain() };
        let hidden = self.architecture.hidden(&self.weights, batch, &mut pass);
        let last = hidden.last().expect("there is always the embedding");
        let mut found = vec![Rows::default(); documents.len()];
        // The rows that the head reads are put together, so that it reads all at once.
        let scored = |wanted: &Wanted| matches!(wanted, Wanted::Scores | Wanted::ScoresAt(_));
        let asked: Vec<usize> = (0..documents.len()).filter(|&index| scored(&documents[index].wanted)).collect();
        if !asked.is_empty() {
            let (rows, counts) = if is_whole {
                let pooled = pass.pooled(self.architecture.pooling(), last, batch);
                let rows: Vec<u32> = asked.iter().map(|&index| index as u32).collect();
                (pooled.select_rows(&rows), vec![1; asked.len()])
            } else {
                let places = asked.iter().map(|&index| places(documents[index], batch.starts()[index] as u32));
                let places: Vec<Vec<u32>> = places.collect();
                (last.select_rows(&places.concat()), places.iter().map(Vec::len).collect())
            };
            let scores = self.architecture.score(&self.weights, &rows, &mut pass);
            let mut start = 0;
            for (&index, count) in asked.iter().zip(counts) {
                found[index] = part(&scores, start, count);
                start += count;
            }
        }
        if documents.iter().any(|document| document.wanted == Wanted::Summary) {
            let pooled = pass.pooled(self.pooling, last, batch);
            for (index, document) in documents.iter().enumerate() {
                if document.wanted == Wanted::Summary {
                    found[index] = part(&pooled, index, 1);
                }
            }
        }
        for (index, document) in documents.iter().enumerate() {
            if document.wanted == Wanted::States {
                found[index] = part(last, batch.starts()[index], document.ids.len());
            }
        }
        found
    }

    /// The windows that a long text is read in, each with all that is not of `text`.
    pub(crate) fn windows(
        &self,
        whole: Encoding,
        text: usize,
        most: usize,
        overlap: usize,
    ) -> Result<Vec<Encoding>, TaskError> {
        let count = whole.window_count(text, most, overlap).ok_or(TaskError::Overlap { overlap, most })?;
        if count > MOST_WINDOWS {
            return Err(TaskError::Windows { count, most: MOST_WINDOWS });
        }
        whole.windows(text, most, overlap).ok_or(TaskError::Overlap { overlap, most })
    }

    /// Tokens of a text that is going to be cut, as many as the model could read of it at least.
    fn content(&self, text: &str, cut: Cut) -> Vec<u32> {
        if matches!(cut, Cut::End | Cut::First) {
            let beginning = self.beginning(text);
            let content = self.tokenizer.encode_content(beginning);
            // Where there are few tokens, as in spaces, it takes more of the text.
            if content.len() > self.max_tokens || beginning.len() == text.len() {
                return content;
            }
        }
        self.tokenizer.encode_content(text)
    }

    /// As much of a text that is going to be cut as the model could read of it.
    fn beginning<'a>(&self, text: &'a str) -> &'a str {
        &text[..text.floor_char_boundary(self.max_tokens.saturating_mul(TOKEN_BYTES).min(text.len()))]
    }

    fn too_long(&self, tokens: usize) -> TaskError {
        TaskError::TooLong { tokens, most: self.max_tokens }
    }
}

/// The rows of a document, which begins at `start`, that the head is to read.
fn places(document: &Document, start: u32) -> Vec<u32> {
    match &document.wanted {
        Wanted::ScoresAt(places) => places.iter().map(|place| start + place).collect(),
        _ => (start..start + document.ids.len() as u32).collect(),
    }
}

fn part(rows: &Tensor, start: usize, count: usize) -> Rows {
    let width = rows.width();
    Rows { numbers: rows.data()[start * width..(start + count) * width].to_vec(), width }
}
