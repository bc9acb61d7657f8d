//! Model folders as Hugging Face lays them out: `config.json`, `model.safetensors` (or shards), `tokenizer.json`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bantam_artifact::write_atomic;
use bantam_kernels::gemm::Precision;
use bantam_kernels::gemm::grouped::Bits;
use bantam_kernels::memory::Mapped;
use bantam_kernels::pool;
use bantam_tokens::{NgramHasher, Tokenizer};
use serde_json::Value;

use crate::adapter;
pub use crate::adapter::model_and_adapter;
use crate::architectures::bert::{Bert, BertConfig, BertFamily};
use crate::architectures::encoder::{Encoder, EncoderConfig};
use crate::architectures::llama::{Llama, LlamaConfig};
use crate::architectures::{Architecture, Classifier, Head, LlamaFamily, TokenPredictor};
use crate::arrays::{Array, Arrays, ArraysError, read_safetensors, stored_safetensors, write_safetensors};
use crate::chat_files;
use crate::foreign_config::{earlier_keys, with_special_ids};
use crate::weights::{MismatchError, Weights};

/// What decoders built like Llama may be.
const SUPPORTED_DECODERS: &str = "Llama, Mistral, Qwen2 and Qwen3 with silu, attention to the whole text, no biases but those of Qwen2, \
                                  and rotary positions that are plain or of rope_type linear, llama3, or longrope with one list of \
                                  factors for short and long texts and attention_factor 1";
/// What only Bantam's own models have: how texts are hashed into the rows of a table of features.
const FEATURES: &str = "features.json";

/// Why a model folder could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file could not be read.
    #[error("{path}: {source}; a model folder holds config.json, model.safetensors and tokenizer.json")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `config.json` is not JSON, or lacks a key, or has a value of the wrong type.
    #[error("{path}: {source}")]
    Config {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// A family that Bantam does not know, or a variant that it does not compute.
    #[error("{path}: {what} is not supported here; supported: {supported}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The key and its value.
        what: String,
        /// What would be.
        supported: &'static str,
    },
    /// A size that cannot be.
    #[error("{path}: {what}")]
    Size {
        /// The file.
        path: PathBuf,
        /// Which key, and why.
        what: String,
    },
    /// The weights' file is broken.
    #[error("{path}: {source}")]
    Arrays {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ArraysError,
    },
    /// The weights do not belong to the config.
    #[error("{path}: {source}")]
    Mismatch {
        /// The folder.
        path: PathBuf,
        /// All that does not fit.
        source: MismatchError,
    },
    /// The tokenizer is broken.
    #[error(transparent)]
    Tokenizer(#[from] bantam_tokens::Error),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] bantam_artifact::Error),
}

/// A classifier with everything needed to run it on text.
pub struct ClassifierFolder {
    /// What is computed.
    pub architecture: Box<dyn Classifier>,
    /// With which numbers.
    pub weights: Weights,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Text to rows of its table of features, where it has one.
    pub hasher: Option<NgramHasher>,
    /// Names of the labels, in order of the logits.
    pub labels: Vec<String>,
}

/// A model that predicts tokens, with its tokenizer.
pub struct PredictorFolder {
    /// What is computed.
    pub architecture: Box<dyn TokenPredictor>,
    /// With which numbers.
    pub weights: Weights,
    /// Text to ids; bare weights have none.
    pub tokenizer: Option<Tokenizer>,
    /// How a conversation is put into one text, in the template language Jinja.
    pub chat_template: Option<String>,
    /// Tokens that end an answer, as far as the files name them by id.
    pub ends: Vec<u32>,
}

/// Builds the classifier that a `config.json` describes; `path` is where it came from, for messages.
///
/// # Errors
/// When the family is unknown, or a key is missing, of the wrong type, or impossible.
pub fn classifier_of(config: &Value, path: &Path) -> Result<Box<dyn Classifier>, FolderError> {
    let unsupported = |what: String| FolderError::Unsupported {
        path: path.to_owned(),
        what,
        supported: "model_type bert, modernbert and bantam_encoder",
    };
    let mut config = computed(config, path)?;
    if let Some(keys) = config.as_object_mut()
        && !keys.contains_key("num_labels")
    {
        // Two labels without names are what `transformers` leaves out.
        let labels = keys.get("id2label").and_then(Value::as_object).map_or(2, serde_json::Map::len);
        keys.insert("num_labels".to_owned(), labels.into());
    }
    match config.get("model_type").and_then(Value::as_str) {
        Some("bert") => {
            let shape = bert_shape(&config, path)?;
            check_labels(shape.num_labels, path)?;
            let head = Head::Labels(shape.num_labels);
            Ok(Box::new(bert_of(shape, BertFamily::Bert, head, path)?))
        }
        Some("modernbert" | "bantam_encoder") => {
            let shape = encoder_shape(&config, path)?;
            check_labels(shape.num_labels, path)?;
            Ok(Box::new(Encoder::new(shape)))
        }
        _ => Err(unsupported(family_of(&config))),
    }
}

