//! `bantam inspect`: what a bundle, a model folder or a GGUF file holds, once everything in it was checked.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use bantam_artifact::bundle::{BundleError, Reader};
use bantam_kernels::gemm::Precision;
use bantam_kernels::memory::Mapped;
use bantam_model::architectures::{Architecture, Head, LlamaFamily};
use bantam_model::folder::{is_folder, model_and_adapter, read_classifier, read_predictor};
use bantam_model::gguf::{Gguf, List};
use bantam_model::task_folder::{is_encoder, read_task_encoder};
use bantam_runtime::{BundleParts, LoadError};
use serde_json::{Map, Value, json};

use super::print_json;

/// Labels listed before the rest is only counted.
const SHOWN: usize = 12;

/// What may be meant by a file that is no bundle.
const OTHERS: &str =
    "; inspect also takes a GGUF file or a model folder (`bantam export` makes one of a llama2.c file)";

/// The arguments of `bantam inspect`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  bantam inspect runs/support/support.bantam\n  bantam inspect models/bert-tiny --json"
)]
pub(crate) struct Arguments {
    /// A .bantam file, a GGUF file, or a folder with config.json, model.safetensors and tokenizer.json
    path: PathBuf,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let is_gguf = self.path.extension() == Some(OsStr::new("gguf"));
        let told = match is_folder(&self.path) {
            true => folder(&self.path)?,
            false if is_gguf => gguf_file(&self.path)?,
            false => bundle(&self.path)?,
        };
        if self.json {
            return Ok(print_json(&told)?);
        }
        let mut output = std::io::stdout().lock();
        Ok(output.write_all(table(&told).as_bytes())?)
    }
}

/// What a bundle holds. Reading its parts verifies every hash, and making a model of them that they fit together.
fn bundle(path: &Path) -> anyhow::Result<Value> {
    let parts = BundleParts::read(path).map_err(|error| match error {
        LoadError::Bundle { source: BundleError::Foreign, .. } => anyhow!("{error}{OTHERS}"),
        error => error.into(),
    })?;
    let classifier = parts.classifier(path)?;
    let bytes = Mapped::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let reader = Reader::new(&bytes)?;
    let mut sections = Map::new();
    for name in reader.names() {
        sections.insert(name.to_owned(), reader.section(name)?.len().into());
    }
    Ok(json!({
        "kind": "classifier bundle",
        "name": parts.name,
        "family": parts.config["model_type"],
        "parameters": classifier.parameters(),
        "bytes": bytes.len(),
        "hashes": "verified",
        "sections": sections,
        "vocabulary": parts.tokenizer.vocabulary_size(),
        "max_tokens": classifier.encoder.max_tokens(),
        "features": parts.hasher,
        "temperature": parts.temperature,
        "threshold": parts.threshold,
        "replies": parts.replies.len(),
        "languages": parts.languages,
        "licence": parts.licence,
        "made_by": parts.made_by,
        "labels": parts.labels,
    }))
}

/// What a GGUF file holds: of its model what it says, and of its tensors all, though Bantam may not compute its family.
fn gguf_file(path: &Path) -> anyhow::Result<Value> {
    let bytes = Mapped::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let broken = || path.display().to_string();
    let file = Gguf::parse(&bytes).with_context(broken)?;
    let family = file.metadata().text("general.architecture").with_context(broken)?;
    let whole = |key: &str| file.metadata().whole(&format!("{family}.{key}")).with_context(broken);
    let mut formats: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut parameters, mut stored) = (0, 0);
    for tensor in file.tensors().values() {
        *formats.entry(tensor.format.name()).or_default() += 1;
        parameters += tensor.shape.iter().product::<usize>();
        stored += tensor.bytes.len();
    }
    Ok(json!({
        "kind": "GGUF file",
        "name": file.metadata().text("general.name").ok(),
        "family": family,
        "parameters": parameters,
        "bytes": bytes.len(),
        "tensors": formats,
        "bits_a_weight": 8.0 * stored as f64 / (parameters as f64).max(1.0),
        "vocabulary": file.metadata().list("tokenizer.ggml.tokens").with_context(broken)?.map(List::len),
        "max_tokens": whole("context_length")?,
        "layers": whole("block_count")?,
        "width": whole("embedding_length")?,
    }))
}

