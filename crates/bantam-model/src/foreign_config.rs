//! What `transformers` writes into a `config.json`: in which keys its versions differ, and which settings are not
//! computed here. A setting that changes what a model computes is either followed or refused, never passed over.

use bantam_tokens::Tokenizer;
use serde_json::{Map, Value, json};

use crate::architectures::encoder::default_base;
use crate::architectures::{LlamaFamily, RotaryScaling};

/// More layers than any model has.
const MOST_LAYERS: u64 = 10_000;

/// The settings of transformers 5 under the keys of earlier versions, which the architectures read. The second value
/// names the first setting that Bantam does not compute.
pub(crate) fn earlier_keys(config: &Value) -> (Value, Option<String>) {
    let mut earlier = config.clone();
    let Some(keys) = earlier.as_object_mut() else { return (earlier, None) };
    if let Some(family) = LlamaFamily::of(config) {
        let fault = decoder(keys, family);
        return (earlier, fault);
    }
    let fault = match config.get("model_type").and_then(Value::as_str) {
        Some("bert" | "roberta" | "distilbert") => {
            let fixed = [("position_embedding_type", "absolute".into()), ("is_decoder", false.into())];
            other_than(keys, &fixed)
        }
        Some("modernbert" | "bantam_encoder") => {
            let mut fixed = vec![("hidden_activation", "gelu".into()), ("classifier_activation", "gelu".into())];
            let biases = ["attention_bias", "mlp_bias", "norm_bias", "classifier_bias"];
            fixed.extend(biases.map(|key| (key, false.into())));
            rotary(keys, &["rope_parameters", "full_attention"], "global_rope_theta")
                .or_else(|| rotary(keys, &["rope_parameters", "sliding_attention"], "local_rope_theta"))
                .or_else(|| rotary(keys, &["rope_scaling"], "global_rope_theta"))
                .or_else(|| other_than(keys, &fixed))
                .or_else(|| windows(keys))
        }
        _ => None,
    };
    (earlier, fault)
}

/// The ids of tokens with a role, which `transformers` looks up in the config: where they are absent it takes those of
/// the family's first model, and for ModernBERT refuses a table of tokens with fewer rows than that.
pub(crate) fn with_special_ids(config: &Value, tokenizer: &Tokenizer) -> Value {
    let special = tokenizer.special();
    let roles = [
        ("pad_token_id", special.pad),
        ("bos_token_id", special.begin),
        ("eos_token_id", special.end),
        ("cls_token_id", special.begin),
        ("sep_token_id", special.end),
    ];
    // How many of them the family's config has.
    let count = match config.get("model_type").and_then(Value::as_str) {
        Some("bert") => 1,
        _ if LlamaFamily::of(config).is_some() => 3,
        Some("modernbert") => 5,
        _ => 0,
    };
    let mut config = config.clone();
    for (key, id) in &roles[..count] {
        if config.get(key).is_none() {
            config[key] = (*id).into();
        }
    }
    config
}

/// The settings of a decoder that is built like Llama.
fn decoder(keys: &mut Map<String, Value>, family: LlamaFamily) -> Option<String> {
    let fixed = [
        ("hidden_act", "silu".into()),
        ("attention_bias", false.into()),
        ("mlp_bias", false.into()),
        ("use_sliding_window", false.into()),
    ];
    let fault = slowed_rotary(keys, "rope_parameters")
        .or_else(|| slowed_rotary(keys, "rope_scaling"))
        .or_else(|| other_than(keys, &fixed));
    if fault.is_some() {
        return fault;
    }
    let types = keys.get("layer_types").and_then(Value::as_array).into_iter().flatten();
    if let Some(other) = types.into_iter().find(|kind| *kind != "full_attention") {
        return Some(format!("layer_types with {other}"));
    }
    // What transformers takes where the config is silent, if it differs from Llama's.
    let silent: &[(&str, usize)] = match family {
        LlamaFamily::Llama => &[],
        LlamaFamily::Mistral => {
            &[("max_position_embeddings", 131_072), ("num_key_value_heads", 8), ("sliding_window", 4096)]
        }
        LlamaFamily::Qwen2 => &[("max_position_embeddings", 32_768)],
        LlamaFamily::Qwen3 => &[("max_position_embeddings", 32_768), ("head_dim", 128)],
    };
    for &(key, value) in silent {
        keys.entry(key).or_insert_with(|| value.into());
    }
    if family != LlamaFamily::Mistral {
        // The window of others is one that they may have, and do not use.
        keys.remove("sliding_window");
    }
    None
}