/// What a config says about its family, for messages.
pub(crate) fn family_of(config: &Value) -> String {
    config
        .get("model_type")
        .map_or_else(|| "a config without model_type".to_owned(), |name| format!("model_type {name}"))
}

/// Builds the token predictor that a `config.json` describes.
///
/// # Errors
/// As [`classifier_of`].
pub fn predictor_of(config: &Value, path: &Path) -> Result<Box<dyn TokenPredictor>, FolderError> {
    let config = computed(config, path)?;
    if LlamaFamily::of(&config).is_some() {
        return Ok(Box::new(Llama::new(llama_shape(&config, path)?)));
    }
    match config.get("model_type").and_then(Value::as_str) {
        Some("modernbert" | "bantam_encoder") if config.get("tie_word_embeddings") == Some(&false.into()) => {
            Err(FolderError::Unsupported {
                path: path.to_owned(),
                what: "tie_word_embeddings = false".to_owned(),
                supported: "ModernBERT whose head is its table of tokens",
            })
        }
        Some("modernbert" | "bantam_encoder") => Ok(Box::new(Encoder::new(encoder_shape(&config, path)?))),
        _ => Err(FolderError::Unsupported {
            path: path.to_owned(),
            what: family_of(&config),
            supported: "model_type llama, mistral, qwen2 and qwen3, which write texts, and modernbert, which fills in masked tokens",
        }),
    }
}

/// Reads a classifier's folder. A path `MODEL+ADAPTER` names two: a model's, and that of a low-rank adapter as `peft` saves it.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read_classifier(folder: &Path, precision: Precision) -> Result<ClassifierFolder, FolderError> {
    let (folder, adapter) = model_and_adapter(folder);
    let folder = folder.as_path();
    let (config, path) = read_config(folder)?;
    let architecture = classifier_of(&config, &path)?;
    let labels = labels_of(&config, architecture.labels());
    let weights = read_weights(folder, adapter.as_deref(), architecture.as_ref(), precision)?;
    let tokenizer = Tokenizer::load(folder.join("tokenizer.json"))?;
    let hasher = read_hasher(folder, architecture.as_ref())?;
    Ok(ClassifierFolder { architecture, weights, tokenizer, hasher, labels })
}

/// What hashes texts for a classifier that has a table of features.
fn read_hasher(folder: &Path, architecture: &dyn Classifier) -> Result<Option<NgramHasher>, FolderError> {
    let Some(shape) = architecture.features() else { return Ok(None) };
    let path = folder.join(FEATURES);
    if !path.exists() {
        let what = format!(
            "its table has {} rows for features, and nothing hashes any: {FEATURES} is missing; Bantam writes it beside config.json",
            shape.buckets
        );
        return Err(FolderError::Size { path: folder.to_owned(), what });
    }
    let hasher: NgramHasher = parse(&read_json(&path)?, &path)?;
    if hasher.buckets as usize != shape.buckets {
        let what = format!("{} buckets, and the model's table of features has {} rows", hasher.buckets, shape.buckets);
        return Err(FolderError::Size { path, what });
    }
    Ok(Some(hasher))
}

/// Reads a token predictor's folder, or two as [`read_classifier`] does.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read_predictor(folder: &Path, precision: Precision) -> Result<PredictorFolder, FolderError> {
    assemble(folder, &|folder, adapter, architecture| read_weights(folder, adapter, architecture, precision))
}

/// [`read_predictor`] for a model that only answers: all matrices in groups of codes of so many bits, one after another, so that the files'
/// numbers are never in memory as a whole, but where an adapter changes them.
///
/// # Errors
/// As [`read_predictor`].
pub fn read_grouped_predictor(folder: &Path, bits: Bits) -> Result<PredictorFolder, FolderError> {
    assemble(folder, &|folder, adapter, architecture| {
        let arrays = if adapter.is_some() { read_arrays(folder, adapter)? } else { stored_arrays(folder)? };
        Weights::grouped_from_arrays(architecture.schema(), &declared_only(arrays, architecture), bits)
            .map_err(|source| FolderError::Mismatch { path: folder.to_owned(), source })
    })
}

