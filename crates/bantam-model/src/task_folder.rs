//! Folders of encoders with the head of a task, as Hugging Face `transformers` and `sentence-transformers` lay them out.

use std::collections::BTreeMap;
use std::path::Path;

use bantam_kernels::gemm::Precision;
use bantam_tokens::Tokenizer;
use serde_json::{Map, Value};

use crate::architectures::bert::BertFamily;
use crate::architectures::encoder::Encoder;
use crate::architectures::{Head, TaskEncoder};
use crate::arrays::Arrays;
use crate::chat_files::optional_json;
use crate::folder::{
    FolderError, bert_of, bert_shape, check_labels, computed, encoder_shape, family_of, model_and_adapter, read_arrays,
    read_config,
};
use crate::layers::Pooling;
use crate::weights::Weights;

const SUPPORTED: &str = "model_type bert, roberta, distilbert and modernbert, as Model, ForSequenceClassification, \
                         ForTokenClassification, ForMaskedLM or ForQuestionAnswering";
/// Longer than any text: what `transformers` writes for "no limit" is far above.
const NO_LIMIT: u64 = 1 << 32;

/// An encoder with everything needed to run it on texts.
pub struct TaskFolder {
    /// What is computed.
    pub architecture: Box<dyn TaskEncoder>,
    /// With which numbers.
    pub weights: Weights,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Names of the labels, in order of the scores.
    pub labels: Vec<String>,
    /// The kind of problem that the labels solve (`problem_type`), where the config says it.
    pub problem: Option<String>,
    /// The most tokens of a text, those around it included.
    pub max_tokens: usize,
    /// How the states of a text's tokens become one, where the text itself is asked for.
    pub pooling: Pooling,
    /// What is put before texts, by name.
    pub prompts: BTreeMap<String, String>,
}

/// Whether a folder holds an encoder, rather than a model that goes on with texts.
pub fn is_encoder(folder: &Path) -> bool {
    let Ok((config, _)) = read_config(&model_and_adapter(folder).0) else { return false };
    matches!(config["model_type"].as_str(), Some("bert" | "roberta" | "distilbert" | "modernbert" | "bantam_encoder"))
}

/// Whether a folder holds a classifier of Bantam's own, which reads hashed features beside tokens. Only
/// [`read_classifier`](crate::folder::read_classifier) reads it.
pub fn hashes_features(folder: &Path) -> bool {
    read_config(&model_and_adapter(folder).0).is_ok_and(|(config, _)| config["features"].is_object())
}

/// Builds the encoder that a `config.json` describes, with the head that its `architectures` name; `path` is where it came from.
///
/// # Errors
/// When the family or head is unknown, or a key is missing, of the wrong type, or impossible.
pub fn task_encoder_of(config: &Value, path: &Path) -> Result<Box<dyn TaskEncoder>, FolderError> {
    let unsupported = |what: String| FolderError::Unsupported { path: path.to_owned(), what, supported: SUPPORTED };
    let named = config["architectures"][0].as_str().unwrap_or_default().to_owned();
    let config = computed(config, path)?;
    let labels = label_count(&config);
    let head = match named.split_once("For").map_or(named.strip_suffix("Model"), |(_, head)| Some(head)) {
        Some("SequenceClassification") => Head::Labels(labels),
        Some("TokenClassification") => Head::TokenLabels(labels),
        Some("QuestionAnswering") => Head::Span,
        Some("MaskedLM" | "PreTraining") => Head::Vocabulary,
        Some(name) if !named.contains("For") && !name.is_empty() => Head::Nothing,
        _ => return Err(unsupported(format!("architectures with {named:?}"))),
    };
    if matches!(head, Head::Labels(_) | Head::TokenLabels(_)) {
        check_labels(labels, path)?;
    }
    if head == Head::Vocabulary && config["tie_word_embeddings"] == false {
        return Err(unsupported("tie_word_embeddings = false".to_owned()));
    }
    let family = match config["model_type"].as_str() {
        Some("bert") => BertFamily::Bert,
        Some("roberta") => BertFamily::Roberta,
        Some("distilbert") => BertFamily::DistilBert,
        Some("modernbert" | "bantam_encoder") => {
            let shape = encoder_shape(&config, path)?;
            if shape.features.is_some() {
                return Err(unsupported("a table of hashed features (features)".to_owned()));
            }
            return Ok(Box::new(Encoder::with_head(shape, head)));
        }
        _ => return Err(unsupported(family_of(&config))),
    };
    let shape = bert_shape(&as_bert(&config, family), path)?;
    Ok(Box::new(bert_of(shape, family, head, path)?))
}

