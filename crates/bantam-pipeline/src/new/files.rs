//! What each file is used as, and the columns that a run reads from all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bantam_corpus::readers::{Field, ReadOptions, find_field, sample, usual_labels, usual_texts};
use serde::Serialize;

use super::DraftOptions;
use super::columns::{self, Column, listed};
use super::profile::Profile;
use crate::Error;
use crate::data::part_of;

/// Records of each file that are looked at to tell its columns.
const SAMPLED: usize = 20_000;

/// A file, and what it is used as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataFile {
    /// Where it is, as the person named it.
    pub path: PathBuf,
    /// The key of the recipe's `[data]`.
    pub part: &'static str,
    /// How many texts it holds.
    pub texts: usize,
    /// The column of its texts; `None` for plain text.
    pub text: Option<String>,
    /// The column of its labels.
    pub label: Option<String>,
}

/// The files with their columns.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) files: Vec<DataFile>,
    pub(super) columns: Vec<Column>,
    pub(super) read: ReadOptions,
}

/// Looks into the files and tells what each is.
pub(super) fn find(paths: &[PathBuf], options: &DraftOptions) -> Result<Found, Error> {
    let mut finder = Finder {
        options,
        columns: Vec::new(),
        names: BTreeSet::new(),
        without_words: None,
        all_texts_usual: true,
        all_labels_usual: true,
    };
    let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
    let mut ordered: Vec<&PathBuf> = paths.iter().collect();
    // What the training texts show, the others follow.
    ordered.sort_by_key(|path| !matches!(part_of(path), None | Some("train")));
    for path in ordered {
        let refused = |what: String| Error::Data { what: format!("{}: {what}", path.display()) };
        if path.is_dir() {
            return Err(refused("is a folder; name the files in it".to_owned()));
        }
        if !seen.insert(settled(path)) {
            return Err(refused("is named twice; name it once".to_owned()));
        }
        let fields = sample(path, ReadOptions::default().max_bytes, SAMPLED)?;
        files.push(finder.file(path, &fields).map_err(refused)?);
    }
    if !files.iter().any(|file| file.part == "train") {
        return Err(Error::Data { what: nothing_to_learn(&files, &finder) });
    }
    let texts = files.iter().filter_map(|file| file.text.as_deref());
    let labels = files.iter().filter_map(|file| file.label.as_deref());
    let read = ReadOptions {
        text: shared("text", texts, finder.all_texts_usual)?,
        label: shared("label", labels, finder.all_labels_usual)?,
        ..ReadOptions::default()
    };
    Ok(Found { files, columns: finder.columns, read })
}

/// Why no file holds training texts.
fn nothing_to_learn(files: &[DataFile], finder: &Finder) -> String {
    if let Some(file) = files.iter().find(|file| file.label.is_some()) {
        let (path, part) = (file.path.display(), file.part);
        return format!(
            "{path}: its name says {part}, and no other file is there to learn from; add one, or rename it"
        );
    }
    let names: Vec<&str> = finder.names.iter().map(String::as_str).collect();
    if names.is_empty() {
        return "plain text has no labels to learn from; give a .csv, .tsv or .jsonl file that has a column of them"
            .to_owned();
    }
    if let Some(name) = &finder.without_words {
        return format!(
            "`{name}` holds no label to learn from: each text has one there, a word or a number, and no list of several"
        );
    }
    let wanted = finder.options.label.as_ref().map(|label| format!(" named `{label}`")).unwrap_or_default();
    format!("no column of labels{wanted} to learn from; name it with --label COLUMN; there are {}", listed(&names))
}

/// Goes from file to file and remembers the columns that were chosen.
struct Finder<'a> {
    options: &'a DraftOptions,
    columns: Vec<Column>,
    /// All columns there are.
    names: BTreeSet<String>,
    /// A column that should hold labels by its name, and holds no word.
    without_words: Option<String>,
    all_texts_usual: bool,
    all_labels_usual: bool,
}