/// Reads the weights of an architecture from the folder of a model and that of an adapter.
type ReadWeights<'a> = dyn Fn(&Path, Option<&Path>, &dyn TokenPredictor) -> Result<Weights, FolderError> + 'a;

fn assemble(folder: &Path, read: &ReadWeights<'_>) -> Result<PredictorFolder, FolderError> {
    let (folder, adapter) = model_and_adapter(folder);
    let folder = folder.as_path();
    let (config, path) = read_config(folder)?;
    let architecture = predictor_of(&config, &path)?;
    let path = folder.join("tokenizer.json");
    let tokenizer = || if path.exists() { Tokenizer::load(path).map(Some) } else { Ok(None) };
    let (tokenizer, weights) =
        pool::beside("bantam-tokenizer", tokenizer, || read(folder, adapter.as_deref(), architecture.as_ref()));
    let weights = weights?;
    let tokenizer = tokenizer?.map(|tokenizer| chat_files::with_named_ends(tokenizer, folder)).transpose()?;
    let chat_template = chat_files::template_of(folder)?;
    let ends = chat_files::ends_of(folder, &config, architecture.vocabulary())?;
    Ok(PredictorFolder { architecture, weights, tokenizer, chat_template, ends })
}

/// [`write`] for a token predictor, with its chat template, the tokens that end its answers, and what its special tokens are for.
///
/// # Errors
/// As [`write`].
pub fn write_predictor(
    folder: &Path,
    config: &Value,
    arrays: &Arrays,
    tokenizer: &Tokenizer,
    chat_template: Option<&str>,
    ends: &[u32],
) -> Result<(), FolderError> {
    write(folder, config, arrays, tokenizer)?;
    chat_files::write(folder, config, tokenizer, chat_template, ends)
}

/// Writes a folder that `transformers` can load when the config names a family that it knows.
///
/// # Errors
/// When a file cannot be written; none is left half-written.
pub fn write(folder: &Path, config: &Value, arrays: &Arrays, tokenizer: &Tokenizer) -> Result<(), FolderError> {
    fs::create_dir_all(folder).map_err(|source| FolderError::Read { path: folder.to_owned(), source })?;
    let mut text = serde_json::to_vec_pretty(&with_special_ids(config, tokenizer)).expect("a JSON value is JSON");
    text.push(b'\n');
    write_atomic(&folder.join("config.json"), &text)?;
    write_atomic(&folder.join("model.safetensors"), &write_safetensors(arrays))?;
    write_atomic(&folder.join("tokenizer.json"), &tokenizer.to_bytes())?;
    Ok(())
}

/// [`write`] for a classifier, with what hashes its features; only one without them is known to `transformers`.
///
/// # Errors
/// As [`write`].
pub fn write_classifier(
    folder: &Path,
    config: &Value,
    arrays: &Arrays,
    tokenizer: &Tokenizer,
    hasher: Option<&NgramHasher>,
) -> Result<(), FolderError> {
    write(folder, config, arrays, tokenizer)?;
    if let Some(hasher) = hasher {
        let text = serde_json::to_vec(hasher).expect("a hasher is plain data");
        write_atomic(&folder.join(FEATURES), &text)?;
    }
    Ok(())
}

/// The config of a classifier with its label names, as `transformers` writes them.
pub fn labelled_config(architecture: &dyn Classifier, labels: &[String]) -> Value {
    let mut config = architecture.config();
    let by_id: serde_json::Map<_, _> =
        labels.iter().enumerate().map(|(id, name)| (id.to_string(), name.as_str().into())).collect();
    let by_name: serde_json::Map<_, _> =
        labels.iter().enumerate().map(|(id, name)| (name.clone(), id.into())).collect();
    config["id2label"] = by_id.into();
    config["label2id"] = by_name.into();
    config
}

/// The label names in a config: `id2label`, or numbers where it has none.
pub fn labels_of(config: &Value, count: usize) -> Vec<String> {
    let name = |id: usize| config.get("id2label")?.get(id.to_string())?.as_str().map(str::to_owned);
    (0..count).map(|id| name(id).unwrap_or_else(|| id.to_string())).collect()
}

/// Whether a path names a folder, or two as [`read_classifier`] reads them.
pub fn is_folder(path: &Path) -> bool {
    model_and_adapter(path).0.is_dir()
}

