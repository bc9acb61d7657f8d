//! A Llama, or a model built like it, from a GGUF file, and a GGUF file from it.

use std::sync::Arc;

use bantam_kernels::memory::Mapped;
use bantam_tokens::GgufVocabulary;

use super::error::GgufError;
use super::formats::TensorFormat;
use super::metadata::{Metadata, required};
use super::names::{to_ours, to_theirs};
use super::reader::{Gguf, GgufTensor};
use super::value::Value;
use super::vocabulary::{NO_VOCABULARY, VOCABULARY_KEY, insert_vocabulary};
use super::writer::{NewTensor, write};
use crate::architectures::llama::{Llama, LlamaConfig};
use crate::architectures::{Architecture, LlamaFamily, RotaryScaling};
use crate::arrays::{Array, Arrays};
use crate::folder::Heads;
use crate::rotary_rows::{to_halves, to_neighbours};
use crate::weights::check;

/// Architectures of llama.cpp, the family that each is here, and whether its rotary positions turn neighbours. Those of Llama
/// compute the same with the same tensors, which was found by running one model under all these names in llama.cpp.
const ARCHITECTURES: [(&str, LlamaFamily, bool); 8] = [
    ("llama", LlamaFamily::Llama, true),
    ("internlm2", LlamaFamily::Llama, true),
    ("xverse", LlamaFamily::Llama, true),
    ("ernie4_5", LlamaFamily::Llama, true),
    ("mistral3", LlamaFamily::Llama, true),
    ("exaone", LlamaFamily::Llama, false),
    ("qwen2", LlamaFamily::Qwen2, false),
    ("qwen3", LlamaFamily::Qwen3, false),
];
const SUPPORTED: &str = "general.architecture llama, internlm2, xverse, ernie4_5, mistral3, exaone, qwen2 or qwen3, with full \
                         attention, rotary positions that are plain, linearly scaled or divided by rope_freqs.weight, \
                         biases of queries, keys and values in qwen2 only, and no experts";
const ARCHITECTURE_KEY: &str = "general.architecture";
const ROTARY_FACTORS: &str = "rope_freqs.weight";
const SCALING_TYPE: &str = "rope.scaling.type";
const SCALING_FACTOR: &str = "rope.scaling.factor";
/// Sizes multiply, and their products must be counted.
const LARGEST_SIZE: usize = i32::MAX as usize;

/// The sizes and weights of the Llama in a file, under the names of Hugging Face, decoded to f32.
///
/// # Errors
/// For another architecture, for a setting or tensor that changes what is computed and is not followed here, for
/// sizes that cannot be, and when the tensors do not fit the sizes.
pub fn llama_of(file: &Gguf) -> Result<(LlamaConfig, Arrays), GgufError> {
    read_llama(file, &|tensor| tensor.to_array())
}

/// [`llama_of`] with matrices whose numbers stay in the file, whose bytes `mapped` has.
///
/// # Errors
/// As [`llama_of`].
pub fn stored_llama_of(file: &Gguf, mapped: &Arc<Mapped>) -> Result<(LlamaConfig, Arrays), GgufError> {
    read_llama(file, &|tensor| tensor.to_stored_array(mapped))
}

fn read_llama(file: &Gguf, read: &dyn Fn(&GgufTensor) -> Array) -> Result<(LlamaConfig, Arrays), GgufError> {
    let architecture = file.metadata().text(ARCHITECTURE_KEY)?;
    let Some(&(_, family, turns_neighbours)) = ARCHITECTURES.iter().find(|(name, ..)| *name == architecture) else {
        return Err(unsupported(format!("{ARCHITECTURE_KEY} {architecture:?}")));
    };
    let mut config = config_of(file, architecture)?;
    config.variant.family = family;
    config.variant.rope_scaling = scaling_of(file, architecture, &config)?;
    let kv_heads = config.kv_heads();
    let mut arrays = Arrays::new();
    for (name, tensor) in file.tensors() {
        if name == ROTARY_FACTORS {
            continue;
        }
        let Some(ours) = to_ours(name) else { return Err(unsupported(format!("tensor `{name}`"))) };
        let array = read(tensor);
        let array = match rotated(&ours, config.num_attention_heads, kv_heads) {
            Some(heads) if turns_neighbours => to_halves(&array, heads),
            _ => array,
        };
        arrays.insert(ours, array);
    }
    check(Llama::new(config.clone()).schema(), &arrays)?;
    Ok((config, arrays))
}

