//! Whether the parts of a bundle can be used together: checked once, so that answering never has to.

use bantam_model::architectures::Classifier;
use bantam_model::arrays::Arrays;
use bantam_model::folder::labels_of;
use serde_json::Value;

use crate::BundleParts;

/// No size of a model that fits in memory comes near, and products of two stay far from overflowing.
const LARGEST_SIZE: u64 = 1 << 28;
/// Temperatures that fitting could ever give.
const TEMPERATURES: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

/// Checks what stands in the header by itself.
pub(crate) fn check_metadata(parts: &BundleParts) -> Result<(), String> {
    if parts.labels.is_empty() {
        return Err("it has no labels".to_owned());
    }
    if !TEMPERATURES.contains(&parts.temperature) {
        return Err(format!("its temperature is {}, which is not between 1e-6 and 1e6", parts.temperature));
    }
    if parts.threshold.is_some_and(|threshold| !threshold.is_finite()) {
        return Err("its threshold is not a number".to_owned());
    }
    if parts.max_tokens == 0 {
        return Err("its max_tokens is 0, and a text has one token at least".to_owned());
    }
    if parts.hasher.as_ref().is_some_and(|hasher| hasher.buckets == 0) {
        return Err("its hasher has no buckets".to_owned());
    }
    Ok(())
}

/// Checks the sizes in a config before a model is declared from them: hashes tell that a bundle is as it was written, not that
/// what was written makes sense.
pub(crate) fn check_config(config: &Value, arrays: &Arrays) -> Result<(), String> {
    let Some(config) = config.as_object() else { return Err("its config is not a JSON object".to_owned()) };
    for (key, value) in config {
        if value.as_u64().is_some_and(|size| size > LARGEST_SIZE) {
            return Err(format!("its config has {key} = {value}"));
        }
    }
    let size = |key: &str| config.get(key).and_then(Value::as_u64);
    for key in ["vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings", "head_dim"] {
        if size(key) == Some(0) {
            return Err(format!("its config has {key} = 0"));
        }
    }
    let features = config.get("features");
    for (key, value) in features.and_then(Value::as_object).into_iter().flatten() {
        if !value.as_u64().is_some_and(|size| (1..=LARGEST_SIZE).contains(&size)) {
            return Err(format!("its config has features.{key} = {value}"));
        }
    }
    // Every layer has arrays of its own.
    if size("num_hidden_layers").is_some_and(|layers| layers > arrays.len() as u64) {
        return Err(format!("its config has more layers than the {} arrays of its weights", arrays.len()));
    }
    let is_rotary = config.get("model_type").and_then(Value::as_str) != Some("bert");
    let head = size("head_dim").or_else(|| size("hidden_size")?.checked_div(size("num_attention_heads")?));
    if is_rotary && head.is_some_and(|size| size % 2 == 1) {
        return Err("its config has heads of an odd size, which cannot be rotated".to_owned());
    }
    Ok(())
}

/// Checks that labels, features and ids fit the model.
pub(crate) fn check_fit(parts: &BundleParts, architecture: &dyn Classifier) -> Result<(), String> {
    let columns = architecture.labels();
    if columns < parts.labels.len() {
        return Err(format!("{} labels for {columns} columns of scores", parts.labels.len()));
    }
    if parts.config.get("id2label").is_some() {
        let named = labels_of(&parts.config, parts.labels.len());
        if let Some((label, column)) = parts.labels.iter().zip(&named).find(|(label, column)| label != column) {
            return Err(format!("label `{label}` stands where its config has `{column}`"));
        }
    }
    let buckets = parts.hasher.as_ref().map(|hasher| hasher.buckets as usize);
    let rows = architecture.features().map(|shape| shape.buckets);
    match (buckets, rows) {
        (None, Some(rows)) => return Err(format!("its table has {rows} rows for features, and nothing hashes any")),
        (Some(_), None) => return Err("features are hashed, and its model has no table for them".to_owned()),
        (Some(buckets), Some(rows)) if buckets != rows => {
            return Err(format!("features are hashed into {buckets} buckets, and their table has {rows} rows"));
        }
        _ => {}
    }
    let (ids, rows) = (parts.tokenizer.vocabulary_size(), architecture.vocabulary());
    if ids > rows {
        return Err(format!("its tokenizer has {ids} ids, and the table of tokens {rows} rows"));
    }
    if architecture.max_tokens() == 0 {
        return Err("its model reads no token at all".to_owned());
    }
    Ok(())
}
