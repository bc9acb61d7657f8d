//! Published intent benchmarks, with the splits that their authors chose.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Place, ReadOptions, read};
use crate::{Document, Error, Split};

/// The label of requests that belong to no intent, as in CLINC150.
pub const OUT_OF_SCOPE: &str = "oos";

/// A benchmark whose files can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Benchmark {
    /// CLINC150 (Larson et al., 2019): `data_full.json` or one of its sisters, `{"train": [[text, intent], ...],
    /// "val", "test", "oos_train", "oos_val", "oos_test"}`.
    Clinc150,
    /// BANKING77 (Casanueva et al., 2020): a folder with `train.csv` and `test.csv`, columns `text,category`. It has no
    /// validation part.
    Banking77,
}

/// A document with the part of the benchmark that it belongs to.
pub type Imported = (Split, Document);

/// Reads a benchmark with its splits, in the order train, validation, test. Out-of-scope requests have the label
/// [`OUT_OF_SCOPE`].
///
/// # Errors
/// [`Error::BadBenchmark`] if the file has another shape, and those of [`read`].
pub fn import(benchmark: Benchmark, path: impl AsRef<Path>) -> Result<Vec<Imported>, Error> {
    match benchmark {
        Benchmark::Clinc150 => clinc150(path.as_ref()),
        Benchmark::Banking77 => banking77(path.as_ref()),
    }
}

fn clinc150(path: &Path) -> Result<Vec<Imported>, Error> {
    const PARTS: [(&str, Split); 6] = [
        ("train", Split::Train),
        ("oos_train", Split::Train),
        ("val", Split::Validation),
        ("oos_val", Split::Validation),
        ("test", Split::Test),
        ("oos_test", Split::Test),
    ];
    let refuse = |reason: String| Error::BadBenchmark { path: path.into(), format: "CLINC150", reason };
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let mut parts: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_slice(&bytes).map_err(|fault| refuse(fault.to_string()))?;
    let place = Place::new(path);
    let mut imported = Vec::new();
    for (name, split) in PARTS {
        // `data_oos_plus` and older copies lack some out-of-scope parts; the others are the benchmark itself.
        let Some(pairs) = parts.remove(name) else {
            if name.starts_with("oos") {
                continue;
            }
            return Err(refuse(format!("no part {name:?}")));
        };
        for (index, (text, label)) in pairs.into_iter().enumerate() {
            // The file is one line; the place in the part tells more.
            let mut document =
                place.document(index as u64 + 1, Some(format!("{name}:{}", index + 1)), text, Some(label));
            document.source.file = format!("{}#{name}", place.file);
            imported.push((split, document));
        }
    }
    match parts.keys().next() {
        Some(unknown) => Err(refuse(format!("unknown part {unknown:?}"))),
        None => Ok(imported),
    }
}

fn banking77(folder: &Path) -> Result<Vec<Imported>, Error> {
    let options = ReadOptions { text: Some("text".into()), label: Some("category".into()), ..ReadOptions::default() };
    let part = |file: &str, split: Split| -> Result<Vec<Imported>, Error> {
        Ok(read(folder.join(file), &options)?.into_iter().map(|document| (split, document)).collect())
    };
    let mut imported = part("train.csv", Split::Train)?;
    imported.extend(part("test.csv", Split::Test)?);
    Ok(imported)
}