/// The bytes of a GGUF file with a Llama: matrices in groups as they are, others as `format`, where their rows are whole
/// blocks of it, else as F16; norms as F32. Without a vocabulary the file says that it has none.
///
/// # Errors
/// When the weights do not fit the config, the format cannot hold them or is only read, or there are more tokens than
/// rows in the table of tokens.
pub fn write_llama(
    config: &LlamaConfig,
    arrays: &Arrays,
    vocabulary: Option<&GgufVocabulary>,
    format: TensorFormat,
) -> Result<Vec<u8>, GgufError> {
    let architecture = architecture_of(config.variant.family);
    let turns_neighbours = ARCHITECTURES.iter().any(|&(name, _, turns)| name == architecture && turns);
    check_heads(config, &|name| format!("{architecture}.{name}"))?;
    check(Llama::new(config.clone()).schema(), arrays)?;
    let (heads, kv_heads) = (config.num_attention_heads, config.kv_heads());
    let mut renamed: Vec<(String, Array)> = Vec::new();
    for (ours, array) in arrays {
        let Some(theirs) = to_theirs(ours) else { return Err(unsupported(format!("tensor `{ours}`"))) };
        let array = match rotated(ours, heads, kv_heads) {
            Some(heads) if turns_neighbours => to_neighbours(array, heads),
            _ => array.clone(),
        };
        renamed.push((theirs, array));
    }
    if let Some(factors) = factors_of(config)? {
        renamed.push((ROTARY_FACTORS.to_owned(), Array::plain(vec![factors.len()], factors)));
    }
    let tensors: Vec<NewTensor> = renamed
        .iter()
        .map(|(name, array)| NewTensor { name: name.clone(), array, format: format_of(array, format) })
        .collect();
    let mut metadata = metadata_of(config, commonest(&tensors));
    match vocabulary {
        Some(vocabulary) => insert_vocabulary(&mut metadata, &filled_up(vocabulary, config.vocab_size)?),
        None => metadata.insert(VOCABULARY_KEY, Value::Text(NO_VOCABULARY.into())),
    }
    write(&metadata, &tensors)
}

/// What llama.cpp calls a family.
fn architecture_of(family: LlamaFamily) -> &'static str {
    match family {
        LlamaFamily::Llama | LlamaFamily::Mistral => "llama",
        LlamaFamily::Qwen2 => "qwen2",
        LlamaFamily::Qwen3 => "qwen3",
    }
}

/// How many heads the rows of a weight belong to, for those that are turned by positions.
fn rotated(name: &str, heads: usize, kv_heads: usize) -> Option<usize> {
    if name.ends_with("self_attn.q_proj.weight") {
        Some(heads)
    } else if name.ends_with("self_attn.k_proj.weight") {
        Some(kv_heads)
    } else {
        None
    }
}

fn format_of(array: &Array, wanted: TensorFormat) -> TensorFormat {
    match array.shape[..] {
        [..] if let Some(format) = TensorFormat::of_groups(&array.values) => format,
        [_] => TensorFormat::F32,
        [.., columns] if !columns.is_multiple_of(wanted.block_len()) => TensorFormat::F16,
        _ => wanted,
    }
}

/// The format of most numbers.
fn commonest(tensors: &[NewTensor]) -> TensorFormat {
    let numbers =
        |format| tensors.iter().filter(|tensor| tensor.format == format).map(|tensor| tensor.array.len()).sum();
    TensorFormat::ALL.into_iter().max_by_key(|&format| -> usize { numbers(format) }).unwrap_or(TensorFormat::F32)
}

fn unsupported(what: String) -> GgufError {
    GgufError::Unsupported { what, supported: SUPPORTED }
}

fn config_of(file: &Gguf, architecture: &str) -> Result<LlamaConfig, GgufError> {
    let metadata = file.metadata();
    let key = |name: &str| format!("{architecture}.{name}");
    refuse_settings(metadata, &key)?;
    let optional = |name: &str| match metadata.whole(&key(name))? {
        Some(size) if size == 0 || size > LARGEST_SIZE => Err(GgufError::damaged(key(name), format!("it is {size}"))),
        size => Ok(size),
    };
    let size = |name: &str| required(optional(name)?, &key(name));
    let layers = size("block_count")?;
    if layers > file.tensors().len() {
        let problem = format!("it is {layers}, and the file has {} tensors", file.tensors().len());
        return Err(GgufError::damaged(key("block_count"), problem));
    }
    let table = file.tensors().get("token_embd.weight").ok_or_else(|| {
        GgufError::damaged("tensor `token_embd.weight`", "it is missing; a file with a vocabulary only holds no model")
    })?;
    let head_dim = optional("attention.key_length")?;
    let config = LlamaConfig {
        vocab_size: table.shape[0],
        hidden_size: size("embedding_length")?,
        intermediate_size: size("feed_forward_length")?,
        num_hidden_layers: layers,
        num_attention_heads: size("attention.head_count")?,
        num_key_value_heads: optional("attention.head_count_kv")?,
        head_dim,
        max_position_embeddings: size("context_length")?,
        rms_norm_eps: required(
            metadata.fraction(&key("attention.layer_norm_rms_epsilon"))?,
            &key("attention.layer_norm_rms_epsilon"),
        )?,
        rope_theta: metadata.fraction(&key("rope.freq_base"))?.unwrap_or(10_000.0),
        tie_word_embeddings: !file.tensors().contains_key("output.weight"),
        variant: Default::default(),
    };
    check_heads(&config, &key)?;
    let dim = config.head_dim();
    for name in ["attention.value_length", "rope.dimension_count"] {
        if let Some(other) = optional(name)?.filter(|&other| other != dim) {
            return Err(unsupported(format!("{} {other} beside {dim} numbers per head", key(name))));
        }
    }
    Ok(config)
}

