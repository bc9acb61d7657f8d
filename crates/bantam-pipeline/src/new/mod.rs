//! A recipe from somebody's own files: which column is what, what each file is used as, and sizes that fit the data.
//!
//! A [`Draft`] is made without writing anything, and has read the texts as a run will.

mod columns;
mod files;
mod profile;
mod settings;
mod told;
mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bantam_artifact::{create_folder, write_atomic};
use bantam_corpus::readers::{EmptyLabels, OUT_OF_SCOPE, ReadOptions};
use bantam_corpus::{Document, Lengths, check_labels, statistics};
use serde::Serialize;

pub use columns::Column;
pub use files::DataFile;
use settings::Settings;

use crate::stages::corpus::FEW;
use crate::stages::replies::Replies;
use crate::{DataSection, DataSource, Error, FILE, Recipe, Texts};

/// The file of replies, beside the recipe.
const REPLIES_FILE: &str = "replies.toml";

/// What a person says about the files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DraftOptions {
    /// The column that holds the text; `None`: it is looked for.
    pub text: Option<String>,
    /// The column that holds the label; `None`: it is looked for.
    pub label: Option<String>,
    /// The recipe's name; `None`: the folder's.
    pub name: Option<String>,
}

/// A recipe that is not written yet, and why it is as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Draft {
    /// The recipe's name.
    pub name: String,
    /// The recipe's folder.
    pub folder: PathBuf,
    /// The files, those to learn from first.
    pub files: Vec<DataFile>,
    /// The columns that were chosen.
    pub columns: Vec<Column>,
    /// Labels with their training texts, the most frequent first.
    pub labels: Vec<LabelCount>,
    /// Lengths of the training texts in words.
    pub words: Lengths,
    /// What differs from the defaults, and why.
    pub settings: Vec<String>,
    /// What will work, but not well.
    pub warnings: Vec<String>,
    #[serde(skip)]
    recipe: String,
    #[serde(skip)]
    replies: String,
}

/// A label and how many texts have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelCount {
    /// The label.
    pub label: String,
    /// Its training texts.
    pub texts: usize,
}

impl Draft {
    /// Drafts a recipe in `folder` for `paths`. Nothing is written.
    ///
    /// # Errors
    /// When there is a recipe already, a file cannot be read, its columns cannot be told, or no classifier can be made
    /// from the texts: with the place and the remedy.
    pub fn of(folder: &Path, paths: &[PathBuf], options: &DraftOptions) -> Result<Self, Error> {
        check_vacant(folder)?;
        let place = files::settled(folder);
        let mut found = files::find(paths, options)?;
        let name = options.name.clone().unwrap_or_else(|| name_of(&place));
        let mut data = data_section(&place, &found.files, found.read)?;
        // Sizes follow from the texts; to read them, any do.
        let any = written::recipe(&name, &[], &data, &Settings::default())?;
        let mut texts = DataSource::Recipe.read(&Recipe::parse(&any, &place.join(FILE))?)?;
        count_texts(&mut found.files, &texts);
        let all = texts.train.len();
        // Exports hold what somebody has labelled beside what nobody has.
        texts.unlabelled.extend(texts.train.extract_if(.., |document| document.label.is_none()));
        let unlabelled = all - texts.train.len();
        if unlabelled > 0 {
            data.read.empty_labels = EmptyLabels::Unlabelled;
        }

        let (outside, inside): (Vec<Document>, Vec<Document>) = texts.train.into_iter().partition(is_outside);
        let mut warnings: Vec<String> = check_labels(&inside, FEW)?.iter().map(ToString::to_string).collect();
        let counted = statistics(&inside);
        for (part, documents) in [("validation", &texts.validation), ("test", &texts.test)] {
            let known = |label: &String| label == OUT_OF_SCOPE || counted.labels.contains_key(label);
            let unknown = documents.iter().filter(|document| !document.label.as_ref().is_some_and(known)).count();
            if unknown > 0 && unknown == documents.len() {
                let what =
                    format!("no {part} text has a label that a training text has; check that both have the same");
                return Err(Error::Data { what });
            }
            if unknown > 0 {
                warnings.push(format!(
                    "{unknown} {part} texts have no label that a training text has; a run leaves them out"
                ));
            }
        }
        let settings = Settings::of(inside.len(), outside.len(), &counted.words);
        let labels = labels_of(&counted.labels);
        let recipe = written::recipe(&name, &labels, &data, &settings)?;
        let replies = written::replies(&labels, &inside);
        let parsed = Recipe::parse(&recipe, &folder.join(FILE))?;
        if place.join(REPLIES_FILE).exists() {
            Replies::read(&parsed)?;
            warnings.push(format!("{REPLIES_FILE} is there already, and is kept as it is"));
        }
        let mut reasons = settings.reasons();
        if unlabelled > 0 {
            let what = format!(
                "{unlabelled} of {all} texts to learn from have no label: they serve as unlabelled texts (empty_labels)"
            );
            reasons.insert(0, what);
        }
        Ok(Self {
            name,
            folder: folder.to_owned(),
            files: found.files,
            columns: found.columns,
            labels,
            words: counted.words,
            settings: reasons,
            warnings,
            recipe,
            replies,
        })
    }

