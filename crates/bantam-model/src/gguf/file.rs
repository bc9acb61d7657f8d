//! GGUF files on disk: a whole model with its tokenizer, read and written.

use std::path::Path;
use std::sync::Arc;

use bantam_artifact::write_atomic;
use bantam_kernels::gemm::Precision;
use bantam_kernels::gemm::grouped::Bits;
use bantam_kernels::memory::Mapped;
use bantam_tokens::Tokenizer;

use super::error::{FileError, GgufError};
use super::formats::TensorFormat;
use super::metadata::Metadata;
use super::model::{llama_of, stored_llama_of, write_llama};
use super::reader::Gguf;
use super::value::Value;
use super::vocabulary::{NO_VOCABULARY, VOCABULARY_KEY, chat_template_of, ends_of, vocabulary_of};
use crate::architectures::llama::{Llama, LlamaConfig};
use crate::architectures::{Architecture, TokenPredictor};
use crate::arrays::Arrays;
use crate::folder::{PredictorFolder, family_of};
use crate::schema::Schema;
use crate::weights::{MismatchError, Weights};

/// Reads a model with its tokenizer, if the file has one. The weights are decoded to `precision`.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read_predictor(path: &Path, precision: Precision) -> Result<PredictorFolder, FileError> {
    let bytes = Mapped::open(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    predictor_of(&bytes, &llama_of, &dense(precision))
        .map_err(|source| FileError::Content { path: path.to_owned(), source })
}

/// [`read_predictor`] for a model that only answers: all matrices in groups of codes, one after another, so that the file's numbers are never in
/// memory as a whole. Groups that the file has (Q8_0, Q4_0) stay what they are, the rest is fitted to `bits`.
///
/// # Errors
/// As [`read_predictor`].
pub fn read_grouped_predictor(path: &Path, bits: Bits) -> Result<PredictorFolder, FileError> {
    let mapped = Mapped::open(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    let mapped = Arc::new(mapped);
    let read = |file: &Gguf| stored_llama_of(file, &mapped);
    predictor_of(&mapped, &read, &|schema, arrays| Weights::grouped_from_arrays(schema, arrays, bits))
        .map_err(|source| FileError::Content { path: path.to_owned(), source })
}

/// The tokenizer of a file of any architecture, if it has one.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read_tokenizer(path: &Path) -> Result<Option<Tokenizer>, FileError> {
    let bytes = Mapped::open(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    let tokenizer = Gguf::parse(&bytes).and_then(|file| tokenizer_of(file.into_metadata()));
    tokenizer.map_err(|source| FileError::Content { path: path.to_owned(), source })
}

fn tokenizer_of(metadata: Metadata) -> Result<Option<Tokenizer>, GgufError> {
    let kind = metadata.get(VOCABULARY_KEY);
    if kind.is_none_or(|kind| matches!(kind, Value::Text(kind) if kind == NO_VOCABULARY)) {
        return Ok(None);
    }
    let vocabulary = vocabulary_of(metadata)?;
    Tokenizer::from_gguf(vocabulary).map(Some).map_err(|error| GgufError::Vocabulary(error.to_string()))
}

type ReadLlama<'a> = dyn Fn(&Gguf) -> Result<(LlamaConfig, Arrays), GgufError> + 'a;
type LayOut<'a> = dyn Fn(&Arc<Schema>, &Arrays) -> Result<Weights, MismatchError> + 'a;

/// Lays weights out as plain numbers.
pub(crate) fn dense(precision: Precision) -> impl Fn(&Arc<Schema>, &Arrays) -> Result<Weights, MismatchError> {
    move |schema, arrays| Weights::from_arrays(schema, arrays, precision)
}

fn predictor_of(bytes: &[u8], read: &ReadLlama<'_>, lay_out: &LayOut<'_>) -> Result<PredictorFolder, GgufError> {
    let file = Gguf::parse(bytes)?;
    let (config, arrays) = read(&file)?;
    let (chat_template, ends) = (chat_template_of(file.metadata())?, ends_of(file.metadata())?);
    // Before the weights, which then take the memory that the lists of its tokens had.
    let tokenizer = tokenizer_of(file.into_metadata())?;
    let read = assemble(config, &arrays, tokenizer, lay_out)?;
    Ok(PredictorFolder { chat_template, ends, ..read })
}

/// Puts a Llama together; the token ids must be rows of its table.
pub(crate) fn assemble(
    config: LlamaConfig,
    arrays: &Arrays,
    tokenizer: Option<Tokenizer>,
    lay_out: &LayOut<'_>,
) -> Result<PredictorFolder, GgufError> {
    let (ids, rows) = (tokenizer.as_ref().map_or(0, Tokenizer::vocabulary_size), config.vocab_size);
    if ids > rows {
        return Err(GgufError::Vocabulary(format!("{ids} tokens, and the model has rows for {rows}")));
    }
    let architecture = Llama::new(config);
    let weights = lay_out(architecture.schema(), arrays)?;
    let architecture = Box::new(architecture);
    Ok(PredictorFolder { architecture, weights, tokenizer, chat_template: None, ends: Vec::new() })
}

/// Writes a model as llama.cpp loads it, with its tokenizer, if it has one, its chat template and the tokens that end its answers: matrices in
/// groups as they are, others as `format`, norms as F32.
///
/// # Errors
/// For other architectures than Llama and those built like it, for tokenizers and weights that GGUF has no form for, and when the file cannot
/// be written; none is left half-written.
pub fn write_predictor(
    path: &Path,
    architecture: &dyn TokenPredictor,
    arrays: &Arrays,
    tokenizer: Option<&Tokenizer>,
    chat_template: Option<&str>,
    ends: &[u32],
    format: TensorFormat,
) -> Result<(), FileError> {
    let content = |source| FileError::Content { path: path.to_owned(), source };
    let config = architecture.config();
    let supported = "model_type llama, mistral, qwen2 and qwen3";
    let unsupported = GgufError::Unsupported { what: family_of(&config), supported };
    let config: LlamaConfig = serde_json::from_value(config).map_err(|_| content(unsupported))?;
    let vocabulary = tokenizer.map(Tokenizer::to_gguf).transpose();
    let mut vocabulary = vocabulary.map_err(|error| content(GgufError::Vocabulary(error.to_string())))?;
    if let Some(vocabulary) = &mut vocabulary {
        vocabulary.chat_template = chat_template.map(str::to_owned);
        let mut others = ends.iter().copied().filter(|&end| Some(end) != vocabulary.end);
        (vocabulary.end_of_turn, vocabulary.end_of_message) = (others.next(), others.next());
    }
    let bytes = write_llama(&config, arrays, vocabulary.as_ref(), format).map_err(content)?;
    write_atomic(path, &bytes)?;
    Ok(())
}
