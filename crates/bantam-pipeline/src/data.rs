//! From a recipe's files, or a folder of public data, to the texts of each part.

use std::path::{Path, PathBuf};

use bantam_artifact::Key;
use bantam_corpus::readers::{Benchmark, EmptyLabels, OUT_OF_SCOPE, ReadOptions, import, read};
use bantam_corpus::{Document, Split};

use crate::{Error, Recipe};

/// All texts of a recipe before curation. Out-of-scope requests are labelled [`OUT_OF_SCOPE`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Texts {
    /// To learn from.
    pub train: Vec<Document>,
    /// To choose with; may be empty.
    pub validation: Vec<Document>,
    /// To be looked at once; may be empty.
    pub test: Vec<Document>,
    /// Of the domain, without labels.
    pub unlabelled: Vec<Document>,
    /// In the same language, about anything.
    pub background: Vec<Document>,
}

/// Where texts come from.
#[derive(Debug, Clone, PartialEq)]
pub enum DataSource {
    /// The files that the recipe names.
    Recipe,
    /// The folder of CLINC150 or BANKING77, where `background.*` may lie, too.
    Benchmark(Benchmark, PathBuf),
    /// A folder whose files are named by what they are: `train.*`, `test.*`, `validation.*`, `unlabelled.*`, `background.*`,
    /// `out_of_scope_train.*`, `out_of_scope_validation.*`, `out_of_scope_test.*`.
    Folder(PathBuf),
}

/// The parts that texts belong to.
const PARTS: [&str; 8] = [
    "out_of_scope_train",
    "out_of_scope_validation",
    "out_of_scope_test",
    "train",
    "validation",
    "test",
    "unlabelled",
    "background",
];

/// How the files of parts are named elsewhere.
const OTHER_NAMES: [(&str, &str); 6] = [
    ("out_of_scope", "out_of_scope_train"),
    ("training", "train"),
    ("valid", "validation"),
    ("val", "validation"),
    ("dev", "validation"),
    ("unlabeled", "unlabelled"),
];

/// The part that a file's name begins with, as a word of its own: `test-2.csv` is a test, `testimonials.csv` none.
pub(crate) fn part_of(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let begins = |word: &str| name.strip_prefix(word).is_some_and(|rest| !rest.starts_with(char::is_alphabetic));
    let other = || OTHER_NAMES.into_iter().find(|(word, _)| begins(word)).map(|(_, part)| part);
    PARTS.into_iter().find(|part| begins(part)).or_else(other)
}

impl DataSource {
    /// What a folder given by `--data` holds.
    ///
    /// # Errors
    /// When it is no folder, or holds nothing that is known.
    pub fn of_folder(folder: &Path) -> Result<Self, Error> {
        if folder.join("data_full.json").is_file() {
            return Ok(Self::Benchmark(Benchmark::Clinc150, folder.join("data_full.json")));
        }
        if folder.join("train.csv").is_file() && folder.join("categories.json").is_file() {
            return Ok(Self::Benchmark(Benchmark::Banking77, folder.to_owned()));
        }
        let source = Self::Folder(folder.to_owned());
        if source.part("train")?.is_empty() {
            let what = format!(
                "{} holds no training texts: put train.tsv, train.csv or train.jsonl there, or the files of CLINC150 (data_full.json) or BANKING77 (train.csv, test.csv, categories.json)",
                folder.display()
            );
            return Err(Error::Data { what });
        }
        Ok(source)
    }

