//! Where stages keep their results.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic::{create_folder, read, sync_folder_of, write_atomic};
use crate::{Error, Key, hash_file};

/// The file that makes a folder an artifact; written last.
const MANIFEST: &str = "manifest.json";

/// What an artifact is, what made it, and what it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The stage's name.
    pub stage: String,
    /// The artifact's own key.
    pub key: Key,
    /// Keys of what it was made from.
    pub inputs: Vec<Key>,
    /// The program's version.
    pub made_by: String,
    /// Seconds of work, over all attempts since the last crash.
    pub seconds: f64,
    /// Its files, by name.
    pub files: Vec<FileRecord>,
}

/// One file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Path inside the artifact.
    pub name: String,
    /// Length.
    pub bytes: u64,
    /// BLAKE3 of the contents.
    pub blake3: String,
}

/// How the name of a folder ends that is being made.
const PART: &str = ".part";
/// How the name of a folder ends whose removal has begun.
const GONE: &str = ".gone";

/// A folder of artifacts.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// A finished, immutable result.
#[derive(Debug, Clone)]
pub struct Artifact {
    folder: PathBuf,
    manifest: Manifest,
}

/// A result in the making. Files in it survive a crash; a stage that keeps checkpoints there continues.
#[derive(Debug)]
pub struct Work {
    folder: PathBuf,
    target: PathBuf,
    stage: String,
    key: Key,
    inputs: Vec<Key>,
}

/// What a stage finds when it is its turn.
#[derive(Debug)]
pub enum Stage {
    /// Nothing to do.
    Done(Artifact),
    /// To be done, or continued.
    Open(Work),
}

impl Store {
    /// The store in `root`, which is made when it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(root: &Path) -> Result<Self, Error> {
        create_folder(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// Looks a stage up. `settings` is everything of the recipe that the stage depends on.
    ///
    /// # Errors
    /// When an artifact is there but its files are not those of its manifest, or a folder cannot be made.
    pub fn stage(&self, name: &str, settings: &impl Serialize, inputs: &[&Key]) -> Result<Stage, Error> {
        let key = Key::new(name, settings, inputs);
        let target = self.root.join(format!("{name}-{key}"));
        if target.join(MANIFEST).exists() {
            return Ok(Stage::Done(Artifact::open(&target)?));
        }
        let folder = self.root.join(format!("{name}-{key}{PART}"));
        create_folder(&folder)?;
        let inputs = inputs.iter().map(|&key| key.clone()).collect();
        Ok(Stage::Open(Work { folder, target, stage: name.to_owned(), key, inputs }))
    }

    /// Whether an artifact of that name (`stage-key`) is there, finished or begun.
    pub fn holds(&self, name: &str) -> bool {
        self.root.join(name).is_dir() || self.root.join(format!("{name}{PART}")).is_dir()
    }

    /// The artifacts, finished or begun, whose names (`stage-key`) are not among these, in the order of their names. What a store does not
    /// make itself is passed over.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn others(&self, names: &[String]) -> Result<Vec<PathBuf>, Error> {
        let mut others = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(Error::read(&self.root))? {
            let entry = entry.map_err(Error::read(&self.root))?;
            let file = entry.file_name().to_string_lossy().into_owned();
            let bare = file.strip_suffix(GONE).unwrap_or(&file);
            let name = bare.strip_suffix(PART).unwrap_or(bare);
            let is_own = name.rsplit_once('-').is_some_and(|(_, key)| Key::is_spelled(key));
            let is_kept = !file.ends_with(GONE) && names.iter().any(|kept| kept == name);
            if is_own && !is_kept && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                others.push(entry.path());
            }
        }
        others.sort();
        Ok(others)
    }

    /// Removes an artifact. Only for whoever works in the store alone.
    ///
    /// # Errors
    /// When it cannot be removed; what is left is no artifact any more, and [`Store::others`] tells it again.
    pub fn remove(&self, folder: &Path) -> Result<(), Error> {
        let removed = |folder: &Path| match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::write(folder)(error)),
            _ => Ok(()),
        };
        if folder.to_string_lossy().ends_with(GONE) {
            return removed(folder);
        }
        let mut gone = folder.as_os_str().to_owned();
        gone.push(GONE);
        let gone = Path::new(&gone);
        // An earlier removal of the same artifact may have been cut off.
        removed(gone)?;
        fs::rename(folder, gone).map_err(Error::write(folder))?;
        removed(gone)
    }
}

impl Artifact {
    /// Opens the artifact in `folder`, checking names and lengths of its files.
    ///
    /// # Errors
    /// When the manifest cannot be read, or a file is missing or has another length.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let damaged = |what: String| Error::Damaged { path: folder.to_owned(), what };
        let manifest: Manifest = serde_json::from_slice(&read(&folder.join(MANIFEST))?)
            .map_err(|error| damaged(format!("{MANIFEST}: {error}")))?;
        for file in &manifest.files {
            let found = fs::metadata(folder.join(&file.name)).map(|metadata| metadata.len());
            match found {
                Ok(bytes) if bytes == file.bytes => {}
                Ok(bytes) => return Err(damaged(format!("{} has {bytes} bytes, not {}", file.name, file.bytes))),
                Err(error) => return Err(damaged(format!("{}: {error}", file.name))),
            }
        }
        Ok(Self { folder: folder.to_owned(), manifest })
    }

    /// Reads all files, and checks that they are those that were made.
    ///
    /// # Errors
    /// When a file cannot be read or has other contents.
    pub fn verify(&self) -> Result<(), Error> {
        for file in &self.manifest.files {
            if hash_file(&self.path(&file.name))? != file.blake3 {
                let what = format!("{} is not what was made", file.name);
                return Err(Error::Damaged { path: self.folder.clone(), what });
            }
        }
        Ok(())
    }

    /// A file of the artifact.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it is and what made it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The key that stages built on it depend on.
    pub fn key(&self) -> &Key {
        &self.manifest.key
    }
}

