//! What a person writes: a TOML file in which every key but the data has a default, and unknown keys are refused.

use std::path::{Path, PathBuf};

use bantam_corpus::{CurateOptions, readers::ReadOptions};
use bantam_eval::{CostOptions, EvaluationOptions};
use bantam_tokens::Kind;
use bantam_train::objectives::{ClassificationOptions, DistillationOptions};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The file that a recipe's folder holds.
pub const FILE: &str = "recipe.toml";

/// A recipe with its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Where relative paths begin.
    pub folder: PathBuf,
    /// What the file says.
    pub text: RecipeText,
}

/// The keys of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeText {
    /// Names the bundle: letters, digits, `-` and `_`.
    pub name: String,
    /// One line about what the model is for; it goes into the model card.
    #[serde(default)]
    pub purpose: String,
    /// The licence of the bundle.
    #[serde(default = "unknown_licence")]
    pub licence: String,
    /// Languages of the texts, as in `en`; they go into the model card. Empty: it names none.
    #[serde(default)]
    pub languages: Vec<String>,
    /// Everything random follows from it.
    #[serde(default)]
    pub seed: u64,
    /// Where the texts are.
    pub data: DataSection,
    /// How they are cleaned.
    #[serde(default)]
    pub curate: CurateOptions,
    /// How text becomes tokens.
    #[serde(default)]
    pub tokenizer: TokenizerSection,
    /// The big model.
    #[serde(default)]
    pub teacher: TeacherSection,
    /// The small one.
    #[serde(default)]
    pub student: StudentSection,
    /// What is measured and promised.
    #[serde(default)]
    pub evaluate: EvaluateSection,
}

fn unknown_licence() -> String {
    "not stated".to_owned()
}

/// Files, relative to the recipe's folder.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSection {
    /// Labelled texts to learn from.
    pub train: Vec<PathBuf>,
    /// Labelled texts that are looked at once, at the end. Empty: a share of the training texts is set apart.
    #[serde(default)]
    pub test: Vec<PathBuf>,
    /// Labelled texts to choose and calibrate with. Empty: a share of the training texts.
    #[serde(default)]
    pub validation: Vec<PathBuf>,
    /// Requests that belong to no label, to learn from.
    #[serde(default)]
    pub out_of_scope_train: Vec<PathBuf>,
    /// Requests that belong to no label, to choose thresholds with.
    #[serde(default)]
    pub out_of_scope_validation: Vec<PathBuf>,
    /// Requests that belong to no label, to measure with.
    #[serde(default)]
    pub out_of_scope_test: Vec<PathBuf>,
    /// Texts of the domain without labels.
    #[serde(default)]
    pub unlabelled: Vec<PathBuf>,
    /// A TOML file with the table `replies` (label to answer) and `hand_over.message`.
    #[serde(default)]
    pub replies: Option<PathBuf>,
    /// The share of the training texts that is set apart where no file is given for it.
    #[serde(default = "held_out")]
    pub held_out: f64,
    /// Which fields hold text and label.
    #[serde(default)]
    pub read: ReadOptions,
}

/// The default of `data.held_out`.
pub(crate) const HELD_OUT: f64 = 0.1;

fn held_out() -> f64 {
    HELD_OUT
}

/// How text becomes tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenizerSection {
    /// The algorithm.
    pub kind: Kind,
    /// Tokens at most.
    pub vocabulary: usize,
}

impl Default for TokenizerSection {
    fn default() -> Self {
        Self { kind: Kind::WordPiece, vocabulary: 4_000 }
    }
}

/// The sizes of an encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// Layers.
    pub layers: usize,
    /// Numbers per token.
    pub width: usize,
    /// Heads per layer.
    pub heads: usize,
    /// Feed-forward channels per layer.
    pub channels: usize,
    /// Rows of the table of hashed n-grams; 0 for none.
    pub buckets: u32,
    /// Numbers per row of that table.
    pub feature_width: usize,
    /// Tokens of a text at most.
    pub max_tokens: usize,
}

/// How long and how fast a model learns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSection {
    /// How often each text is seen.
    pub epochs: f64,
    /// Peak learning rate.
    pub learning_rate: f32,
    /// Learning rate of Muon on the matrices; 0 leaves them to AdamW.
    #[serde(default)]
    pub muon_rate: f32,
    /// Learning rate of tables as a multiple of the others'.
    pub table_rate: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Share of the steps over which the learning rate rises.
    pub warmup: f64,
    /// Decay of the running average of the weights; 0 for none.
    pub averaging: f32,
    /// Epochs between two looks at the validation texts.
    pub validate_every: f64,
}