    /// The files of one part of a folder, sorted.
    fn part(&self, part: &str) -> Result<Vec<PathBuf>, Error> {
        let folder = match self {
            Self::Folder(folder) | Self::Benchmark(Benchmark::Banking77, folder) => folder,
            Self::Benchmark(Benchmark::Clinc150, file) => file.parent().unwrap_or(Path::new(".")),
            Self::Recipe => return Ok(Vec::new()),
        };
        let remedy = "give --data a folder that can be read";
        let fail = |source| Error::Read { path: folder.to_owned(), source, remedy };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if path.is_file() && part_of(&path) == Some(part) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    fn files(&self, recipe: &Recipe, part: &str) -> Result<Vec<PathBuf>, Error> {
        let data = &recipe.text.data;
        let named = match part {
            "train" => &data.train,
            "test" => &data.test,
            "validation" => &data.validation,
            "unlabelled" => &data.unlabelled,
            "background" => &data.background,
            "out_of_scope_train" => &data.out_of_scope_train,
            "out_of_scope_validation" => &data.out_of_scope_validation,
            _ => &data.out_of_scope_test,
        };
        match self {
            Self::Recipe => Ok(named.iter().map(|path| recipe.path(path)).collect()),
            _ => self.part(part),
        }
    }

    /// The keys of everything that is read, for the name of what is made from it.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn keys(&self, recipe: &Recipe) -> Result<Vec<Key>, Error> {
        let mut paths: Vec<(&str, PathBuf)> = Vec::new();
        match self {
            Self::Benchmark(Benchmark::Clinc150, file) => paths.push(("clinc150", file.clone())),
            Self::Benchmark(Benchmark::Banking77, folder) => {
                paths.extend(["train.csv", "test.csv"].map(|file| ("banking77", folder.join(file))));
            }
            _ => {}
        }
        let parts = if matches!(self, Self::Benchmark(..)) { &["background"][..] } else { &PARTS };
        for part in parts {
            paths.extend(self.files(recipe, part)?.into_iter().map(|file| (*part, file)));
        }
        let mut keys = Vec::new();
        for (part, path) in paths {
            for file in files_below(&path)? {
                // The same contents in another part, or read in another way, make another corpus; where the folder is does not.
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                keys.extend([Key::of_bytes(format!("{part} {name}").as_bytes()), Key::of_file(&file)?]);
            }
        }
        Ok(keys)
    }

    /// Reads all texts.
    ///
    /// # Errors
    /// The first that is wrong, with its file and line.
    pub fn read(&self, recipe: &Recipe) -> Result<Texts, Error> {
        let mut texts = Texts::default();
        let options = &recipe.text.data.read;
        let unlabelled = ReadOptions { ignores_labels: true, ..options.clone() };
        let all = |part: &str, options: &ReadOptions| -> Result<Vec<Document>, Error> {
            let mut documents = Vec::new();
            for file in self.files(recipe, part)? {
                documents.extend(read(&file, options)?);
            }
            Ok(documents)
        };
        texts.background = all("background", &unlabelled)?;
        if let Self::Benchmark(benchmark, path) = self {
            for (split, document) in import(*benchmark, path)? {
                match split {
                    Split::Train => texts.train.push(document),
                    Split::Validation => texts.validation.push(document),
                    Split::Test => texts.test.push(document),
                }
            }
            return Ok(texts);
        }
        texts.train = all("train", options)?;
        texts.test = all("test", options)?;
        texts.validation = all("validation", options)?;
        texts.unlabelled = all("unlabelled", &unlabelled)?;
        if options.empty_labels == EmptyLabels::Unlabelled {
            texts.unlabelled.extend(texts.train.extract_if(.., |document| document.label.is_none()));
        }
        for (part, into) in [
            ("out_of_scope_train", &mut texts.train),
            ("out_of_scope_validation", &mut texts.validation),
            ("out_of_scope_test", &mut texts.test),
        ] {
            let outside = all(part, &unlabelled)?.into_iter();
            into.extend(outside.map(|document| Document { label: Some(OUT_OF_SCOPE.to_owned()), ..document }));
        }
        for document in texts.train.iter_mut().chain(&mut texts.test).chain(&mut texts.validation) {
            if document.label.as_deref() == Some("out_of_scope") {
                document.label = Some(OUT_OF_SCOPE.to_owned());
            }
        }
        Ok(texts)
    }
}

/// A file, or all files below a folder, sorted.
fn files_below(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let fail =
        |source| Error::Read { path: path.to_owned(), source, remedy: "check the path in the recipe's data section" };
    if !std::fs::metadata(path).map_err(fail)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if entry.file_type().map_err(fail)?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_by_the_word_that_a_name_begins_with() {
        let cases = [
            ("train.csv", Some("train")),
            ("data/test-2.tsv.gz", Some("test")),
            ("Dev.jsonl", Some("validation")),
            ("out_of_scope_validation.txt", Some("out_of_scope_validation")),
            ("out_of_scope.txt", Some("out_of_scope_train")),
            ("testimonials.csv", None),
            ("tickets.csv", None),
        ];
        for (name, part) in cases {
            assert_eq!(part_of(Path::new(name)), part, "{name}");
        }
    }
}
