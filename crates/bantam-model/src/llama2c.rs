//! Models of llama2.c: a header of seven numbers and bare f32 weights, with the vocabulary in a file of its own.
//!
//! The format is version 0 of `export.py` in llama2.c, little endian. The header holds width, feed-forward channels,
//! layers, heads, heads of keys and values, tokens (negative where the head is a matrix of its own) and the most tokens
//! in a text.

use std::fs;
use std::path::{Path, PathBuf};

use bantam_kernels::gemm::Precision;
use bantam_kernels::memory::Mapped;
use bantam_tokens::{GgufVocabulary, Tokenizer};

use crate::architectures::llama::LlamaConfig;
use crate::arrays::{Array, Arrays};
use crate::folder::{Heads, PredictorFolder};
use crate::gguf::{assemble, dense};
use crate::rotary_rows::to_halves;

/// What llama2.c adds to the mean square before the root.
const EPSILON: f32 = 1e-5;
const HEADER_BYTES: usize = 28;
const REMEDY: &str = "pass a model of llama2.c in its first format (a .bin file, not one with the letters ak42)";

/// Why the files are not a model of llama2.c.
#[derive(Debug, thiserror::Error)]
pub enum Llama2cError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{}: {problem}; {remedy}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// Reads a model and its vocabulary, for example `stories260K.bin` and `tok512.bin`.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read_predictor(model: &Path, vocabulary: &Path, precision: Precision) -> Result<PredictorFolder, Llama2cError> {
    let bytes = Mapped::open(model).map_err(|source| Llama2cError::Read { path: model.to_owned(), source })?;
    let wrong = |path: &Path, problem: String, remedy| Llama2cError::Content { path: path.to_owned(), problem, remedy };
    let (config, arrays) = llama_of(&bytes).map_err(|problem| wrong(model, problem, REMEDY))?;
    let list = fs::read(vocabulary).map_err(|source| Llama2cError::Read { path: vocabulary.to_owned(), source })?;
    let remedy = "pass the vocabulary that belongs to the model (tokenizer.bin of llama2.c)";
    let tokenizer = vocabulary_of(&list, config.vocab_size)
        .and_then(|vocabulary| Tokenizer::from_gguf(vocabulary).map_err(|error| error.to_string()))
        .map_err(|problem| wrong(vocabulary, problem, remedy))?;
    assemble(config, &arrays, Some(tokenizer), &dense(precision))
        .map_err(|error| wrong(model, error.to_string(), REMEDY))
}

/// Sizes and weights under the names of Hugging Face.
///
/// # Errors
/// Says what is wrong when a size cannot be, or the file has another length than the sizes need.
pub fn llama_of(bytes: &[u8]) -> Result<(LlamaConfig, Arrays), String> {
    let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(format!("the header needs {HEADER_BYTES} bytes, and the file has {}", bytes.len()));
    };
    let mut numbers = header.as_chunks().0.iter().map(|&number| i32::from_le_bytes(number));
    let [width, channels, layers, heads, kv_heads, tokens, positions] =
        std::array::from_fn(|_| numbers.next().unwrap_or_default());
    let size = |name: &str, number: i32| match usize::try_from(number) {
        Ok(size) if size > 0 => Ok(size),
        _ => Err(format!("the header has {number} for {name}")),
    };
    let config = LlamaConfig {
        vocab_size: size("tokens", tokens.saturating_abs())?,
        hidden_size: size("width", width)?,
        intermediate_size: size("feed-forward channels", channels)?,
        num_hidden_layers: size("layers", layers)?,
        num_attention_heads: size("heads", heads)?,
        num_key_value_heads: Some(size("heads of keys and values", kv_heads)?),
        head_dim: None,
        max_position_embeddings: size("positions", positions)?,
        rms_norm_eps: EPSILON,
        rope_theta: 10_000.0,
        tie_word_embeddings: tokens > 0,
        variant: Default::default(),
    };
    let (width, heads, kv_heads) = (config.hidden_size, config.num_attention_heads, kv_heads as usize);
    if let Some(fault) = (Heads { width, heads, kv_heads, head_dim: None, is_rotary: true }).fault() {
        return Err(fault);
    }
    let stretches = stretches(&config, kv_heads);
    // In 128 bits, so that no header makes the sum overflow.
    let needed: u128 = stretches.iter().map(Stretch::bytes).sum();
    if needed != body.len() as u128 {
        return Err(format!("sizes in the header need {needed} bytes after it, and there are {}", body.len()));
    }
    Ok((config, read(&stretches, body, heads, kv_heads)))
}

/// The numbers of one weight of all layers, or of one outside of them, as they stand in the file.
struct Stretch {
    /// What Hugging Face calls it; `None` for what is computed anew here.
    name: Option<&'static str>,
    /// How many layers have one; `None` outside the layers.
    layers: Option<usize>,
    shape: Vec<usize>,
}