impl Finder<'_> {
    fn file(&mut self, path: &Path, fields: &[Field]) -> Result<DataFile, String> {
        let named = part_of(path);
        let (mut text, mut label) = (None, None);
        if !fields.is_empty() {
            check_header(fields)?;
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            self.names.extend(fields.iter().map(|field| field.name.clone()));
            let profiles: Vec<Profile> = fields.iter().map(Profile::of).collect();
            let chosen = self.text(&names, &profiles)?;
            self.all_texts_usual &= usual_texts(&names).first() == Some(&chosen.as_str());
            if matches!(named, None | Some("train" | "validation" | "test")) {
                label = self.label(&names, &profiles, &chosen)?;
            }
            if label.is_none() {
                let is_hollow =
                    |name: &&str| profiles.iter().any(|profile| profile.name == *name && profile.filled == 0);
                let hollow = usual_labels(&names).into_iter().find(is_hollow);
                self.without_words = hollow.map(str::to_owned).or(self.without_words.take());
            }
            if let Some(label) = &label {
                self.all_labels_usual &= usual_labels(&names).first() == Some(&label.as_str());
            }
            text = Some(chosen);
        }
        let part = match named {
            None if label.is_some() => "train",
            None => "unlabelled",
            Some(part @ ("train" | "validation" | "test")) if label.is_none() => {
                return Err(format!(
                    "its name says {part}, but it has no column of labels; name the column with --label COLUMN, or begin the file's name with `unlabelled`"
                ));
            }
            Some(part) => part,
        };
        Ok(DataFile { path: path.to_owned(), part, texts: 0, text, label })
    }

    fn text(&mut self, names: &[&str], profiles: &[Profile]) -> Result<String, String> {
        if let Some(wanted) = &self.options.text {
            let Some(name) = find_field(names, wanted) else {
                return Err(format!("no column `{wanted}` (--text); there are {}", listed(names)));
            };
            self.remember(Column::text(name, "named by --text".to_owned()));
            return Ok(name.to_owned());
        }
        if let Some(name) = self.known("text", names) {
            return Ok(name);
        }
        let column = columns::text(profiles)?;
        let name = column.name.clone();
        self.remember(column);
        Ok(name)
    }

    fn label(&mut self, names: &[&str], profiles: &[Profile], text: &str) -> Result<Option<String>, String> {
        if let Some(wanted) = &self.options.label {
            let name = find_field(names, wanted).filter(|name| *name != text);
            name.into_iter().for_each(|name| self.remember(Column::label(name, "named by --label".to_owned())));
            return Ok(name.map(str::to_owned));
        }
        if let Some(name) = self.known("label", names).filter(|name| name != text) {
            return Ok(Some(name));
        }
        let is_first = !self.columns.iter().any(|column| column.holds == "label");
        let Some(column) = columns::label(profiles, text, is_first)? else { return Ok(None) };
        let name = column.name.clone();
        self.remember(column);
        Ok(Some(name))
    }

    /// A column that an earlier file has, too.
    fn known(&self, holds: &str, names: &[&str]) -> Option<String> {
        let columns = self.columns.iter().filter(|column| column.holds == holds);
        columns.filter_map(|column| find_field(names, &column.name)).map(str::to_owned).next()
    }

    fn remember(&mut self, column: Column) {
        if !self.columns.contains(&column) {
            self.columns.push(column);
        }
    }
}

/// Refuses a table whose first line is a record, or whose columns are parted by something else.
fn check_header(fields: &[Field]) -> Result<(), String> {
    if let [field] = fields
        && let Some(parting) = field.name.chars().find(|c| [';', '\t', '|', ','].contains(c))
    {
        return Err(format!(
            "its columns seem to be parted by {parting:?}; save it as .csv with commas or as .tsv with tabs"
        ));
    }
    if fields.iter().all(|field| field.values.is_empty()) {
        return Err("holds no documents, only a line of names; check how it was exported".to_owned());
    }
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    let is_usual = !usual_texts(&names).is_empty() || !usual_labels(&names).is_empty();
    let recurs = |field: &Field| field.values.iter().flatten().any(|value| value.trim() == field.name.trim());
    if !is_usual && let Some(field) = fields.iter().find(|field| recurs(field)) {
        return Err(format!(
            "its first line should name the columns, but {:?} there comes again below, as data do; put a line with names such as text and label above it",
            field.name
        ));
    }
    Ok(())
}

/// The name that all files have for a column; `None` where the reader finds each file's own, because it is usual.
fn shared<'a>(holds: &str, names: impl Iterator<Item = &'a str>, all_usual: bool) -> Result<Option<String>, Error> {
    let names: Vec<&str> = names.collect();
    let Some(first) = names.first() else { return Ok(None) };
    match names.iter().find(|name| find_field(&[name], first).is_none()) {
        None => Ok(Some((*first).to_owned())),
        Some(_) if all_usual => Ok(None),
        Some(other) => {
            let what = format!(
                "the {holds} is in `{first}` in one file and in `{other}` in another; give both columns one name, or choose with --{holds} COLUMN"
            );
            Err(Error::Data { what })
        }
    }
}

/// A path from the root, without links as far as it exists.
pub(super) fn settled(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(path), ..) => path,
        (_, Some(parent), Some(name)) => settled(parent).join(name),
        _ => path,
    }
}
