//! What a run found out: for programs (`report.json`), for a terminal, and as a page.

use std::path::Path;

use bantam_artifact::{read, write_atomic};
use serde::{Deserialize, Serialize};

use crate::Error;

mod charts;
mod page;
mod table;

pub use page::to_html;
pub use table::text_table;

/// What a row's model is in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What a user would try first.
    Baseline,
    /// The big model.
    Teacher,
    /// A small model before it is done.
    Student,
    /// What ships.
    Bundle,
}

/// One model's figures on the test texts of this run and on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What the report calls it.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Numbers that it learned.
    pub parameters: u64,
    /// Bytes as shipped.
    pub bytes: u64,
    /// Share of in-scope texts that were labelled right.
    pub accuracy: f64,
    /// Lower end of the accuracy's 95 % interval.
    pub accuracy_low: f64,
    /// Upper end of the accuracy's 95 % interval.
    pub accuracy_high: f64,
    /// Mean F1 of the labels.
    pub macro_f1: Option<f64>,
    /// Chance that an in-scope text gets more confidence than one out of scope.
    pub out_of_scope_auroc: Option<f64>,
    /// Share of out-of-scope texts that are recognised at the allowed loss of accuracy.
    pub out_of_scope_recall: Option<f64>,
    /// Share of all requests that are answered without a person, at the promised precision.
    pub containment: Option<f64>,
    /// How precise those answers were on the test texts.
    pub containment_precision: Option<f64>,
    /// Half of the single requests take at most this long.
    pub latency_p50_microseconds: f64,
    /// 99 of 100 single requests take at most this long.
    pub latency_p99_microseconds: f64,
    /// In batches, on all threads.
    pub requests_per_second: f64,
    /// Processor seconds for 1,000 single requests.
    pub cpu_seconds_per_1000: f64,
    /// The most memory that the process held while this model answered.
    pub peak_bytes: u64,
    /// Accuracy divided by the teacher's.
    pub share_of_teacher_quality: Option<f64>,
    /// Processor seconds divided by the teacher's.
    pub share_of_teacher_cost: Option<f64>,
    /// Expected calibration error.
    pub ece: Option<f64>,
    /// Brier score.
    pub brier: Option<f64>,
}

/// A training run's losses and qualities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The stage.
    pub name: String,
    /// Step and loss.
    pub losses: Vec<(usize, f64)>,
    /// Step and accuracy on validation texts.
    pub validations: Vec<(usize, f64)>,
}

/// A step of the curation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunnelStep {
    /// Its name.
    pub name: String,
    /// Texts that came in.
    pub documents: usize,
    /// Texts that it dropped.
    pub dropped: usize,
}

/// A text that curation dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// The text.
    pub text: String,
    /// The step and its reason.
    pub reason: String,
}

/// Answers of about the same confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Their mean confidence.
    pub confidence: f64,
    /// The share that was right.
    pub accuracy: f64,
    /// How many there are.
    pub count: usize,
}

/// Two labels that the bundle confuses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfusedPair {
    /// What the texts are.
    pub truth: String,
    /// What they were taken for.
    pub answer: String,
    /// How many.
    pub count: usize,
    /// Of how many texts of that label.
    pub of: usize,
    /// The surest mistakes.
    pub examples: Vec<String>,
}

/// How many texts of which part there are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    /// Labels.
    pub labels: usize,
    /// Texts that were learnt from.
    pub train: usize,
    /// Texts to choose and calibrate with.
    pub validation: usize,
    /// In-scope test texts.
    pub test: usize,
    /// Out-of-scope test texts.
    pub test_out_of_scope: usize,
    /// Texts without labels.
    pub unlabelled: usize,
}

/// Everything that a run found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The recipe's name.
    pub recipe: String,
    /// Seconds of work, of all stages together.
    pub seconds: f64,
    /// The most memory that this process held; of a run that found everything done, less than it took to make.
    pub peak_bytes: u64,
    /// The models; the last is what ships.
    pub rows: Vec<Row>,
    /// Everything random followed from it.
    pub seed: u64,
    /// The instruction set that it ran with.
    pub isa: String,
    /// Threads that batches could use.
    pub threads: usize,
    /// Counts.
    pub data: DataSummary,
    /// What curation did.
    pub funnel: Vec<FunnelStep>,
    /// Some of what curation dropped.
    pub rejects: Vec<Dropped>,
    /// What may be wrong with the data.
    pub warnings: Vec<String>,
    /// Training.
    pub curves: Vec<Curve>,
    /// The bundle's confidence against its accuracy, before the temperature was fitted.
    pub reliability_before: Vec<ReliabilityBin>,
    /// The same with the temperature.
    pub reliability_after: Vec<ReliabilityBin>,
    /// The worst pairs of labels.
    pub confusions: Vec<ConfusedPair>,
    /// Divides the bundle's scores.
    pub temperature: f64,
    /// The least confidence that is answered without a person.
    pub threshold: Option<f64>,
    /// The promised precision of those answers.
    pub promised_precision: f64,
    /// Seconds by stage.
    pub stages: Vec<(String, f64)>,
    /// What to try next.
    pub next_steps: Vec<String>,
}

impl Report {
    /// What the run came to, in a sentence or two: also when that is bad news.
    pub fn verdict(&self) -> String {
        let Some(bundle) = self.rows.iter().rfind(|row| row.role == Role::Bundle) else {
            return "The run made no bundle.".to_owned();
        };
        let mut text =
            format!("The {:.2} M-parameter bundle ({})", bundle.parameters as f64 / 1e6, bytes(bundle.bytes));
        if let (Some(quality), Some(cost)) = (bundle.share_of_teacher_quality, bundle.share_of_teacher_cost) {
            let times = 1.0 / cost.max(1e-9);
            text += &format!(" keeps {:.1} % of its teacher's accuracy at 1/{times:.0} of its cost", 100.0 * quality);
        }
        let best =
            self.rows.iter().filter(|row| row.role == Role::Baseline).max_by(|a, b| a.accuracy.total_cmp(&b.accuracy));
        if let Some(best) = best {
            let points = 100.0 * (bundle.accuracy - best.accuracy);
            text += &if points > 0.0 {
                format!(". It beats {} by {points:.1} points", best.name)
            } else {
                format!(". It LOSES to {} by {:.1} points: ship that instead, or give more data", best.name, -points)
            };
        }
        text + "."
    }

    /// Writes `report.json` and `report.html` into a folder.
    ///
    /// # Errors
    /// When one cannot be written; none is left half-written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let json = serde_json::to_vec_pretty(self).expect("a report is plain data");
        write_atomic(&folder.join("report.json"), &json)?;
        Ok(write_atomic(&folder.join("report.html"), to_html(self).as_bytes())?)
    }

    /// Reads a `report.json`.
    ///
    /// # Errors
    /// When it cannot be read, or is no report.
    pub fn read(path: &Path) -> Result<Self, Error> {
        serde_json::from_slice(&read(path)?)
            .map_err(|error| Error::Data { what: format!("{}: not a report: {error}", path.display()) })
    }
}

/// Bytes for people.
fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.0} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

/// A count for people.
fn count(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{:.0} k", number as f64 / 1e3),
        _ => format!("{:.2} M", number as f64 / 1e6),
    }
}

/// Microseconds for people.
fn duration(microseconds: f64) -> String {
    if microseconds < 1_000.0 { format!("{microseconds:.0} µs") } else { format!("{:.2} ms", microseconds / 1e3) }
}

/// A share as per cent, or a dash.
fn percent(share: Option<f64>) -> String {
    share.filter(|share| share.is_finite()).map_or("–".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}