impl Work {
    /// A file of the artifact in the making, or a checkpoint beside them (begin its name with a dot).
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Ends the work: files whose names begin with a dot are removed, the rest becomes the artifact.
    ///
    /// # Errors
    /// When a file cannot be read or renamed.
    pub fn commit(self, seconds: f64) -> Result<Artifact, Error> {
        let mut files = Vec::new();
        let entries = fs::read_dir(&self.folder).map_err(Error::read(&self.folder))?;
        for entry in entries {
            let path = entry.map_err(Error::read(&self.folder))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with('.') {
                fs::remove_file(&path).map_err(Error::write(&path))?;
            } else if name != MANIFEST {
                // On the disk before the rename: a power cut must not leave a named artifact with empty files.
                fs::File::open(&path).and_then(|file| file.sync_all()).map_err(Error::write(&path))?;
                let bytes = fs::metadata(&path).map_err(Error::read(&path))?.len();
                files.push(FileRecord { blake3: hash_file(&path)?, name, bytes });
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let made_by = format!("bantam {}", env!("CARGO_PKG_VERSION"));
        let manifest = Manifest { stage: self.stage, key: self.key, inputs: self.inputs, made_by, seconds, files };
        let text = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
        write_atomic(&self.folder.join(MANIFEST), &text)?;
        fs::rename(&self.folder, &self.target).map_err(Error::write(&self.target))?;
        sync_folder_of(&self.target);
        Ok(Artifact { folder: self.target, manifest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(store: &Store, settings: u32) -> Stage {
        store.stage("curate", &settings, &[&Key::of_bytes(b"input")]).unwrap()
    }

    #[test]
    fn a_second_run_is_a_lookup_and_another_setting_is_other_work() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let Stage::Open(work) = open(&store, 1) else { panic!("nothing was made yet") };
        fs::write(work.path("corpus"), b"text").unwrap();
        fs::write(work.path(".checkpoint"), b"half").unwrap();
        let made = work.commit(1.5).unwrap();
        let Stage::Done(found) = open(&store, 1) else { panic!("it was made") };
        assert_eq!(found.manifest(), made.manifest());
        assert_eq!(found.manifest().files.len(), 1, "checkpoints are not part of an artifact");
        assert_eq!(fs::read(found.path("corpus")).unwrap(), b"text");
        assert!(matches!(open(&store, 2), Stage::Open(_)));
    }

    #[test]
    fn work_that_was_cut_off_finds_its_files_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let Stage::Open(work) = open(&store, 1) else { panic!("nothing was made yet") };
        fs::write(work.path(".checkpoint"), b"step 10").unwrap();
        drop(work);
        let Stage::Open(work) = open(&store, 1) else { panic!("it was never committed") };
        assert_eq!(fs::read(work.path(".checkpoint")).unwrap(), b"step 10");
    }

    #[test]
    fn what_no_name_keeps_can_be_removed_even_if_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let names: Vec<String> = (1..=4)
            .map(|settings| {
                let Stage::Open(work) = open(&store, settings) else { panic!("nothing was made yet") };
                fs::write(work.path("corpus"), b"text").unwrap();
                let name = format!("curate-{}", work.key);
                if settings < 4 {
                    work.commit(0.0).unwrap();
                }
                name
            })
            .collect();
        fs::create_dir(folder.path().join("notes-of-mine")).unwrap();
        fs::write(folder.path().join(".lock"), b"1").unwrap();
        let cut = folder.path().join(format!("{}.gone", names[1]));
        fs::rename(folder.path().join(&names[1]), &cut).unwrap();
        let others = store.others(&names[..2]).unwrap();
        let begun = format!("{}.part", names[3]);
        let mut expected = vec![folder.path().join(&names[2]), folder.path().join(begun), cut];
        expected.sort();
        assert_eq!(others, expected);
        others.iter().for_each(|folder| store.remove(folder).unwrap());
        assert!(store.others(&names[..2]).unwrap().is_empty());
        assert!(matches!(open(&store, 1), Stage::Done(_)) && matches!(open(&store, 3), Stage::Open(_)));
        // Cut off while it was being made, and made again after it was cut off.
        for left in [format!("{}.part.gone", names[3]), names[2].clone(), format!("{}.gone", names[2])] {
            fs::create_dir(folder.path().join(&left)).unwrap();
            fs::write(folder.path().join(left).join("corpus"), b"text").unwrap();
        }
        let others = store.others(&names[..2]).unwrap();
        // With the third, which was just looked up.
        assert_eq!(others.len(), 4, "{others:?}");
        others.iter().for_each(|folder| store.remove(folder).unwrap());
        assert!(store.others(&names[..2]).unwrap().is_empty());
        assert!(folder.path().join("notes-of-mine").exists());
    }

    #[test]
    fn a_damaged_artifact_is_told_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let Stage::Open(work) = open(&store, 1) else { panic!("nothing was made yet") };
        fs::write(work.path("corpus"), b"text").unwrap();
        let made = work.commit(0.0).unwrap();
        made.verify().unwrap();
        fs::write(made.path("corpus"), b"test").unwrap();
        let message = made.verify().unwrap_err().to_string();
        assert!(message.contains("corpus is not what was made") && message.contains("delete the folder"), "{message}");
        fs::write(made.path("corpus"), b"tex").unwrap();
        let key = Key::of_bytes(b"input");
        let message = store.stage("curate", &1u32, &[&key]).unwrap_err().to_string();
        assert!(message.contains("3 bytes, not 4") && message.contains("delete the folder"), "{message}");
    }
}
