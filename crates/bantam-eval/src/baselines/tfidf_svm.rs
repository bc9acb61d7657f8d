//! TF-IDF of words and characters under a linear support vector machine: the baseline that many a neural network loses to.

use std::path::Path;

use bantam_artifact::bundle::{BundleError, Reader, Writer};
use bantam_artifact::{read, write_atomic};
use bantam_kernels::pool;
use serde_json::json;

use super::{Analyser, LinearSvm, SparseRows, SvmOptions, Tfidf, WordVectors};
use crate::{Classifier, Error, Examples};

pub(super) const NAME: &str = "TF-IDF + linear SVM";
/// What the metadata of a saved baseline say.
const KIND: &str = "tfidf-linear-svm";

/// A trained vocabulary and its planes. The scores are margins.
#[derive(Debug, Clone, PartialEq)]
pub struct TfidfSvm {
    tfidf: Tfidf,
    /// What words mean, where it was told: columns behind those of the terms.
    vectors: Option<WordVectors>,
    svm: LinearSvm,
}

impl TfidfSvm {
    /// What the usual baseline reads.
    pub const USUAL: [Analyser; 2] = [Analyser::Words, Analyser::Characters];
    /// What its better sister reads: pairs of words far apart as well.
    pub const ON_PAIRS: [Analyser; 3] = [Analyser::Words, Analyser::Pairs, Analyser::Characters];

    /// The usual baseline: [`TfidfSvm::train_on`] what it reads.
    ///
    /// # Panics
    /// When `classes` is zero.
    pub fn train(examples: &Examples, classes: usize) -> Self {
        Self::train_on(&Self::USUAL, examples, classes)
    }

    /// Learns from examples with scikit-learn's settings; texts out of scope are counter-examples of every class.
    ///
    /// # Panics
    /// When `classes` is zero.
    pub fn train_on(analysers: &[Analyser], examples: &Examples, classes: usize) -> Self {
        Self::train_with(analysers, None, examples, classes)
    }

    /// [`TfidfSvm::train_on`], which also reads the vectors of a text's words.
    ///
    /// # Panics
    /// When `classes` is zero.
    pub fn train_with(
        analysers: &[Analyser],
        vectors: Option<WordVectors>,
        examples: &Examples,
        classes: usize,
    ) -> Self {
        assert!(classes > 0, "a classifier of {classes} classes");
        let texts = examples.texts();
        let tfidf = Tfidf::fit(&texts, analysers);
        let mut rows = SparseRows::new(tfidf.width() + vectors.as_ref().map_or(0, WordVectors::width));
        texts.iter().for_each(|text| rows.push(&row(&tfidf, vectors.as_ref(), text)));
        let svm = LinearSvm::train(&rows, examples.labels(), classes, &SvmOptions::default());
        Self { tfidf, vectors, svm }
    }

    /// The whole baseline as a bundle; the same training data give the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.add("hashes", self.tfidf.hashes().iter().flat_map(|hash| hash.to_le_bytes()).collect());
        let numbers =
            [("rarity", self.tfidf.weights()), ("weights", self.svm.weights()), ("biases", self.svm.biases())];
        for (name, values) in numbers {
            writer.add(name, values.iter().flat_map(|value| value.to_le_bytes()).collect());
        }
        let mut metadata = json!({ "kind": KIND, "analysers": self.tfidf.analysers() });
        if let Some(vectors) = &self.vectors {
            metadata["vector_width"] = vectors.width().into();
            writer.add("vector_words", vectors.words().iter().flat_map(|hash| hash.to_le_bytes()).collect());
            writer.add("vectors", vectors.numbers().iter().flat_map(|value| value.to_le_bytes()).collect());
        }
        writer.to_bytes(&metadata)
    }

    /// Saves the baseline in one file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        Ok(write_atomic(path, &self.to_bytes())?)
    }

    /// Loads what [`TfidfSvm::save`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or holds something else.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let bytes = read(path)?;
        let bundle = |source: BundleError| Error::Bundle { path: path.to_owned(), source };
        let refused = |reason: String| Error::Refused { path: path.to_owned(), reason };
        let reader = Reader::new(&bytes).map_err(bundle)?;
        if reader.metadata()["kind"] != KIND {
            return Err(refused(format!("its metadata lack `kind` = `{KIND}`")));
        }
        reader.verify().map_err(bundle)?;
        let analysers = serde_json::from_value(reader.metadata()["analysers"].clone())
            .map_err(|error| refused(format!("its `analysers`: {error}")))?;
        let hashes: Vec<u64> = numbers(reader.section("hashes").map_err(bundle)?, u64::from_le_bytes);
        let floats = |name: &str| reader.section(name).map(|bytes| numbers(bytes, f32::from_le_bytes)).map_err(bundle);
        let (rarity, weights, biases) = (floats("rarity")?, floats("weights")?, floats("biases")?);
        let vectors = match reader.metadata()["vector_width"].as_u64() {
            None => None,
            Some(width) => {
                let words = numbers(reader.section("vector_words").map_err(bundle)?, u64::from_le_bytes);
                let vectors = WordVectors::from_parts(words, floats("vectors")?, width as usize);
                Some(vectors.ok_or_else(|| refused(format!("its word vectors do not fit their width of {width}")))?)
            }
        };
        let columns = hashes.len() + vectors.as_ref().map_or(0, WordVectors::width);
        if biases.is_empty() || rarity.len() != hashes.len() || weights.len() != columns * biases.len() {
            let classes = biases.len();
            let reason = format!("{columns} columns and {classes} classes do not fit {} weights", weights.len());
            return Err(refused(reason));
        }
        let tfidf = Tfidf::from_parts(analysers, hashes, rarity);
        Ok(Self { tfidf, vectors, svm: LinearSvm::from_parts(weights, biases) })
    }
}