fn check_heads(config: &LlamaConfig, key: &impl Fn(&str) -> String) -> Result<(), GgufError> {
    let heads = config.num_attention_heads;
    let (width, kv_heads) = (config.hidden_size, config.kv_heads());
    let sizes = Heads { width, heads, kv_heads, head_dim: config.head_dim, is_rotary: true };
    let wide = || {
        let dim = config.head_dim();
        let is_countable = heads.checked_mul(dim).is_some_and(|rows| rows <= LARGEST_SIZE);
        (!is_countable).then(|| format!("{heads} heads of {dim} numbers cannot be"))
    };
    let fault = sizes.fault().or_else(wide);
    fault.map_or(Ok(()), |fault| Err(GgufError::damaged(key("attention.head_count"), fault)))
}

/// Refuses settings that change what a model computes and are not followed.
fn refuse_settings(metadata: &Metadata, key: &impl Fn(&str) -> String) -> Result<(), GgufError> {
    // Each with the values that change nothing.
    let settings: [(&str, &[f64]); 14] = [
        ("rope.scale_linear", &[0.0, 1.0]),
        ("expert_count", &[0.0]),
        ("attention.sliding_window", &[0.0]),
        ("attention.causal", &[1.0]),
        ("attention.scale", &[0.0]),
        ("attention.temperature_scale", &[0.0]),
        ("attention.clamp_kqv", &[0.0]),
        ("attention.max_alibi_bias", &[0.0]),
        ("attn_logit_softcapping", &[0.0]),
        ("final_logit_softcapping", &[0.0]),
        ("logit_scale", &[0.0, 1.0]),
        ("embedding_scale", &[0.0, 1.0]),
        ("residual_scale", &[0.0, 1.0]),
        ("use_parallel_residual", &[0.0]),
    ];
    let changes = |(name, neutral): &(&str, &[f64])| {
        let value = metadata.get(&key(name))?;
        (!number(value).is_some_and(|number| neutral.contains(&number))).then(|| format!("{} {value:?}", key(name)))
    };
    settings.iter().find_map(changes).map_or(Ok(()), |what| Err(unsupported(what)))
}

/// How rotary positions are slowed down: by a factor in the metadata, or by one for each frequency in a tensor.
fn scaling_of(file: &Gguf, architecture: &str, config: &LlamaConfig) -> Result<Option<RotaryScaling>, GgufError> {
    let (kind, factor) = (format!("{architecture}.{SCALING_TYPE}"), format!("{architecture}.{SCALING_FACTOR}"));
    // llama.cpp takes a factor without a type as linear, and 0 as none.
    let linear = match file.metadata().get(&kind) {
        Some(Value::Text(kind)) if kind == "none" => None,
        Some(Value::Text(kind)) if kind != "linear" => {
            return Err(unsupported(format!("{architecture}.{SCALING_TYPE} {kind:?}")));
        }
        Some(Value::Text(_)) | None => {
            file.metadata().fraction(&factor)?.filter(|&factor| factor != 0.0 && factor != 1.0)
        }
        Some(other) => return Err(unsupported(format!("{kind} {other:?}"))),
    };
    let factors = file.tensors().get(ROTARY_FACTORS).map(|tensor| tensor.to_array().to_f32());
    let scaling = match (linear, factors.filter(|factors| factors.iter().any(|&factor| factor != 1.0))) {
        (None, None) => return Ok(None),
        (Some(factor), None) => RotaryScaling::Linear { factor },
        (None, Some(factors)) => RotaryScaling::of_factors(factors, config.max_position_embeddings),
        (Some(_), Some(_)) => return Err(unsupported(format!("{ROTARY_FACTORS} beside {factor}"))),
    };
    match scaling.fault(config.head_dim()) {
        Some(fault) => Err(GgufError::damaged("the scaling of rotary positions", fault)),
        None => Ok(Some(scaling)),
    }
}