/// The teacher: a big encoder, trained from nothing but the texts at hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TeacherSection {
    /// A finished teacher instead: a Bantam or Hugging Face encoder folder with the same labels.
    pub folder: Option<PathBuf>,
    /// Models that are trained from different seeds and answer together (an ensemble), 1 to 16. They cost so many times as much as one;
    /// the student, which learns their joint answers, costs the same.
    pub members: usize,
    /// Whether a linear model (TF-IDF of characters, words and pairs of words up to 7 apart, and an SVM) answers with them and counts as
    /// much as all of them. It errs elsewhere than encoders do, and costs next to nothing.
    pub with_linear: bool,
    /// Sizes.
    pub model: ModelSection,
    /// How often each text is seen with some of its tokens hidden, before labels are learnt.
    pub pretraining: TrainingSection,
    /// Share of tokens that are hidden.
    pub masked: f32,
    /// Learning the labels.
    pub training: TrainingSection,
    /// What labels teach.
    pub objective: ClassificationOptions,
}

impl Default for TeacherSection {
    fn default() -> Self {
        let training = TrainingSection {
            epochs: 10.0,
            learning_rate: 5e-4,
            muon_rate: 0.0,
            table_rate: 10.0,
            weight_decay: 0.05,
            warmup: 0.1,
            averaging: 0.99,
            validate_every: 1.0,
        };
        Self {
            folder: None,
            members: 1,
            with_linear: false,
            model: ModelSection {
                layers: 4,
                width: 192,
                heads: 4,
                channels: 384,
                buckets: 1 << 15,
                feature_width: 128,
                max_tokens: 64,
            },
            pretraining: TrainingSection {
                epochs: 3.0,
                learning_rate: 1e-3,
                table_rate: 1.0,
                validate_every: 0.0,
                ..training.clone()
            },
            masked: 0.25,
            training,
            objective: ClassificationOptions { dropout: 0.2, word_dropout: 0.15, ..ClassificationOptions::default() },
        }
    }
}

/// The student: a small encoder that learns from the teacher, and is then pruned and quantised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StudentSection {
    /// Sizes before pruning.
    pub model: ModelSection,
    /// Versions of each text with words dropped, which the teacher scores beside the text itself.
    pub variants: usize,
    /// Share of words dropped in a version.
    pub word_dropout: f32,
    /// Learning from the teacher.
    pub training: TrainingSection,
    /// What the teacher's scores teach.
    pub objective: DistillationOptions,
    /// What stays after pruning.
    pub prune: PruneSection,
}

/// What stays of a student, and how it recovers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PruneSection {
    /// Layers that stay.
    pub layers: usize,
    /// Heads that stay in each layer.
    pub heads: usize,
    /// Feed-forward channels that stay in each layer.
    pub channels: usize,
    /// Tokens seen less often than this in the texts at hand lose their rows; 0 keeps all.
    pub least_token_count: usize,
    /// Learning from the teacher again.
    pub recovery: TrainingSection,
}

impl Default for StudentSection {
    fn default() -> Self {
        let training = TrainingSection {
            epochs: 6.0,
            learning_rate: 2e-3,
            muon_rate: 0.0,
            table_rate: 4.0,
            weight_decay: 0.01,
            warmup: 0.05,
            averaging: 0.99,
            validate_every: 2.0,
        };
        Self {
            model: ModelSection {
                layers: 2,
                width: 64,
                heads: 4,
                channels: 128,
                buckets: 1 << 13,
                feature_width: 48,
                max_tokens: 64,
            },
            variants: 2,
            word_dropout: 0.25,
            objective: DistillationOptions::default(),
            prune: PruneSection {
                layers: 1,
                heads: 3,
                channels: 96,
                least_token_count: 1,
                recovery: TrainingSection { epochs: 2.0, learning_rate: 1e-3, ..training.clone() },
            },
            training,
        }
    }
}

/// What is measured and promised.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateSection {
    /// The promise: precision of what is answered without a person, and the rest.
    pub quality: EvaluationOptions,
    /// How long to time each model.
    pub cost: CostOptions,
}