/// Reads the folder of an encoder, or two as [`read_classifier`](crate::folder::read_classifier) does.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read_task_encoder(folder: &Path, precision: Precision) -> Result<TaskFolder, FolderError> {
    let (folder, adapter) = model_and_adapter(folder);
    let folder = folder.as_path();
    let (config, path) = read_config(folder)?;
    let architecture = task_encoder_of(&config, &path)?;
    let arrays = fitting(read_arrays(folder, adapter.as_deref())?, architecture.as_ref());
    let weights = Weights::from_arrays(architecture.schema(), &arrays, precision)
        .map_err(|source| FolderError::Mismatch { path: folder.to_owned(), source })?;
    let tokenizer = Tokenizer::load(folder.join("tokenizer.json"))?;
    if tokenizer.vocabulary_size() > architecture.vocabulary() {
        let (ids, rows) = (tokenizer.vocabulary_size(), architecture.vocabulary());
        let what = format!("the tokenizer has {ids} ids, and vocab_size is {rows}");
        return Err(FolderError::Size { path, what });
    }
    let named = |id: usize| config["id2label"][id.to_string()].as_str().map(str::to_owned);
    let count = match architecture.head_kind() {
        Head::Labels(count) | Head::TokenLabels(count) => count,
        _ => 0,
    };
    let labels = (0..count).map(|id| named(id).unwrap_or_else(|| format!("LABEL_{id}")));
    let sentences = optional_json(folder, "config_sentence_transformers.json")?.unwrap_or_default();
    let prompts = sentences["prompts"].as_object().into_iter().flatten();
    let prompts = prompts.filter_map(|(name, prompt)| Some((name.clone(), prompt.as_str()?.to_owned())));
    Ok(TaskFolder {
        labels: labels.collect(),
        problem: config["problem_type"].as_str().map(str::to_owned),
        max_tokens: most_tokens(folder, architecture.max_tokens())?,
        pooling: pooling(folder)?,
        prompts: prompts.collect(),
        architecture,
        weights,
        tokenizer,
    })
}

/// Labels that a config has; two without names are what `transformers` leaves out.
fn label_count(config: &Value) -> usize {
    let named = config["id2label"].as_object().map(Map::len);
    named.or_else(|| config["num_labels"].as_u64().map(|count| count as usize)).unwrap_or(2)
}

/// A config under BERT's keys: DistilBERT has its own, and leaves out what it has no choice of.
fn as_bert(config: &Value, family: BertFamily) -> Value {
    let mut config = config.clone();
    if family == BertFamily::DistilBert {
        let keys = [
            ("dim", "hidden_size"),
            ("hidden_dim", "intermediate_size"),
            ("n_layers", "num_hidden_layers"),
            ("n_heads", "num_attention_heads"),
            ("activation", "hidden_act"),
        ];
        for (theirs, ours) in keys {
            if let Some(value) = config.get(theirs).cloned() {
                config[ours] = value;
            }
        }
        config["layer_norm_eps"] = 1e-12.into();
    } else if family == BertFamily::Roberta && config.get("type_vocab_size").is_none() {
        config["type_vocab_size"] = 1.into();
    }
    config
}

