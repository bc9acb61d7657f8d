//! What `transformers` writes into a `config.json`: in which keys its versions differ, and which settings are not
//! computed here. A setting that changes what a model computes is either followed or refused, never passed over.

use bantam_tokens::Tokenizer;
use serde_json::{Map, Value};

/// The settings of transformers 5 under the keys of earlier versions, which the architectures read. The second value
/// names the first setting that Bantam does not compute.
pub(crate) fn earlier_keys(config: &Value) -> (Value, Option<String>) {
    let mut earlier = config.clone();
    let Some(keys) = earlier.as_object_mut() else { return (earlier, None) };
    let fault = match config.get("model_type").and_then(Value::as_str) {
        Some("llama") => {
            let fixed = [("hidden_act", "silu".into()), ("attention_bias", false.into()), ("mlp_bias", false.into())];
            rotary(keys, &["rope_parameters"], "rope_theta")
                .or_else(|| rotary(keys, &["rope_scaling"], "rope_theta"))
                .or_else(|| other_than(keys, &fixed))
        }
        Some("bert" | "roberta" | "distilbert") => {
            let fixed = [("position_embedding_type", "absolute".into()), ("is_decoder", false.into())];
            other_than(keys, &fixed)
        }
        Some("modernbert" | "bantam_encoder") => {
            let mut fixed = vec![("hidden_activation", "gelu".into()), ("classifier_activation", "gelu".into())];
            let biases = ["attention_bias", "mlp_bias", "norm_bias", "classifier_bias"];
            fixed.extend(biases.map(|key| (key, false.into())));
            rotary(keys, &["rope_parameters", "full_attention"], "global_rope_theta")
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
        Some("llama") => 3,
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

/// The setting by which a layer sees only a window of the text.
fn windows(keys: &Map<String, Value>) -> Option<String> {
    if let Some(types) = keys.get("layer_types").and_then(Value::as_array) {
        let windowed = types.iter().find(|&kind| kind != "full_attention")?;
        return Some(format!("layer_types with {windowed}"));
    }
    let layers = keys.get("num_hidden_layers").and_then(Value::as_u64).unwrap_or(0);
    // Where ModernBERT's config is silent, every third layer has full attention.
    let silent = if keys.get("model_type").is_some_and(|family| family == "modernbert") { 3 } else { 1 };
    let every = keys.get("global_attn_every_n_layers").cloned().unwrap_or_else(|| silent.into());
    (every != 1 && layers > 1).then(|| format!("global_attn_every_n_layers = {every}"))
}
