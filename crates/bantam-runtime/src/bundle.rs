//! What a bundle holds: a model, how it reads text, when it is sure, and what it says.

use std::collections::BTreeMap;
use std::path::Path;

use bantam_artifact::bundle::{Reader, Writer};
use bantam_kernels::gemm::{PackedFormat, Precision};
use bantam_kernels::memory::Mapped;
use bantam_model::arrays::{Arrays, read_safetensors, write_safetensors};
use bantam_model::folder::{classifier_of, labels_of};
use bantam_model::{TextEncoder, Weights};
use bantam_tokens::{NgramHasher, Tokenizer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::consistency::{check_config, check_fit, check_metadata};
use crate::{LoadError, TextClassifier};

/// What the metadata of a classifier's bundle say it is.
const KIND: &str = "classifier";

/// Everything in the bundle of a classifier.
#[derive(Clone)]
pub struct BundleParts {
    /// The model's name.
    pub name: String,
    /// The labels that it answers with; columns of its scores beyond them mean "none of these".
    pub labels: Vec<String>,
    /// The model's `config.json`, which names all columns.
    pub config: Value,
    /// How features are hashed, for a model that has a table for them.
    pub hasher: Option<NgramHasher>,
    /// Tokens of a text at most.
    pub max_tokens: usize,
    /// Divides the scores before they become probabilities.
    pub temperature: f64,
    /// The least confidence that is answered without a person; `None` hands everything over.
    pub threshold: Option<f32>,
    /// Under which terms the bundle may be used.
    pub licence: String,
    /// The program that made it.
    pub made_by: String,
    /// Languages that it learnt from, as ISO 639-1 codes.
    pub languages: Vec<String>,
    /// The weights.
    pub arrays: Arrays,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// What is said, by label.
    pub replies: BTreeMap<String, String>,
    /// What is said when a person takes over; empty for the default.
    pub hand_over: String,
    /// The model card, Markdown.
    pub card: String,
}

/// The part of a bundle that stands in its header.
#[derive(Serialize, Deserialize)]
struct Metadata {
    kind: String,
    name: String,
    labels: Vec<String>,
    config: Value,
    hasher: Option<NgramHasher>,
    max_tokens: usize,
    temperature: f64,
    threshold: Option<f32>,
    licence: String,
    made_by: String,
    languages: Vec<String>,
    hand_over: String,
}

impl BundleParts {
    /// The bytes of the file; the same parts give the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let metadata = Metadata {
            kind: KIND.to_owned(),
            name: self.name.clone(),
            labels: self.labels.clone(),
            config: self.config.clone(),
            hasher: self.hasher.clone(),
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            threshold: self.threshold,
            licence: self.licence.clone(),
            made_by: self.made_by.clone(),
            languages: self.languages.clone(),
            hand_over: self.hand_over.clone(),
        };
        let mut writer = Writer::new();
        writer.add("weights", write_safetensors(&self.arrays));
        writer.add("tokenizer", self.tokenizer.to_bytes());
        writer.add("replies", serde_json::to_vec(&self.replies).expect("replies are plain data"));
        writer.add("card", self.card.clone().into_bytes());
        writer.to_bytes(&serde_json::to_value(&metadata).expect("metadata are plain data"))
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), bantam_artifact::Error> {
        bantam_artifact::write_atomic(path, &self.to_bytes())
    }

    /// Reads a bundle and checks every hash.
    ///
    /// # Errors
    /// [`LoadError`], naming the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let bytes = Mapped::open(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes, path)
    }

    /// As [`BundleParts::read`], from bytes that came from `path`.
    ///
    /// # Errors
    /// As [`BundleParts::read`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, LoadError> {
        let bundle = |source| LoadError::Bundle { path: path.to_owned(), source };
        let refused = |what: String| LoadError::Refused { path: path.to_owned(), what };
        let reader = Reader::new(bytes).map_err(bundle)?;
        if reader.metadata()["kind"] != KIND {
            return Err(refused(format!("a bundle of kind {}, not a {KIND}", reader.metadata()["kind"])));
        }
        reader.verify().map_err(bundle)?;
        let metadata: Metadata = serde_json::from_value(reader.metadata().clone())
            .map_err(|error| refused(format!("its metadata: {error}")))?;
        let section = |name: &str| reader.section(name).map_err(bundle);
        let arrays = read_safetensors(section("weights")?).map_err(|error| refused(format!("its weights: {error}")))?;
        let tokenizer =
            Tokenizer::from_bytes(section("tokenizer")?).map_err(|error| refused(format!("its tokenizer: {error}")))?;
        let replies =
            serde_json::from_slice(section("replies")?).map_err(|error| refused(format!("its replies: {error}")))?;
        let card = String::from_utf8_lossy(section("card")?).into_owned();
        let parts = Self {
            name: metadata.name,
            labels: metadata.labels,
            config: metadata.config,
            hasher: metadata.hasher,
            max_tokens: metadata.max_tokens,
            temperature: metadata.temperature,
            threshold: metadata.threshold,
            licence: metadata.licence,
            made_by: metadata.made_by,
            languages: metadata.languages,
            hand_over: metadata.hand_over,
            arrays,
            tokenizer,
            replies,
            card,
        };
        check_metadata(&parts).map_err(refused)?;
        Ok(parts)
    }

    /// The model, ready to answer. `path` is where the parts came from, for messages.
    ///
    /// # Errors
    /// [`LoadError::Refused`] when the parts contradict each other.
    pub fn classifier(&self, path: &Path) -> Result<TextClassifier, LoadError> {
        let refused = |what: String| LoadError::Refused { path: path.to_owned(), what };
        check_config(&self.config, &self.arrays).map_err(refused)?;
        let architecture = classifier_of(&self.config, path).map_err(|error| refused(error.to_string()))?;
        check_fit(self, architecture.as_ref()).map_err(refused)?;
        let columns = architecture.labels();
        let max_tokens = self.max_tokens.min(architecture.max_tokens());
        let weights = Weights::from_arrays(architecture.schema(), &self.arrays, Precision::F32)
            .map_err(|error| refused(error.to_string()))?;
        // Matrices that were not quantised are laid out for inference, too.
        let weights = weights.packed(PackedFormat::F32);
        let encoder = TextEncoder::new(self.tokenizer.clone(), self.hasher.clone(), max_tokens);
        Ok(TextClassifier { labels: labels_of(&self.config, columns), architecture, weights, encoder })
    }
}
