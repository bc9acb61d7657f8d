//! Classifiers in the layout of Hugging Face, Bantam's own included, as bundles that say nothing but labels.

use std::path::Path;

use bantam_kernels::gemm::{PackedFormat, Precision};
use bantam_model::TextEncoder;
use bantam_model::folder::{FolderError, labelled_config, read_classifier};

use crate::consistency::check_fit;
use crate::{BundleParts, TextClassifier};

/// Reads a folder and lays its matrices out in `format`. No reply belongs to a label, and nothing is known of when the model is sure, so that
/// every answer counts.
pub(crate) fn read_folder(path: &Path, format: PackedFormat) -> Result<(BundleParts, TextClassifier), FolderError> {
    let folder = read_classifier(path, Precision::F32)?;
    let parts = BundleParts {
        name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        labels: folder.labels.clone(),
        config: labelled_config(folder.architecture.as_ref(), &folder.labels),
        hasher: folder.hasher.clone(),
        max_tokens: folder.architecture.max_tokens(),
        temperature: 1.0,
        threshold: Some(0.0),
        licence: String::new(),
        made_by: String::new(),
        languages: Vec::new(),
        arrays: Default::default(),
        tokenizer: folder.tokenizer.clone(),
        replies: Default::default(),
        hand_over: String::new(),
        card: String::new(),
    };
    check_fit(&parts, folder.architecture.as_ref())
        .map_err(|what| FolderError::Size { path: path.to_owned(), what })?;
    let classifier = TextClassifier {
        labels: folder.labels,
        encoder: TextEncoder::new(folder.tokenizer, folder.hasher, parts.max_tokens),
        weights: folder.weights.packed(format),
        architecture: folder.architecture,
    };
    Ok((parts, classifier))
}
