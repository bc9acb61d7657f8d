//! What a person writes: a TOML file in which every key but `name` and `data.train` has a default, and unknown keys are refused.

mod check;
mod defaults;

use std::path::{Path, PathBuf};

use bantam_corpus::{CurateOptions, readers::ReadOptions};
use bantam_eval::{CostOptions, EvaluationOptions};
use bantam_tokens::Kind;
use bantam_train::objectives::{ClassificationOptions, DistillationOptions};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::stages::replies::Replies;
use crate::stages::teacher;

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
    /// Texts in the same language about anything: to learn what words mean, and no more.
    #[serde(default)]
    pub background: Vec<PathBuf>,
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
    /// Finished teachers instead: Bantam or Hugging Face encoder folders with the same labels. Several answer together; one may be named
    /// without a list.
    #[serde(deserialize_with = "one_or_many")]
    pub folder: Vec<PathBuf>,
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

/// Paths in a list, or one alone.
fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a folder, or a list of folders")]
    enum Paths {
        One(PathBuf),
        Many(Vec<PathBuf>),
    }
    Ok(match Paths::deserialize(from)? {
        Paths::One(path) => vec![path],
        Paths::Many(paths) => paths,
    })
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
            folder: Vec::new(),
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
    #[serde(deserialize_with = "QualityKeys::deserialize")]
    pub quality: EvaluationOptions,
    /// How long to time each model.
    #[serde(deserialize_with = "CostKeys::deserialize")]
    pub cost: CostOptions,
}

/// The keys of `evaluate.quality`: no others are taken.
#[derive(Deserialize)]
#[serde(remote = "EvaluationOptions", deny_unknown_fields)]
struct QualityKeys {
    precision: f64,
    accuracy_loss: f64,
    rounds: usize,
    seed: u64,
}

/// The keys of `evaluate.cost`: no others are taken.
#[derive(Deserialize)]
#[serde(remote = "CostOptions", deny_unknown_fields)]
struct CostKeys {
    seconds: f64,
    least_requests: usize,
    warm_up: usize,
    batch: usize,
}

impl Recipe {
    /// Reads the recipe in a folder, or the TOML file itself.
    ///
    /// # Errors
    /// When the file cannot be read; or a key is unknown, missing or of the wrong type: with its line; or a value cannot work; or the
    /// file of replies or the folder of a finished teacher that it names is not one.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let text = std::fs::read_to_string(&file).map_err(|source| Error::Read {
            path: file.clone(),
            source,
            remedy: "a recipe is a folder with recipe.toml",
        })?;
        let recipe = Self::parse(&text, &file)?;
        Replies::read(&recipe)?;
        for folder in &recipe.text.teacher.folder {
            teacher::labels(&recipe.path(folder))?;
        }
        Ok(recipe)
    }

    /// What `text` says, as the content of `file`.
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        let refused = |what: String| Error::Recipe { path: file.to_owned(), what };
        let text = defaults::read(text).map_err(refused)?;
        let recipe = Self { folder: file.parent().unwrap_or(Path::new(".")).to_owned(), text };
        check::values(&recipe.text).map_err(refused)?;
        Ok(recipe)
    }

    /// A path of the recipe, from its folder.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_about_recipes_explains_every_key() {
        let page = include_str!("../../../../docs/recipes.md");
        let least = "name = \"a\"\n[data]\ntrain = [\"a.csv\"]\n";
        let recipe = Recipe::parse(least, Path::new(FILE)).unwrap();
        let whole: toml::Table = toml::to_string(&recipe.text).unwrap().parse().unwrap();
        // What is not there by default is not written.
        let mut keys = ["replies", "text", "label", "filters"].map(str::to_owned).to_vec();
        let mut tables = vec![whole];
        while let Some(table) = tables.pop() {
            for (key, value) in table {
                match value {
                    toml::Value::Table(below) if key != "shingle" => tables.push(below),
                    _ => keys.push(key),
                }
            }
        }
        let is_explained = |key: &String| page.lines().any(|line| line.starts_with(&format!("| `{key}` |")));
        let missing: Vec<&String> = keys.iter().filter(|key| !is_explained(key)).collect();
        assert!(keys.len() > 60 && missing.is_empty(), "docs/recipes.md does not explain {missing:?}");
    }
}