pub(crate) fn read_config(folder: &Path) -> Result<(Value, PathBuf), FolderError> {
    let path = folder.join("config.json");
    Ok((read_json(&path)?, path))
}

pub(crate) fn read_json(path: &Path) -> Result<Value, FolderError> {
    let text = fs::read(path).map_err(|source| FolderError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| FolderError::Config { path: path.to_owned(), source })
}

fn read_weights<A: Architecture + ?Sized>(
    folder: &Path,
    adapter: Option<&Path>,
    architecture: &A,
    precision: Precision,
) -> Result<Weights, FolderError> {
    let arrays = declared_only(read_arrays(folder, adapter)?, architecture);
    Weights::from_arrays(architecture.schema(), &arrays, precision)
        .map_err(|source| FolderError::Mismatch { path: folder.to_owned(), source })
}

/// Drops copies that a checkpoint carries beside the declared weights: a tied head saved once more.
fn declared_only<A: Architecture + ?Sized>(mut arrays: Arrays, architecture: &A) -> Arrays {
    for tied in ["lm_head.weight", "decoder.weight", "decoder.bias"] {
        let declared = architecture.schema().entries().iter().any(|entry| entry.name() == tied);
        let zero = arrays.get(tied).is_some_and(|array| tied != "decoder.bias" || is_zero(array));
        if !declared && zero {
            arrays.remove(tied);
        }
    }
    arrays
}

fn is_zero(array: &Array) -> bool {
    array.to_f32().iter().all(|&x| x == 0.0)
}

/// The arrays of a folder, with those of an adapter added to them.
pub(crate) fn read_arrays(folder: &Path, adapter: Option<&Path>) -> Result<Arrays, FolderError> {
    let mut arrays = Arrays::new();
    for path in weight_files(folder)? {
        arrays.extend(arrays_of(&path)?);
    }
    if let Some(adapter) = adapter {
        adapter::apply(&mut arrays, adapter)?;
    }
    Ok(arrays)
}

/// The arrays of one file.
pub(crate) fn arrays_of(path: &Path) -> Result<Arrays, FolderError> {
    let file = fs::read(path).map_err(|source| FolderError::Read { path: path.to_owned(), source })?;
    read_safetensors(&file).map_err(|source| FolderError::Arrays { path: path.to_owned(), source })
}

/// Of each file what is not a vector stays there.
fn stored_arrays(folder: &Path) -> Result<Arrays, FolderError> {
    let mut arrays = Arrays::new();
    for path in weight_files(folder)? {
        let file = Mapped::open(&path).map_err(|source| FolderError::Read { path: path.clone(), source })?;
        arrays.extend(stored_safetensors(&Arc::new(file)).map_err(|source| FolderError::Arrays { path, source })?);
    }
    Ok(arrays)
}

/// `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let index = folder.join("model.safetensors.index.json");
    if !index.exists() {
        return Ok(vec![folder.join("model.safetensors")]);
    }
    let map = read_json(&index)?;
    let mut names: Vec<&str> =
        map["weight_map"].as_object().into_iter().flatten().filter_map(|(_, file)| file.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    // A shard is a plain file name: an index must not lead out of the folder.
    if let Some(bad) = names.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
        return Err(FolderError::Size { path: index, what: format!("shard {bad:?} is not a plain file name") });
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(config: &Value, path: &Path) -> Result<T, FolderError> {
    serde_json::from_value(config.clone()).map_err(|source| FolderError::Config { path: path.to_owned(), source })
}

/// The config in the keys that the architectures read, or an error about a setting that they do not compute.
pub(crate) fn computed(config: &Value, path: &Path) -> Result<Value, FolderError> {
    let (config, fault) = earlier_keys(config);
    let Some(what) = fault else { return Ok(config) };
    let supported = if LlamaFamily::of(&config).is_some() {
        SUPPORTED_DECODERS
    } else {
        "ModernBERT (gelu) without biases, with plain rotary positions, and BERT, RoBERTa and DistilBERT with absolute positions"
    };
    Err(FolderError::Unsupported { path: path.to_owned(), what, supported })
}

/// More numbers than any head has; a rotary frequency is kept for each two.
const LARGEST_HEAD: usize = 1 << 16;

/// What layers of attention ask of their sizes.
pub(crate) struct Heads {
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    /// Numbers per head where the config says it.
    pub(crate) head_dim: Option<usize>,
    /// Whether positions turn pairs of numbers.
    pub(crate) is_rotary: bool,
}

impl Heads {
    pub(crate) fn check(&self, path: &Path) -> Result<(), FolderError> {
        self.fault().map_or(Ok(()), |what| Err(FolderError::Size { path: path.to_owned(), what }))
    }

    /// Which size cannot be, and why.
    pub(crate) fn fault(&self) -> Option<String> {
        let Self { width, heads, kv_heads, head_dim, is_rotary } = *self;
        let what = if heads == 0 || (head_dim.is_none() && !width.is_multiple_of(heads)) {
            format!("hidden_size {width} cannot be divided among {heads} heads")
        } else if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            format!("{heads} heads cannot be divided among {kv_heads} heads of keys and values")
        } else if let dim = head_dim.unwrap_or(width / heads)
            && (dim == 0 || (is_rotary && !dim.is_multiple_of(2)))
        {
            format!("{dim} numbers per head; rotary positions need an even number")
        } else if is_rotary && head_dim.unwrap_or(width / heads) > LARGEST_HEAD {
            format!("{heads} heads of {} numbers cannot be", head_dim.unwrap_or(width / heads))
        } else {
            return None;
        };
        Some(what)
    }
}