impl Stretch {
    fn bytes(&self) -> u128 {
        let one: u128 = self.shape.iter().map(|&size| size as u128).product();
        one * self.layers.unwrap_or(1) as u128 * 4
    }
}

/// All numbers of the file, in order.
fn stretches(config: &LlamaConfig, kv_heads: usize) -> Vec<Stretch> {
    let (width, channels, tokens) = (config.hidden_size, config.intermediate_size, config.vocab_size);
    let head_dim = width / config.num_attention_heads;
    let shared = kv_heads * head_dim;
    let outer = |name, shape: &[usize]| Stretch { name, layers: None, shape: shape.to_vec() };
    let inner = |name, shape: &[usize]| Stretch {
        name: Some(name),
        layers: Some(config.num_hidden_layers),
        shape: shape.to_vec(),
    };
    let mut stretches = vec![
        outer(Some("model.embed_tokens"), &[tokens, width]),
        inner("input_layernorm", &[width]),
        inner("self_attn.q_proj", &[width, width]),
        inner("self_attn.k_proj", &[shared, width]),
        inner("self_attn.v_proj", &[shared, width]),
        inner("self_attn.o_proj", &[width, width]),
        inner("post_attention_layernorm", &[width]),
        inner("mlp.gate_proj", &[channels, width]),
        inner("mlp.down_proj", &[width, channels]),
        inner("mlp.up_proj", &[channels, width]),
        outer(Some("model.norm"), &[width]),
        // Cosines and sines of the rotary positions.
        outer(None, &[config.max_position_embeddings, head_dim / 2]),
        outer(None, &[config.max_position_embeddings, head_dim / 2]),
    ];
    if !config.tie_word_embeddings {
        stretches.push(outer(Some("lm_head"), &[tokens, width]));
    }
    stretches
}

/// The arrays in `body`, whose length is that of all stretches.
fn read(stretches: &[Stretch], body: &[u8], heads: usize, kv_heads: usize) -> Arrays {
    let mut numbers = body.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number));
    let mut arrays = Arrays::new();
    for Stretch { name, layers, shape } in stretches {
        for layer in 0..layers.unwrap_or(1) {
            let values: Vec<f32> = numbers.by_ref().take(shape.iter().product()).collect();
            let Some(name) = name else { continue };
            let array = Array::plain(shape.clone(), values);
            let array = match *name {
                "self_attn.q_proj" => to_halves(&array, heads),
                "self_attn.k_proj" => to_halves(&array, kv_heads),
                _ => array,
            };
            let scope = if layers.is_some() { format!("model.layers.{layer}.") } else { String::new() };
            arrays.insert(format!("{scope}{name}.weight"), array);
        }
    }
    arrays
}

/// The vocabulary in a file of llama2.c: the most bytes of a token, then for each token its score, its length in bytes
/// and its bytes. A text begins with token 1 and ends with token 2.
///
/// # Errors
/// Says what is wrong when the file is cut off, has other than `count` tokens, or text that is not UTF-8.
pub fn vocabulary_of(bytes: &[u8], count: usize) -> Result<GgufVocabulary, String> {
    let (mut tokens, mut scores) = (Vec::new(), Vec::new());
    let mut rest = bytes.get(4..).ok_or("the file ends within its first number")?;
    while !rest.is_empty() {
        let place = format!("token {} at byte {}", tokens.len(), bytes.len() - rest.len());
        let cut_off = || format!("the file ends within {place}");
        let (score, after) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let (length, after) = after.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let length =
            usize::try_from(i32::from_le_bytes(*length)).map_err(|_| format!("{place} has a negative length"))?;
        let (token, after) = after.split_at_checked(length).ok_or_else(cut_off)?;
        let token = std::str::from_utf8(token).map_err(|_| format!("{place} is not UTF-8"))?;
        scores.push(f32::from_le_bytes(*score));
        // The file has spaces where SentencePiece has its own sign, and line breaks around the two tokens with a role.
        tokens.push(match tokens.len() {
            1 => "<s>".to_owned(),
            2 => "</s>".to_owned(),
            _ => token.replace(' ', "▁"),
        });
        rest = after;
    }
    if tokens.len() != count || count < 3 {
        return Err(format!("the vocabulary has {} tokens, and the model {count}", tokens.len()));
    }
    let is_byte = |token: &str| token.len() == 6 && token.starts_with("<0x") && token.ends_with('>');
    let kind = |(id, token): (usize, &String)| match id {
        0 => 2,
        1 | 2 => 3,
        _ if is_byte(token) => 6,
        _ => 1,
    };
    let kinds = tokens.iter().enumerate().map(kind).collect();
    Ok(GgufVocabulary {
        model: "llama".to_owned(),
        tokens,
        scores,
        kinds,
        begin: Some(1),
        end: Some(2),
        unknown: Some(0),
        ..GgufVocabulary::default()
    })
}
