//! Opens what a person names as a language model.

use std::path::Path;

use bantam_kernels::gemm::Precision;
use bantam_model::folder;
use bantam_runtime::generation::{LanguageModel, WeightFormat};

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
    fn resolve(self) -> WeightFormat {
        match self {
            Self::F32 => WeightFormat::F32,
            Self::Bf16 => WeightFormat::Bf16,
            Self::Int8 => WeightFormat::Int8,
            Self::Int4 => WeightFormat::Int4,
        }
    }
}

/// A Hugging Face folder, its weights put into `format`.
pub(crate) fn open(path: &Path, format: Format) -> anyhow::Result<LanguageModel> {
    let folder = folder::read_predictor(path, Precision::F32)?;
    Ok(LanguageModel::new(folder.architecture, &folder.weights, Some(folder.tokenizer), format.resolve()))
}