/// The factors that a file holds as a tensor.
fn factors_of(config: &LlamaConfig) -> Result<Option<Vec<f32>>, GgufError> {
    let (family, Some(scaling)) = (config.variant.family, &config.variant.rope_scaling) else { return Ok(None) };
    if matches!(scaling, RotaryScaling::Linear { .. }) {
        return Ok(None);
    }
    if architecture_of(family) != "llama" {
        return Err(GgufError::Unsupported {
            what: format!("rope_scaling with a factor for each frequency in {}", family.name()),
            supported: "those of llama and mistral, which llama.cpp reads",
        });
    }
    Ok(Some(scaling.factors(&config.frequencies())))
}

/// A number or truth of any type.
fn number(value: &Value) -> Option<f64> {
    Some(match *value {
        Value::U8(number) => number.into(),
        Value::I8(number) => number.into(),
        Value::U16(number) => number.into(),
        Value::I16(number) => number.into(),
        Value::U32(number) => number.into(),
        Value::I32(number) => number.into(),
        Value::U64(number) => number as f64,
        Value::I64(number) => number as f64,
        Value::F32(number) => number.into(),
        Value::F64(number) => number,
        Value::Bool(truth) => f64::from(u8::from(truth)),
        Value::Text(_) | Value::List(_) => return None,
    })
}

fn metadata_of(config: &LlamaConfig, format: TensorFormat) -> Metadata {
    let (architecture, head_dim) = (architecture_of(config.variant.family), config.head_dim());
    let mut metadata = Metadata::new();
    metadata.insert(ARCHITECTURE_KEY, Value::Text(architecture.into()));
    metadata.insert("general.file_type", Value::U32(file_type(format)));
    metadata.insert("general.quantization_version", Value::U32(2));
    let sizes = [
        ("vocab_size", config.vocab_size),
        ("context_length", config.max_tokens()),
        ("embedding_length", config.hidden_size),
        ("block_count", config.num_hidden_layers),
        ("feed_forward_length", config.intermediate_size),
        ("attention.head_count", config.num_attention_heads),
        ("attention.head_count_kv", config.kv_heads()),
        ("attention.key_length", head_dim),
        ("attention.value_length", head_dim),
        ("rope.dimension_count", head_dim),
    ];
    for (name, size) in sizes {
        // Whatever has weights of that size has no more than 32 bits of it.
        metadata.insert(format!("{architecture}.{name}"), Value::U32(u32::try_from(size).unwrap_or(u32::MAX)));
    }
    metadata.insert(format!("{architecture}.attention.layer_norm_rms_epsilon"), Value::F32(config.rms_norm_eps));
    metadata.insert(format!("{architecture}.rope.freq_base"), Value::F32(config.rope_theta));
    if let Some(RotaryScaling::Linear { factor }) = config.variant.rope_scaling {
        metadata.insert(format!("{architecture}.{SCALING_TYPE}"), Value::Text("linear".into()));
        metadata.insert(format!("{architecture}.{SCALING_FACTOR}"), Value::F32(factor));
    }
    metadata
}

/// `general.file_type`: the format of most tensors (`llama_ftype`).
fn file_type(format: TensorFormat) -> u32 {
    match format {
        TensorFormat::F32 => 0,
        TensorFormat::F16 => 1,
        TensorFormat::Q4_0 => 2,
        TensorFormat::Q4_1 => 3,
        TensorFormat::Q8_0 => 7,
        TensorFormat::Q5_0 => 8,
        TensorFormat::Q5_1 => 9,
        TensorFormat::Q4K => 15,
        TensorFormat::Q5K => 17,
        TensorFormat::Q6K => 18,
        TensorFormat::Bf16 => 32,
    }
}

/// The vocabulary with a token for every row of the table of tokens, which llama.cpp insists on.
fn filled_up(vocabulary: &GgufVocabulary, rows: usize) -> Result<GgufVocabulary, GgufError> {
    let mut filled = vocabulary.clone();
    let count = filled.tokens.len();
    if count > rows {
        return Err(GgufError::Vocabulary(format!("{count} tokens, and the model has rows for {rows}")));
    }
    const UNUSED: i32 = 5;
    if filled.kinds.is_empty() {
        filled.kinds = vec![1; count];
    }
    filled.tokens.extend((count..rows).map(|id| format!("[PAD{id}]")));
    filled.kinds.resize(rows, UNUSED);
    if !filled.scores.is_empty() {
        filled.scores.resize(rows, -1e9);
    }
    Ok(filled)
}