/// The arrays under the names that are declared, without copies of tied heads and without what other heads would need.
fn fitting(arrays: Arrays, architecture: &dyn TaskEncoder) -> Arrays {
    let schema = architecture.schema();
    let is_declared =
        |name: &str| schema.entries().iter().any(|entry| entry.parts.iter().any(|part| part.name == name));
    let prefixes = ["bert", "roberta", "distilbert", "model"];
    let renamed = |name: String| {
        // Checkpoints that were once converted from TensorFlow keep the old names of norms.
        let name = match name.rsplit_once('.') {
            Some((before, "gamma")) => format!("{before}.weight"),
            Some((before, "beta")) => format!("{before}.bias"),
            _ => name,
        };
        // A bare model is saved without the prefix that it has under a head.
        let candidates = prefixes.iter().map(|prefix| format!("{prefix}.{name}"));
        if is_declared(&name) { name } else { candidates.into_iter().find(|name| is_declared(name)).unwrap_or(name) }
    };
    let spare = [
        "position_ids",
        "pooler.dense.weight",
        "pooler.dense.bias",
        "cls.seq_relationship.weight",
        "cls.seq_relationship.bias",
        "cls.predictions.decoder.weight",
        "cls.predictions.decoder.bias",
        "lm_head.decoder.weight",
        "lm_head.decoder.bias",
        "vocab_projector.weight",
        "decoder.weight",
    ];
    let arrays = arrays.into_iter().map(|(name, array)| (renamed(name), array));
    arrays.filter(|(name, _)| is_declared(name) || !spare.iter().any(|spare| name.ends_with(spare))).collect()
}

/// The least of what the model, its tokenizer and `sentence-transformers` allow.
fn most_tokens(folder: &Path, positions: usize) -> Result<usize, FolderError> {
    let limits = [("tokenizer_config.json", "model_max_length"), ("sentence_bert_config.json", "max_seq_length")];
    let mut most = positions;
    for (file, key) in limits {
        let limit = optional_json(folder, file)?.and_then(|settings| settings[key].as_u64());
        most = most.min(limit.filter(|&limit| (1..NO_LIMIT).contains(&limit)).map_or(most, |limit| limit as usize));
    }
    Ok(most)
}

/// The pooling that `sentence-transformers` is told to use; the mean where it is told nothing.
fn pooling(folder: &Path) -> Result<Pooling, FolderError> {
    let refused = |file: &str, what: String| {
        let supported = "the pooling of cls or mean, normalised or not";
        Err(FolderError::Unsupported { path: folder.join(file), what, supported })
    };
    let (modules, settings) = ("modules.json", "1_Pooling/config.json");
    for module in optional_json(folder, modules)?.as_ref().and_then(Value::as_array).into_iter().flatten() {
        let kind = module["type"].as_str().and_then(|kind| kind.rsplit('.').next()).unwrap_or_default();
        if !matches!(kind, "Transformer" | "Pooling" | "Normalize") {
            return refused(modules, format!("a module of type {kind:?}"));
        }
    }
    let Some(found) = optional_json(folder, settings)? else { return Ok(Pooling::Mean) };
    let is_on = |key: &String| found[key] == true;
    let modes = found.as_object().into_iter().flatten().map(|(key, _)| key);
    let modes: Vec<&String> = modes.filter(|key| key.starts_with("pooling_mode_") && is_on(key)).collect();
    match modes.as_slice() {
        [mode] if *mode == "pooling_mode_cls_token" => Ok(Pooling::First),
        [mode] if *mode == "pooling_mode_mean_tokens" => Ok(Pooling::Mean),
        [] if found["pooling_mode"] == "cls" => Ok(Pooling::First),
        [] if found["pooling_mode"] == "mean" => Ok(Pooling::Mean),
        modes => refused(settings, format!("the pooling {modes:?}")),
    }
}