    /// Writes the recipe and the file of replies, or neither.
    ///
    /// # Errors
    /// When there is a recipe already, or the folder cannot be written.
    pub fn write(&self) -> Result<(), Error> {
        check_vacant(&self.folder)?;
        let (is_new, replies) = (!self.folder.exists(), self.folder.join(REPLIES_FILE));
        create_folder(&self.folder)?;
        let has_replies = replies.exists();
        let mut written = if has_replies { Ok(()) } else { write_atomic(&replies, self.replies.as_bytes()) };
        // The recipe comes last: where it is, everything is.
        written = written.and_then(|()| write_atomic(&self.folder.join(FILE), self.recipe.as_bytes()));
        if written.is_err() {
            // The first fault is the one to tell.
            if !has_replies {
                let _ = std::fs::remove_file(&replies);
            }
            if is_new {
                let _ = std::fs::remove_dir(&self.folder);
            }
        }
        Ok(written?)
    }
}

fn check_vacant(folder: &Path) -> Result<(), Error> {
    if folder.is_file() {
        let what = "is a file; name the folder of the recipe first, and the data after it".to_owned();
        return Err(Error::Recipe { path: folder.to_owned(), what });
    }
    let path = folder.join(FILE);
    if path.exists() {
        let what = "is there already; choose another folder, or move this recipe away".to_owned();
        return Err(Error::Recipe { path, what });
    }
    Ok(())
}

/// The folder's name in the letters that a recipe's name may have.
fn name_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    let name = plain.trim_matches('-');
    if name.is_empty() { "classifier" } else { name }.to_owned()
}

fn data_section(folder: &Path, files: &[DataFile], read: ReadOptions) -> Result<DataSection, Error> {
    let mut data = DataSection { held_out: crate::recipe::HELD_OUT, read, ..DataSection::default() };
    for file in files {
        let path = files::settled(&file.path);
        let path = path.strip_prefix(folder).unwrap_or(&path).to_owned();
        if path.to_str().is_none() {
            let what = format!("{}: a recipe is UTF-8, but this path is not; rename the file", path.display());
            return Err(Error::Data { what });
        }
        match file.part {
            "train" => data.train.push(path),
            "validation" => data.validation.push(path),
            "test" => data.test.push(path),
            "out_of_scope_train" => data.out_of_scope_train.push(path),
            "out_of_scope_validation" => data.out_of_scope_validation.push(path),
            "out_of_scope_test" => data.out_of_scope_test.push(path),
            "background" => data.background.push(path),
            _ => data.unlabelled.push(path),
        }
    }
    data.replies = Some(REPLIES_FILE.into());
    Ok(data)
}

fn count_texts(files: &mut [DataFile], texts: &Texts) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for document in
        [&texts.train, &texts.validation, &texts.test, &texts.unlabelled, &texts.background].into_iter().flatten()
    {
        *counts.entry(&document.source.file).or_default() += 1;
    }
    for file in files {
        let path = files::settled(&file.path);
        file.texts = counts.get(path.to_string_lossy().as_ref()).copied().unwrap_or(0);
    }
}

fn is_outside(document: &Document) -> bool {
    document.label.as_deref() == Some(OUT_OF_SCOPE)
}

fn labels_of(counts: &BTreeMap<String, usize>) -> Vec<LabelCount> {
    let mut labels: Vec<LabelCount> =
        counts.iter().map(|(label, &texts)| LabelCount { label: label.clone(), texts }).collect();
    labels.sort_by(|a, b| b.texts.cmp(&a.texts).then_with(|| a.label.cmp(&b.label)));
    labels
}
