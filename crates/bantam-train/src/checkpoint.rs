//! A run on disk, so that it continues after a crash as if nothing had happened.

use std::fs;
use std::path::{Path, PathBuf};

use bantam_artifact::write_atomic;
use bantam_model::arrays::{Array, Arrays, ArraysError, read_safetensors, write_safetensors};
use serde::{Deserialize, Serialize};

/// Everything that a run between two steps is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) step: usize,
    pub(crate) losses: Vec<(usize, f64)>,
    pub(crate) validations: Vec<(usize, f64)>,
    pub(crate) since_best: usize,
    pub(crate) best: Option<(f64, Arrays)>,
    pub(crate) weights: Arrays,
    pub(crate) average: Option<Arrays>,
    pub(crate) moments: Vec<(Vec<f32>, Vec<f32>)>,
}

/// The part of a [`State`] that is not arrays.
#[derive(Serialize, Deserialize)]
struct Header {
    step: usize,
    losses: Vec<(usize, f64)>,
    validations: Vec<(usize, f64)>,
    since_best: usize,
    best: Option<f64>,
    averaged: bool,
    moments: usize,
}

impl State {
    /// Keeps about 500 points of the loss curve, whatever the length of the run.
    pub(crate) fn record_loss(&mut self, loss: f64, steps: usize) {
        let every = steps.div_ceil(500).max(1);
        if self.step.is_multiple_of(every) || self.step == 1 || self.step == steps {
            self.losses.push((self.step, loss));
        }
    }
}

/// The file in which a run saves itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    path: PathBuf,
}

/// Why a checkpoint could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It could not be read.
    #[error("{path}: {source}; delete it to begin the run again")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is broken.
    #[error("{path}: {source}; delete it to begin the run again")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ArraysError,
    },
    /// It belongs to another run.
    #[error("{path}: not a checkpoint of this run; delete it to begin the run again")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] bantam_artifact::Error),
}

impl Checkpoint {
    /// The checkpoint at `path`, which need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(crate) fn foreign(&self) -> CheckpointError {
        CheckpointError::Foreign { path: self.path.clone() }
    }

    /// The saved state, or `None` where there is no file.
    pub(crate) fn read(&self) -> Result<Option<State>, CheckpointError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CheckpointError::Read { path: self.path.clone(), source }),
        };
        let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return Err(self.foreign()) };
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (header, arrays) = rest.split_at_checked(length).ok_or_else(|| self.foreign())?;
        let header: Header = serde_json::from_slice(header).map_err(|_| self.foreign())?;
        let mut arrays =
            read_safetensors(arrays).map_err(|source| CheckpointError::Broken { path: self.path.clone(), source })?;
        let mut moment = |index: usize, which: &str| {
            let array = arrays.remove(&format!("{which}.{index}"));
            array.map(|array| array.to_f32()).ok_or_else(|| self.foreign())
        };
        let moments = (0..header.moments)
            .map(|index| Ok((moment(index, "first")?, moment(index, "second")?)))
            .collect::<Result<_, CheckpointError>>()?;
        let under = |prefix: &str| -> Arrays {
            let named = arrays.iter().filter_map(|(name, array)| Some((name.strip_prefix(prefix)?, array)));
            named.map(|(name, array)| (name.to_owned(), array.clone())).collect()
        };
        Ok(Some(State {
            step: header.step,
            losses: header.losses,
            validations: header.validations,
            since_best: header.since_best,
            best: header.best.map(|quality| (quality, under("best:"))),
            weights: under("weights:"),
            average: header.averaged.then(|| under("average:")),
            moments,
        }))
    }

    /// Saves the state; a crash while writing leaves the one before.
    pub(crate) fn write(&self, state: &State) -> Result<(), CheckpointError> {
        let header = Header {
            step: state.step,
            losses: state.losses.clone(),
            validations: state.validations.clone(),
            since_best: state.since_best,
            best: state.best.as_ref().map(|(quality, _)| *quality),
            averaged: state.average.is_some(),
            moments: state.moments.len(),
        };
        let mut arrays = Arrays::new();
        let groups = [
            ("weights:", Some(&state.weights)),
            ("average:", state.average.as_ref()),
            ("best:", state.best.as_ref().map(|(_, best)| best)),
        ];
        for (prefix, group) in groups {
            arrays.extend(group.into_iter().flatten().map(|(name, array)| (format!("{prefix}{name}"), array.clone())));
        }
        for (index, (first, second)) in state.moments.iter().enumerate() {
            arrays.insert(format!("first.{index}"), Array::plain(vec![first.len()], first.clone()));
            arrays.insert(format!("second.{index}"), Array::plain(vec![second.len()], second.clone()));
        }
        let header = serde_json::to_vec(&header).expect("a header of plain numbers is JSON");
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend(write_safetensors(&arrays));
        Ok(write_atomic(&self.path, &bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let arrays: Arrays = [("w".to_owned(), Array::plain(vec![2], vec![1.0, -0.1]))].into();
        State {
            step: 7,
            losses: vec![(1, 0.1), (7, 1.0 / 3.0)],
            validations: vec![(5, 0.7)],
            since_best: 1,
            best: Some((0.7, arrays.clone())),
            weights: arrays.clone(),
            average: Some(arrays),
            moments: vec![(vec![0.5, 1e-30], vec![])],
        }
    }

    #[test]
    fn a_state_comes_back_to_the_bit_and_broken_files_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::new(&folder.path().join("checkpoint"));
        assert_eq!(checkpoint.read().unwrap(), None);
        checkpoint.write(&state()).unwrap();
        assert_eq!(checkpoint.read().unwrap(), Some(state()));
        let bytes = fs::read(&checkpoint.path).unwrap();
        for length in [0, 5, 20, bytes.len() - 1] {
            fs::write(&checkpoint.path, &bytes[..length]).unwrap();
            assert!(checkpoint.read().unwrap_err().to_string().contains("delete it"), "{length} bytes were accepted");
        }
    }
}
