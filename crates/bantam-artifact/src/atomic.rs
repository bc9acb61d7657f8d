//! Files that are either whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// Writes a file through a temporary sibling and a rename: a crash or a full disk leaves what was there before.
///
/// # Errors
/// When the folder does not exist or cannot be written, or the disk is full; the sibling is removed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = sibling(path);
    let written = write_synced(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        Error::Write { path: path.to_owned(), source }
    })?;
    sync_folder_of(path);
    Ok(())
}

/// Reads a whole file.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::read(path))
}

/// Makes a folder and those above it, where they are missing.
///
/// # Errors
/// When one cannot be made.
pub fn create_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::write(path))
}

/// Removes what writes of killed processes left in a folder. Only for whoever writes there alone.
///
/// # Errors
/// When the folder cannot be read, or such a file cannot be removed.
pub fn remove_leftovers(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let path = entry.map_err(Error::read(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(".part") {
            fs::remove_file(&path).map_err(Error::write(&path))?;
        }
    }
    Ok(())
}

/// The name that a file has while it is written: hidden, and of this process only.
fn sibling(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a rename durable. Not every file system can sync a folder, and the rename itself is already atomic.
pub(crate) fn sync_folder_of(path: &Path) {
    if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_no_sibling_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        write_atomic(&path, b"first").unwrap();
        write_atomic(&path, b"second").unwrap();
        assert_eq!(read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_write_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let left = sibling(&folder.path().join("report.json"));
        for path in [&left, &folder.path().join(".hidden"), &folder.path().join("stage.part")] {
            fs::write(path, "half").unwrap();
        }
        remove_leftovers(folder.path()).unwrap();
        assert!(!left.exists() && fs::read_dir(folder.path()).unwrap().count() == 2);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_names_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir_all(path.join("inside")).unwrap();
        let message = write_atomic(&path, b"new").unwrap_err().to_string();
        assert!(message.contains("taken"), "{message}");
        assert!(path.join("inside").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the temporary sibling was removed");
        assert!(write_atomic(&folder.path().join("no/such/folder"), b"x").is_err());
    }

    #[test]
    fn a_full_disk_is_named_with_its_remedy() {
        if !Path::new("/dev/full").exists() {
            return;
        }
        let source = write_synced(Path::new("/dev/full"), b"numbers").unwrap_err();
        let message = Error::Write { path: "bundle".into(), source }.to_string();
        assert!(message.contains("free some space"), "{message}");
    }
}