/// Moves what slows rotary positions down to `rope_scaling`, their base to `rope_theta`; tells of any other kind of rotary positions.
fn slowed_rotary(keys: &mut Map<String, Value>, key: &str) -> Option<String> {
    let mut found = keys.get(key)?.as_object()?.clone();
    let earlier = found.remove("type");
    let kind = found.get("rope_type").cloned().or(earlier).unwrap_or_else(|| "default".into());
    if !kind.as_str().is_some_and(|kind| RotaryScaling::KINDS.contains(&kind)) {
        let fault = rotary(keys, &[key], "rope_theta");
        if key == "rope_scaling" {
            keys.remove(key);
        }
        return fault;
    }
    if found.get("partial_rotary_factor").is_some_and(|factor| factor.as_f64() == Some(1.0)) {
        found.remove("partial_rotary_factor");
    }
    if let Some(base) = found.remove("rope_theta") {
        keys.insert("rope_theta".to_owned(), base);
    }
    found.insert("rope_type".to_owned(), kind.clone());
    let scaling = Value::Object(found);
    if let Err(fault) = serde_json::from_value::<RotaryScaling>(scaling.clone()) {
        return Some(format!("{key} of rope_type {kind} ({fault})"));
    }
    keys.insert("rope_scaling".to_owned(), scaling);
    None
}

/// Moves the base of plain rotary positions to `target`; tells of any other kind of rotary positions.
fn rotary(keys: &mut Map<String, Value>, path: &[&str], target: &str) -> Option<String> {
    let (first, rest) = path.split_first()?;
    let found = rest.iter().try_fold(keys.get(*first)?, |value, key| value.get(key))?.as_object()?.clone();
    for (key, value) in &found {
        let is_plain = match key.as_str() {
            "rope_theta" => true,
            "rope_type" | "type" => value == "default",
            "partial_rotary_factor" => value.as_f64() == Some(1.0),
            _ => false,
        };
        if !is_plain {
            return Some(format!("{}.{key} = {value}", path.join(".")));
        }
    }
    if let Some(base) = found.get("rope_theta") {
        keys.insert(target.to_owned(), base.clone());
    }
    None
}

/// The first key that is present with another value than the only one that is computed.
fn other_than(keys: &Map<String, Value>, fixed: &[(&str, Value)]) -> Option<String> {
    let (key, value) =
        fixed.iter().find_map(|(key, only)| keys.get_key_value(*key).filter(|(_, value)| *value != only))?;
    Some(format!("{key} = {value}"))
}

/// Puts the layers that see only a window of the text under one key, as [`Windows`](crate::architectures::encoder::Windows); tells of a setting that
/// cannot be.
fn windows(keys: &mut Map<String, Value>) -> Option<String> {
    let is_modern_bert = keys.get("model_type").is_some_and(|family| family == "modernbert");
    let layers = keys.get("num_hidden_layers").and_then(Value::as_u64).unwrap_or(0);
    let windowed: Vec<u64> = if let Some(types) = keys.get("layer_types").and_then(Value::as_array) {
        let is_known = |kind: &&Value| *kind == "full_attention" || *kind == "sliding_attention";
        if let Some(other) = types.iter().find(|kind| !is_known(kind)) {
            return Some(format!("layer_types with {other}"));
        }
        if types.len() as u64 != layers {
            return Some(format!("layer_types of {} layers, beside num_hidden_layers = {layers}", types.len()));
        }
        (0..layers).zip(types).filter(|(_, kind)| *kind == "sliding_attention").map(|(layer, _)| layer).collect()
    } else {
        // Where ModernBERT's config is silent, every third layer has full attention.
        let silent = if is_modern_bert { 3 } else { 1 };
        let every = keys.get("global_attn_every_n_layers").cloned().unwrap_or_else(|| silent.into());
        match every.as_u64().filter(|&every| every > 0 && layers <= MOST_LAYERS) {
            Some(every) => (0..layers).filter(|layer| !layer.is_multiple_of(every)).collect(),
            None => return Some(format!("global_attn_every_n_layers = {every} of {layers} layers")),
        }
    };
    if windowed.is_empty() {
        return None;
    }
    let both_sides = keys.get("local_attention").cloned().unwrap_or_else(|| 128.into());
    let Some(tokens) = both_sides.as_u64().and_then(|tokens| usize::try_from(tokens).ok()) else {
        return Some(format!("local_attention = {both_sides}"));
    };
    // A config may say that these layers turn their positions as the others do, but not nothing and mean that.
    let base = match keys.get("local_rope_theta") {
        Some(Value::Null) => keys.get("global_rope_theta").cloned().unwrap_or_else(|| default_base().into()),
        Some(base) => base.clone(),
        None => 10_000.0.into(),
    };
    keys.insert("windows".to_owned(), json!({"layers": windowed, "tokens": tokens / 2 + 1, "rotary_base": base}));
    None
}
