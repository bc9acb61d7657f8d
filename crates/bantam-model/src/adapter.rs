//! Low-rank adapters (Hu et al. 2021) as `peft` saves them, added to the weights of the model that they were trained for.

use std::path::{Path, PathBuf};

use bantam_kernels::gemm::{Epilogue, Operand, Precision, multiply};
use serde_json::Value;

use crate::arrays::{Array, Arrays};
use crate::folder::{FolderError, arrays_of, read_json};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// Stands before the names of the model's own weights.
const PREFIX: &str = "base_model.model.";
const SUPPORTED: &str = "peft_type LORA with one lora_alpha for all modules, and modules_to_save";

/// The folder of a model and that of an adapter, where a path names both as `MODEL+ADAPTER`; else the path as it is.
pub fn model_and_adapter(path: &Path) -> (PathBuf, Option<PathBuf>) {
    let whole = || (path.to_owned(), None);
    let Some(text) = path.to_str().filter(|_| !path.exists()) else { return whole() };
    let splits = text.match_indices('+').map(|(place, _)| (Path::new(&text[..place]), Path::new(&text[place + 1..])));
    let found = splits.into_iter().find(|(model, adapter)| model.is_dir() && adapter.join(CONFIG).is_file());
    found.map_or_else(whole, |(model, adapter)| (model.to_owned(), Some(adapter.to_owned())))
}

/// Adds the adapter in a folder to the weights of its model: to each matrix `B·A`, times alpha over the rank (or its root).
pub(crate) fn apply(arrays: &mut Arrays, folder: &Path) -> Result<(), FolderError> {
    let path = folder.join(CONFIG);
    let config = read_json(&path)?;
    if let Some(what) = fault(&config) {
        return Err(FolderError::Unsupported { path, what, supported: SUPPORTED });
    }
    let Some(alpha) = config["lora_alpha"].as_f64() else {
        return Err(FolderError::Size { path, what: "lora_alpha is missing".to_owned() });
    };
    let path = folder.join(WEIGHTS);
    let adapter = arrays_of(&path)?;
    let refused = |what: String| FolderError::Size { path: path.clone(), what };
    for (name, array) in &adapter {
        let own = name.strip_prefix(PREFIX).unwrap_or(name);
        if own.ends_with(".lora_B.weight") {
            continue;
        }
        let Some(module) = own.strip_suffix(".lora_A.weight") else {
            // What was trained as a whole stands in place of the model's own.
            let target = arrays.get_mut(own).filter(|target| target.shape == array.shape);
            *target.ok_or_else(|| refused(format!("{name} is nothing that the model has in this shape")))? =
                array.clone();
            continue;
        };
        let second = name.replace(".lora_A.", ".lora_B.");
        let other = adapter.get(&second).ok_or_else(|| refused(format!("{name} has no {second} beside it")))?;
        let target = format!("{module}.weight");
        let matrix = arrays.get_mut(&target).ok_or_else(|| refused(format!("the model has no {target}")))?;
        let (&[rank, columns], &[rows, inner]) = (array.shape.as_slice(), other.shape.as_slice()) else {
            return Err(refused(format!("{name} and {second} are no matrices")));
        };
        if rank == 0 || inner != rank || matrix.shape != [rows, columns] {
            let shapes = format!("{:?}, {:?} and {:?}", matrix.shape, array.shape, other.shape);
            return Err(refused(format!("{target} and its adapter have shapes that do not fit: {shapes}")));
        }
        let divisor = if config["use_rslora"] == true { (rank as f64).sqrt() } else { rank as f64 };
        *matrix = sum(matrix, array, other, (alpha / divisor) as f32);
    }
    Ok(())
}

/// `matrix + scale · second · first`.
fn sum(matrix: &Array, first: &Array, second: &Array, scale: f32) -> Array {
    let (mut numbers, first_rows) = (matrix.to_f32(), first.to_f32());
    let second_rows: Vec<f32> = second.to_f32().iter().map(|number| number * scale).collect();
    let (rows, rank, columns) = (second.shape[0], first.shape[0], first.shape[1]);
    let (left, right) = (Operand::new(&second_rows, rows, rank), Operand::new(&first_rows, rank, columns));
    multiply(Precision::F32, left, right, &mut numbers, &Epilogue { accumulate: true, ..Epilogue::default() });
    Array::plain(matrix.shape.clone(), numbers)
}

/// The first setting of an adapter that is not computed here.
fn fault(config: &Value) -> Option<String> {
    if config["peft_type"] != "LORA" {
        return Some(format!("peft_type = {}", config["peft_type"]));
    }
    let other_ways = ["use_dora", "use_qalora", "use_bdlora", "fan_in_fan_out", "lora_bias"];
    let is_on = |key: &&str| !matches!(config.get(key), None | Some(Value::Null | Value::Bool(false)));
    if let Some(key) = other_ways.into_iter().find(is_on) {
        return Some(format!("{key} = {}", config[key]));
    }
    let lists = ["alpha_pattern", "layer_replication", "target_parameters", "trainable_token_indices"];
    let is_filled = |key: &&str| match config.get(key) {
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        _ => false,
    };
    lists.into_iter().find(is_filled).map(|key| format!("{key} = {}", config[key]))
}
