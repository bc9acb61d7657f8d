//! Taking away what earlier states of a recipe left in a run's folder.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Error, Recipe, RunOptions, plan};

/// An artifact, finished or begun, that a recipe as it stands does not come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// Its folder.
    pub folder: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
}

/// Removes what a run with these options would not look up, and tells what that was; with `only_tells` everything stays.
///
/// # Errors
/// When a file of the recipe cannot be read, another run works in the folder, or something cannot be removed; and where nothing in the folder
/// is of this recipe, with these data and this seed.
pub fn clean(recipe: &Recipe, options: &RunOptions, only_tells: bool) -> Result<Vec<Leftover>, Error> {
    let kept: Vec<String> = plan(recipe, options)?.into_iter().map(|stage| stage.artifact).collect();
    if !options.artifacts().is_dir() {
        return Ok(Vec::new());
    }
    let (store, _lock) = options.store()?;
    let others = store.others(&kept)?;
    if !others.is_empty() && !kept.iter().any(|name| store.holds(name)) {
        let what = format!(
            "nothing in {} is of this recipe as it stands with these data and this seed, so that what is there may be another's: run it first, or remove the folder by hand",
            options.out.display()
        );
        return Err(Error::Data { what });
    }
    let mut leftovers = Vec::new();
    for folder in others {
        let bytes = bytes_in(&folder);
        if !only_tells {
            store.remove(&folder)?;
        }
        leftovers.push(Leftover { folder, bytes });
    }
    Ok(leftovers)
}

/// Bytes of a folder's files, as far as they can be seen.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}