impl Recipe {
    /// Reads the recipe in a folder, or the TOML file itself.
    ///
    /// # Errors
    /// When the file cannot be read, or a key is unknown, missing or of the wrong type: with its line.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let text = std::fs::read_to_string(&file).map_err(|source| Error::Read {
            path: file.clone(),
            source,
            remedy: "a recipe is a folder with recipe.toml",
        })?;
        Self::parse(&text, &file)
    }

    /// What `text` says, as the content of `file`.
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        let refused = |what: String| Error::Recipe { path: file.to_owned(), what };
        let text: RecipeText = toml::from_str(text).map_err(|source| refused(source.to_string()))?;
        let recipe = Self { folder: file.parent().unwrap_or(Path::new(".")).to_owned(), text };
        recipe.check().map_err(refused)?;
        Ok(recipe)
    }

    /// The first value that cannot work.
    fn check(&self) -> Result<(), String> {
        let text = &self.text;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.name.is_empty() || !text.name.chars().all(plain) {
            return Err(format!("name = {:?}: use letters, digits, `-` and `_` only", text.name));
        }
        if text.data.train.is_empty() {
            return Err("data.train: name one file of labelled texts at least".to_owned());
        }
        let share = |key: &str, value: f64, least: f64, below: f64| {
            let fits = value >= least && value < below;
            if fits { Ok(()) } else { Err(format!("{key} = {value}: choose from {least} to below {below}")) }
        };
        share("data.held_out", text.data.held_out, 0.01, 0.9)?;
        share("teacher.members", text.teacher.members as f64, 1.0, 17.0)?;
        share("teacher.masked", text.teacher.masked.into(), 0.01, 0.9)?;
        share("teacher.objective.dropout", text.teacher.objective.dropout.into(), 0.0, 0.9)?;
        share("teacher.objective.word_dropout", text.teacher.objective.word_dropout.into(), 0.0, 0.9)?;
        share("teacher.objective.smoothing", text.teacher.objective.smoothing.into(), 0.0, 0.9)?;
        share("student.objective.dropout", text.student.objective.dropout.into(), 0.0, 0.9)?;
        share("student.word_dropout", text.student.word_dropout.into(), 0.0, 0.9)?;
        share("evaluate.quality.precision", text.evaluate.quality.precision, 0.0, 1.0001)?;
        share("student.objective.temperature", text.student.objective.temperature.into(), 0.1, 100.0)?;
        for (key, batch) in [("teacher", text.teacher.objective.batch), ("student", text.student.objective.batch)] {
            share(&format!("{key}.objective.batch"), batch as f64, 1.0, 4097.0)?;
        }
        for (key, training) in [
            ("teacher.pretraining", &text.teacher.pretraining),
            ("teacher.training", &text.teacher.training),
            ("student.training", &text.student.training),
            ("student.prune.recovery", &text.student.prune.recovery),
        ] {
            share(&format!("{key}.epochs"), training.epochs, 0.0, 10_000.0)?;
            share(&format!("{key}.learning_rate"), training.learning_rate.into(), 0.0, 10.0)?;
            share(&format!("{key}.warmup"), training.warmup, 0.0, 1.0)?;
            share(&format!("{key}.averaging"), training.averaging.into(), 0.0, 1.0)?;
        }
        for (key, model) in [("teacher.model", &text.teacher.model), ("student.model", &text.student.model)] {
            model.check().map_err(|what| format!("{key}.{what}"))?;
        }
        share("tokenizer.vocabulary", text.tokenizer.vocabulary as f64, 300.0, 1_000_000.0)
    }

    /// A path of the recipe, from its folder.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}

impl ModelSection {
    fn check(&self) -> Result<(), String> {
        let inside = |key: &str, value: usize, most: usize| {
            let fits = (1..=most).contains(&value);
            if fits { Ok(()) } else { Err(format!("{key} = {value}: choose from 1 to {most}")) }
        };
        inside("layers", self.layers, 64)?;
        inside("width", self.width, 8192)?;
        inside("heads", self.heads, 128)?;
        inside("channels", self.channels, 32_768)?;
        inside("max_tokens", self.max_tokens, 8192)?;
        if !self.width.is_multiple_of(2 * self.heads) {
            let (width, heads) = (self.width, self.heads);
            return Err(format!("width = {width}: must be a multiple of twice the {heads} heads"));
        }
        if self.buckets > 0 { inside("feature_width", self.feature_width, 4096) } else { Ok(()) }
    }
}
