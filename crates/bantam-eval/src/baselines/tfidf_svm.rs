//! TF-IDF of words and characters under a linear support vector machine: the baseline that many a neural network loses to.

use std::path::Path;

use bantam_artifact::bundle::{BundleError, Reader, Writer};
use bantam_artifact::{read, write_atomic};
use bantam_kernels::pool;
use serde_json::json;

use super::{Analyser, LinearSvm, SvmOptions, Tfidf};
use crate::{Classifier, Error, Examples};

pub(super) const NAME: &str = "TF-IDF + linear SVM";
/// What the metadata of a saved baseline say.
const KIND: &str = "tfidf-linear-svm";

/// A trained vocabulary and its planes. The scores are margins.
#[derive(Debug, Clone, PartialEq)]
pub struct TfidfSvm {
    tfidf: Tfidf,
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
        assert!(classes > 0, "a classifier of {classes} classes");
        let texts = examples.texts();
        let tfidf = Tfidf::fit(&texts, analysers);
        let rows = tfidf.transform_all(&texts);
        let svm = LinearSvm::train(&rows, examples.labels(), classes, &SvmOptions::default());
        Self { tfidf, svm }
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
        writer.to_bytes(&json!({ "kind": KIND, "analysers": self.tfidf.analysers() }))
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
        if biases.is_empty() || rarity.len() != hashes.len() || weights.len() != hashes.len() * biases.len() {
            let (terms, classes) = (hashes.len(), biases.len());
            let reason = format!("{terms} terms and {classes} classes do not fit {} weights", weights.len());
            return Err(refused(reason));
        }
        Ok(Self { tfidf: Tfidf::from_parts(analysers, hashes, rarity), svm: LinearSvm::from_parts(weights, biases) })
    }
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
        (self.svm.weights().len() + self.svm.biases().len()) as u64
    }

    /// The numbers it keeps; the container's header, about 1 KiB, is left out.
    fn bytes(&self) -> u64 {
        let numbers = self.tfidf.width() + self.svm.weights().len() + self.svm.biases().len();
        (size_of_val(self.tfidf.hashes()) + numbers * size_of::<f32>()) as u64
    }

    fn scores(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        let mut scores = vec![Vec::new(); texts.len()];
        pool::for_each_chunk(&mut scores, 1, |index, row| {
            row[0] = self.svm.margins(&self.tfidf.transform(texts[index]));
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