fn llama_shape(config: &Value, path: &Path) -> Result<LlamaConfig, FolderError> {
    let shape: LlamaConfig = parse(config, path)?;
    let (heads, kv_heads) = (shape.num_attention_heads, shape.kv_heads());
    Heads { width: shape.hidden_size, heads, kv_heads, head_dim: shape.head_dim, is_rotary: true }.check(path)?;
    if let Some(fault) = shape.variant.rope_scaling.as_ref().and_then(|scaling| scaling.fault(shape.head_dim())) {
        let what = format!("rope_scaling with {fault}");
        return Err(FolderError::Unsupported { path: path.to_owned(), what, supported: SUPPORTED_DECODERS });
    }
    if shape.variant.sliding_window == Some(0) {
        let what = "sliding_window is 0, and every token sees itself".to_owned();
        return Err(FolderError::Size { path: path.to_owned(), what });
    }
    Ok(shape)
}

pub(crate) fn encoder_shape(config: &Value, path: &Path) -> Result<EncoderConfig, FolderError> {
    let shape: EncoderConfig = parse(config, path)?;
    let (width, heads) = (shape.hidden_size, shape.num_attention_heads);
    Heads { width, heads, kv_heads: heads, head_dim: shape.head_dim, is_rotary: true }.check(path)?;
    Ok(shape)
}

pub(crate) fn bert_shape(config: &Value, path: &Path) -> Result<BertConfig, FolderError> {
    let shape: BertConfig = parse(config, path)?;
    let heads = shape.num_attention_heads;
    Heads { width: shape.hidden_size, heads, kv_heads: heads, head_dim: None, is_rotary: false }.check(path)?;
    if shape.type_vocab_size == 0 {
        let what = "type_vocab_size is 0, and every token is of some kind".to_owned();
        return Err(FolderError::Size { path: path.to_owned(), what });
    }
    Ok(shape)
}

/// A BERT of that shape and family, with that head.
pub(crate) fn bert_of(shape: BertConfig, family: BertFamily, head: Head, path: &Path) -> Result<Bert, FolderError> {
    let activation = shape.hidden_act.clone();
    match Bert::with_head(shape, family, head) {
        Some(bert) if bert.max_tokens() > 0 => Ok(bert),
        Some(_) => {
            let what = "max_position_embeddings leaves no position for a token".to_owned();
            Err(FolderError::Size { path: path.to_owned(), what })
        }
        None => Err(FolderError::Unsupported {
            path: path.to_owned(),
            what: format!("hidden_act {activation:?}"),
            supported: "gelu, gelu_new, gelu_pytorch_tanh and relu",
        }),
    }
}

pub(crate) fn check_labels(labels: usize, path: &Path) -> Result<(), FolderError> {
    if labels > 0 {
        return Ok(());
    }
    let what = "the model has no labels (num_labels or id2label)".to_owned();
    Err(FolderError::Size { path: path.to_owned(), what })
}

/// Shares a classifier's parts between threads.
impl ClassifierFolder {
    /// Numbers in the model.
    pub fn parameters(&self) -> usize {
        self.architecture.schema().parameters()
    }

    /// The schema that its weights follow.
    pub fn schema(&self) -> &Arc<crate::schema::Schema> {
        self.architecture.schema()
    }
}