/// What is read of a text: its terms, and behind them the vector of its words.
fn row(tfidf: &Tfidf, vectors: Option<&WordVectors>, text: &str) -> Vec<(u32, f32)> {
    let mut row = tfidf.transform(text);
    if let Some(vectors) = vectors {
        let numbers = (tfidf.width() as u32..).zip(vectors.of_text(text));
        row.extend(numbers.filter(|(_, number)| *number != 0.0));
    }
    row
}

/// Little-endian numbers of `SIZE` bytes; what does not fill a number is left out.
fn numbers<const SIZE: usize, T>(bytes: &[u8], read: fn([u8; SIZE]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&chunk| read(chunk)).collect()
}

impl Classifier for TfidfSvm {
    fn name(&self) -> &str {
        NAME
    }

    fn parameters(&self) -> u64 {
        let vectors = self.vectors.as_ref().map_or(0, |vectors| vectors.numbers().len());
        (self.svm.weights().len() + self.svm.biases().len() + vectors) as u64
    }

    /// The numbers it keeps; the container's header, about 1 KiB, is left out.
    fn bytes(&self) -> u64 {
        let numbers = self.tfidf.width() + self.svm.weights().len() + self.svm.biases().len();
        let vectors = self.vectors.as_ref().map_or(0, |v| size_of_val(v.words()) + size_of_val(v.numbers()));
        (size_of_val(self.tfidf.hashes()) + numbers * size_of::<f32>() + vectors) as u64
    }

    fn scores(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        let mut scores = vec![Vec::new(); texts.len()];
        pool::for_each_chunk(&mut scores, 1, |index, row| {
            row[0] = self.svm.margins(&self::row(&self.tfidf, self.vectors.as_ref(), texts[index]));
        });
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> TfidfSvm {
        let texts = ["pay my bill", "pay the invoice", "lost my card", "card was stolen", "sing a song"];
        let labels = vec![Some(0), Some(0), Some(1), Some(1), None];
        TfidfSvm::train(&Examples::new(texts.map(str::to_owned).to_vec(), labels), 2)
    }

    #[test]
    fn saved_and_loaded_it_scores_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.bantam");
        let baseline = small();
        baseline.save(&path).unwrap();
        let loaded = TfidfSvm::load(&path).unwrap();
        assert_eq!(loaded, baseline);
        assert_eq!(small().to_bytes(), baseline.to_bytes());
        let scores = loaded.scores(&["please pay", "where is the card", ""]);
        assert!(scores[0][0] > scores[0][1] && scores[1][1] > scores[1][0], "{scores:?}");
        let header = std::fs::metadata(&path).unwrap().len() - baseline.bytes();
        assert!(header < 1_500, "{header} bytes beside the numbers");
    }

    #[test]
    fn word_vectors_answer_words_that_no_example_has() {
        let told = |things: [&str; 4], verbs: [&str; 4]| -> Vec<String> {
            let each = things.into_iter().flat_map(|thing| verbs.map(|verb| format!("the {thing} {verb} today")));
            each.collect()
        };
        let background: Vec<String> = [
            told(["cat", "dog", "horse", "bird"], ["sleeps", "eats", "drinks", "purrs"]),
            told(["train", "bus", "ferry", "plane"], ["departs", "arrives", "stops", "leaves"]),
        ]
        .concat();
        let background: Vec<&str> = background.iter().map(String::as_str).collect();
        let texts = ["my cat", "my dog", "my train", "my bus"];
        let examples = Examples::new(texts.map(str::to_owned).to_vec(), vec![Some(0), Some(0), Some(1), Some(1)]);
        let vectors = WordVectors::learn(&background, &texts, 4, 1);
        let model = TfidfSvm::train_with(&TfidfSvm::USUAL, Some(vectors), &examples, 2);
        for (text, class) in [("horse", 0), ("bird", 0), ("plane", 1), ("ferry", 1)] {
            let scores = &model.scores(&[text])[0];
            assert!(scores[class] > scores[1 - class] + 0.2, "{text}: {scores:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("linear.bantam");
        model.save(&path).unwrap();
        assert_eq!(TfidfSvm::load(&path).unwrap(), model);
    }

    #[test]
    fn foreign_cut_and_damaged_files_are_refused_with_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.bantam");
        let whole = small().to_bytes();
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let other = Writer::new().to_bytes(&json!({ "kind": "student" }));
        for bytes in [&b"PK"[..], b"", &whole[..whole.len() / 2], &damaged, &other] {
            std::fs::write(&path, bytes).unwrap();
            let message = TfidfSvm::load(&path).unwrap_err().to_string();
            assert!(message.contains("baseline.bantam"), "{message}");
        }
        assert!(TfidfSvm::load(&folder.path().join("missing")).is_err());
        let mut writer = Writer::new();
        writer.add("hashes", vec![1; 8]);
        writer.add("rarity", vec![0; 4]);
        writer.add("weights", vec![0; 4]);
        writer.add("biases", vec![0; 8]);
        std::fs::write(&path, writer.to_bytes(&json!({ "kind": KIND, "analysers": ["words"] }))).unwrap();
        assert!(TfidfSvm::load(&path).unwrap_err().to_string().contains("do not fit"));
    }
}
