//! The report: what a run found out, as JSON for programs, as a table for the terminal, and as one page for people.
//!
//! [`Report`] is the contract that other tools rely on and holds everything that the page shows, so that the page can be
//! made again from `report.json` alone.

mod account;
mod html;
mod lenient;
mod number;
mod row;
#[cfg(test)]
pub(crate) mod sample;
mod table;
mod verdict;

use std::io;
use std::path::Path;

use bantam_artifact::{Error, read, write_atomic};
use serde::{Deserialize, Serialize};

pub use account::{
    ConfusedPair, Curve, DataSummary, FunnelStep, Machine, RejectExample, Reliability, ReliabilityBin, StageTime,
    Thresholds,
};
pub use html::to_html;
pub use row::{Role, Row};
pub use table::{text_next_steps, text_table};
pub use verdict::Standing;

/// The file of the contract.
pub const JSON_FILE: &str = "report.json";
/// The page.
pub const HTML_FILE: &str = "report.html";

/// Everything that a run found out. Keys that are absent from an older file read as empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The recipe's name.
    pub recipe: String,
    /// Seconds of all stages, when they ran.
    #[serde(deserialize_with = "lenient::number")]
    pub seconds: f64,
    /// The most memory that the run held.
    pub peak_bytes: u64,
    /// The models, baselines first; the last row is what ships.
    pub rows: Vec<Row>,
    /// Where the figures were measured.
    pub machine: Machine,
    /// The seed of everything drawn.
    pub seed: u64,
    /// How many texts there are.
    pub data: DataSummary,
    /// Curation, step by step.
    pub funnel: Vec<FunnelStep>,
    /// Some of the texts that curation dropped.
    pub rejects: Vec<RejectExample>,
    /// What a careful reader should know about the data and the run.
    pub warnings: Vec<String>,
    /// Training over its steps.
    pub curves: Vec<Curve>,
    /// Confidence against accuracy of what ships.
    pub reliability: Reliability,
    /// What is taken for what, the most frequent first.
    pub confusions: Vec<ConfusedPair>,
    /// What was set on validation texts.
    pub thresholds: Option<Thresholds>,
    /// Stages in their order.
    pub stages: Vec<StageTime>,
    /// What to try next.
    pub next_steps: Vec<String>,
}

impl Report {
    /// Fills in each row's shares of the teacher's quality and cost, where there is a teacher. The baselines get them too.
    pub fn fill_shares(&mut self) {
        let Some(teacher) = self.teacher() else { return };
        let (quality, cost) = (teacher.accuracy, teacher.cpu_seconds_per_1000);
        let share = |part: f64, whole: f64| Some(part / whole).filter(|share| share.is_finite());
        for row in &mut self.rows {
            row.share_of_teacher_quality = share(row.accuracy, quality);
            row.share_of_teacher_cost = share(row.cpu_seconds_per_1000, cost);
        }
    }

    /// The teacher's row.
    pub fn teacher(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.role == Role::Teacher)
    }

    /// What ships: the last row, unless nothing but a baseline was measured.
    pub fn shipped(&self) -> Option<&Row> {
        self.rows.last().filter(|row| row.role != Role::Baseline)
    }

    /// The most accurate of the trivial baselines.
    pub fn baseline(&self) -> Option<&Row> {
        let baselines = self.rows.iter().filter(|row| row.role == Role::Baseline && row.accuracy.is_finite());
        baselines.max_by(|a, b| a.accuracy.total_cmp(&b.accuracy))
    }

    /// Writes `report.json` and `report.html` into `folder`, each whole or not at all.
    ///
    /// # Errors
    /// When the folder does not exist or cannot be written, or the disk is full.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(JSON_FILE);
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::Write { path: path.clone(), source: io::Error::other(error) })?;
        json.push(b'\n');
        write_atomic(&path, &json)?;
        self.write_page(folder)
    }

    /// Writes `report.html` into `folder`, whole or not at all.
    ///
    /// # Errors
    /// As for [`Report::write`].
    pub fn write_page(&self, folder: &Path) -> Result<(), Error> {
        write_atomic(&folder.join(HTML_FILE), to_html(self).as_bytes())
    }

    /// Reads a `report.json`.
    ///
    /// # Errors
    /// When the file cannot be read, or is no report.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let invalid = |error: serde_json::Error| Error::Read {
            path: path.to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidData, format!("it is no report of this version ({error})")),
        };
        serde_json::from_slice(&read(path)?).map_err(invalid)
    }
}

#[cfg(test)]
mod tests;
