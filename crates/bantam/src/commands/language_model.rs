//! Opens what a person names as a language model.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use bantam_kernels::attention::PastFormat;
use bantam_kernels::gemm::grouped::Bits;
use bantam_kernels::gemm::{PackedFormat, Precision};
use bantam_model::folder::PredictorFolder;
use bantam_model::{folder, gguf, llama2c};
use bantam_runtime::generation::{LanguageModel, WeightFormat};
use bantam_tokens::Tokenizer;

/// What weights are held as.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// 32 bits
    F32,
    /// 16 bits
    Bf16,
    /// 8 bits in groups of 32 with a scale each
    Int8,
    /// 4 bits in groups of 32 with a scale each
    Int4,
}

impl Format {
    /// Of a code, where weights are codes.
    fn bits(self) -> Option<Bits> {
        match self {
            Self::F32 | Self::Bf16 => None,
            Self::Int8 => Some(Bits::Eight),
            Self::Int4 => Some(Bits::Four),
        }
    }

    /// Of an encoder's matrices, which have a scale for each row and no format below 8 bits.
    pub(crate) fn packed(self) -> PackedFormat {
        match self {
            Self::F32 => PackedFormat::F32,
            Self::Bf16 => PackedFormat::Bf16,
            Self::Int8 | Self::Int4 => PackedFormat::Int8,
        }
    }

    fn resolve(self) -> WeightFormat {
        match self {
            Self::F32 => WeightFormat::F32,
            Self::Bf16 => WeightFormat::Bf16,
            Self::Int8 => WeightFormat::Int8,
            Self::Int4 => WeightFormat::Int4,
        }
    }
}

/// What the keys and values of a text's past are kept as.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PastKind {
    /// 16 bits
    Half,
    /// 8 bits, each head of each token with a scale
    Int8,
}

impl PastKind {
    /// The model with pasts of this kind.
    pub(crate) fn of(self, model: LanguageModel) -> LanguageModel {
        match self {
            Self::Half => model,
            Self::Int8 => model.with_past(PastFormat::Int8),
        }
    }
}

/// A Hugging Face folder, a GGUF file, or a llama2.c file (`.bin`) with the vocabulary beside it, its weights put into `format`. Weights of a
/// GGUF file that are in groups already (Q8_0, Q4_0) stay as they are where `format` has groups.
pub(crate) fn open(path: &Path, format: Format) -> anyhow::Result<LanguageModel> {
    expect_model(path)?;
    let read = match path.extension().and_then(OsStr::to_str) {
        Some("gguf") if let Some(bits) = format.bits() => gguf::read_grouped_predictor(path, bits)?,
        Some("bin") => read(path)?,
        _ if let Some(bits) = format.bits() => folder::read_grouped_predictor(path, bits)?,
        _ => read(path)?,
    };
    Ok(LanguageModel::new(read.architecture, &read.weights, read.tokenizer, format.resolve())
        .with_chat(read.chat_template.as_deref(), &read.ends))
}

/// A model that [`open`] takes, with its weights decoded.
pub(crate) fn read(path: &Path) -> anyhow::Result<PredictorFolder> {
    expect_model(path)?;
    Ok(match path.extension().and_then(OsStr::to_str) {
        Some("gguf") => gguf::read_predictor(path, Precision::F32)?,
        Some("bin") => llama2c::read_predictor(path, &vocabulary_beside(path)?, Precision::F32)?,
        _ => folder::read_predictor(path, Precision::F32)?,
    })
}

/// Refuses by its name what is no language model.
fn expect_model(path: &Path) -> anyhow::Result<()> {
    ensure!(
        path.extension() != Some(OsStr::new("bantam")),
        "{}: a bundle holds a classifier, and no language model; use classify, eval, chat, serve or bench classify",
        path.display()
    );
    let text = path.to_string_lossy();
    if !path.exists()
        && !folder::is_folder(path)
        && let Some((model, adapter)) = text.split_once('+').filter(|(model, _)| Path::new(model).is_dir())
    {
        bail!(
            "{text}: {model} is a model's folder, and {adapter} is no adapter's: it lacks adapter_config.json, which peft writes"
        );
    }
    Ok(())
}

/// The tokenizer of a model that [`open`] takes, or a `tokenizer.json` itself.
pub(crate) fn open_tokenizer(path: &Path) -> anyhow::Result<Tokenizer> {
    let tokenizer = match path.extension().and_then(OsStr::to_str) {
        Some("gguf") => gguf::read_tokenizer(path)?,
        Some("bin") => llama2c::read_predictor(path, &vocabulary_beside(path)?, Precision::F32)?.tokenizer,
        Some("json") => Some(Tokenizer::load(path)?),
        _ => Some(Tokenizer::load(folder::model_and_adapter(path).0.join("tokenizer.json"))?),
    };
    tokenizer.with_context(|| format!("{}: it has no tokenizer; name a file that has its vocabulary", path.display()))
}

/// The one other `.bin` file of the folder whose name begins with `tok`.
fn vocabulary_beside(path: &Path) -> anyhow::Result<PathBuf> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let is_vocabulary = |path: &PathBuf| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.starts_with("tok") && name.ends_with(".bin")
    };
    let files = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut found: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).filter(is_vocabulary).collect();
    match (found.pop(), found.pop()) {
        (Some(only), None) => Ok(only),
        (found, _) => bail!(
            "{}: {} vocabulary beside it; put exactly one tok*.bin of llama2.c into its folder",
            path.display(),
            if found.is_some() { "more than one" } else { "no" }
        ),
    }
}