/// What a folder in the layout of Hugging Face holds, with an adapter's where the path names both.
fn folder(path: &Path) -> anyhow::Result<Value> {
    if has_labels(&model_and_adapter(path).0.join("config.json")) {
        let read = read_classifier(path, Precision::F32)?;
        let mut told = model("classifier folder", path, read.architecture.as_ref());
        told["features"] = json!(read.hasher);
        told["labels"] = read.labels.into();
        return Ok(told);
    }
    if is_encoder(path) {
        let read = read_task_encoder(path, Precision::F32)?;
        let kind = match read.architecture.head_kind() {
            Head::Nothing => "encoder folder",
            Head::Labels(_) => "classifier folder",
            Head::TokenLabels(_) => "token classifier folder",
            Head::Span => "question answering folder",
            Head::Vocabulary => "token predictor folder",
        };
        let mut told = model(kind, path, read.architecture.as_ref());
        if !read.labels.is_empty() {
            told["labels"] = read.labels.into();
        }
        return Ok(told);
    }
    let read = read_predictor(path, Precision::F32)?;
    Ok(model("token predictor folder", path, read.architecture.as_ref()))
}

fn model<A: Architecture + ?Sized>(kind: &str, path: &Path, architecture: &A) -> Value {
    let (folder, adapter) = model_and_adapter(path);
    let folders: Vec<PathBuf> = std::iter::once(folder).chain(adapter).collect();
    let names: Vec<_> = folders.iter().filter_map(|path| path.file_name()).map(OsStr::to_string_lossy).collect();
    json!({
        "kind": kind,
        "name": names.join("+"),
        "family": architecture.config()["model_type"],
        "parameters": architecture.schema().parameters(),
        "bytes": folders.iter().map(|folder| bytes_of(folder)).sum::<u64>(),
        "vocabulary": architecture.vocabulary(),
        "max_tokens": architecture.max_tokens(),
    })
}

/// Whether a config describes a classifier. One that cannot be read does not: reading the folder tells why.
fn has_labels(config: &Path) -> bool {
    let config = std::fs::read(config).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let has = |key: &str| config.as_ref().is_some_and(|config| config.get(key).is_some());
    // Published predictors, too, carry two unnamed labels that they never use: their class is named after what they do.
    let class = config.as_ref().and_then(|config| config["architectures"][0].as_str()).unwrap_or_default();
    let is_predictor = class.ends_with("LM") || config.as_ref().and_then(LlamaFamily::of).is_some();
    let is_other = class.contains("For") && !class.ends_with("ForSequenceClassification");
    !is_predictor && !is_other && (class.contains("For") || has("num_labels") || has("id2label"))
}

fn bytes_of(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).filter(std::fs::Metadata::is_file).map(|file| file.len()).sum()
}

/// A line for each thing that is there.
fn table(told: &Value) -> String {
    let mut text = String::new();
    for (key, value) in told.as_object().into_iter().flatten() {
        let shown = match (key.as_str(), value) {
            (_, Value::Null) if key != "threshold" => continue,
            (_, Value::Null) => "none: every request goes to a person".to_owned(),
            ("bits_a_weight", bits) => format!("{:.2}", bits.as_f64().unwrap_or(0.0)),
            ("bytes", Value::Number(bytes)) => format!("{bytes} ({:.2} MB)", bytes.as_f64().unwrap_or(0.0) / 1e6),
            ("labels", Value::Array(labels)) => {
                let first: Vec<&str> = labels.iter().take(SHOWN).filter_map(Value::as_str).collect();
                let more = labels.len().saturating_sub(SHOWN);
                let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
                format!("{}: {}{rest}", labels.len(), first.join(", "))
            }
            (_, Value::Array(items)) if items.is_empty() => continue,
            (_, Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            (_, Value::Object(items)) => {
                items.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
            }
            (_, Value::String(string)) => string.clone(),
            (_, other) => other.to_string(),
        };
        // A bundle may come from anywhere, and must not steer the terminal.
        let shown: String = shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        text += &format!("{key:<13} {shown}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use bantam_model::folder::write_classifier;
    use bantam_runtime::sample;

    use super::*;

    #[test]
    fn bundles_and_folders_are_described_and_others_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("x.bantam");
        let parts = sample::parts();
        parts.write(&path).unwrap();
        let told = bundle(&path).unwrap();
        assert_eq!((&told["name"], told["bytes"].as_u64()), (&json!("sample"), Some(path.metadata().unwrap().len())));
        let names: Vec<&String> = told["sections"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["card", "replies", "tokenizer", "weights"]);
        let text = table(&told);
        assert!(text.contains("3: order_status, refund, change_address") && text.contains("verified"), "{text}");

        let model = place.path().join("model");
        write_classifier(&model, &parts.config, &parts.arrays, &parts.tokenizer, parts.hasher.as_ref()).unwrap();
        let told = folder(&model).unwrap();
        assert_eq!(told["kind"], "classifier folder");
        assert_eq!(told["labels"].as_array().unwrap().len(), 4);

        std::fs::write(&path, b"GGUF").unwrap();
        assert!(bundle(&path).unwrap_err().to_string().contains("not a Bantam bundle"));
        assert!(folder(place.path()).unwrap_err().to_string().contains("config.json"));
    }
}
