//! The one sentence that a reader takes away, and says so when a model loses to its trivial baseline.

use super::number::{fixed, fraction, percent, short_count};
use super::{Report, Row};

/// Accuracies closer than this are called equal; it is half of what tables show.
const EQUAL: f64 = 0.0005;

/// How what ships stands against its trivial baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is better, by more than the margin of error.
    Wins,
    /// Neither is better as far as the test texts can tell.
    Level,
    /// It is worse, by more than the margin of error: a failure.
    Loses,
    /// There is nothing to compare.
    Unknown,
}

impl Report {
    /// How what ships stands against the best of its trivial baselines, by accuracy.
    pub fn standing(&self) -> Standing {
        let (Some(shipped), Some(baseline)) = (self.shipped(), self.baseline()) else { return Standing::Unknown };
        let gain = shipped.accuracy - baseline.accuracy;
        match gain {
            gain if !gain.is_finite() => Standing::Unknown,
            gain if gain.abs() < EQUAL || within(baseline.accuracy, shipped) => Standing::Level,
            gain if gain > 0.0 => Standing::Wins,
            _ => Standing::Loses,
        }
    }

    /// What the figures say, in a sentence or two.
    pub fn verdict(&self) -> String {
        let Some(shipped) = self.shipped() else {
            return match self.baseline() {
                Some(baseline) => format!("Only {} was measured; nothing ships.", baseline.name),
                None => "Nothing was measured.".to_owned(),
            };
        };
        if !shipped.accuracy.is_finite() {
            return format!("The {} could not be measured.", subject(shipped));
        }
        let share = self.share_sentence(shipped);
        let subject = subject(shipped);
        let Some(baseline) = self.baseline() else { return format!("The {subject} {share}.") };
        let gap = shipped.accuracy - baseline.accuracy;
        let points = points(gap.abs());
        let name = &baseline.name;
        match self.standing() {
            Standing::Loses => format!(
                "The {subject} loses to its trivial baseline, {name}, by {points}: as it is, it is not worth shipping. It {share}."
            ),
            Standing::Level if gap.abs() < EQUAL => {
                format!("The {subject} {share}, but is no more accurate than its trivial baseline, {name}.")
            }
            Standing::Level => {
                let side = if gap > 0.0 { "above" } else { "below" };
                format!(
                    "The {subject} {share}, and is level with its trivial baseline, {name}: it is {points} {side}, which is within the margin of error."
                )
            }
            _ => format!("The {subject} {share} and beats {name} by {points}."),
        }
    }

    /// What it keeps of its teacher, or how good it is where there is none.
    fn share_sentence(&self, shipped: &Row) -> String {
        let alone = || format!("answers {} % of the in-scope requests right", percent(shipped.accuracy));
        let Some(teacher) = self.teacher().filter(|teacher| !std::ptr::eq(*teacher, shipped)) else { return alone() };
        let quality = shipped.share_of_teacher_quality.unwrap_or(shipped.accuracy / teacher.accuracy);
        let cost = shipped.share_of_teacher_cost.unwrap_or(shipped.cpu_seconds_per_1000 / teacher.cpu_seconds_per_1000);
        if !quality.is_finite() {
            return alone();
        }
        let verb = if quality > 1.0 { "reaches" } else { "keeps" };
        let quality = format!("{verb} {} % of its teacher's accuracy", percent(quality));
        if cost.is_finite() && cost > 0.0 { format!("{quality} at {} of its cost", fraction(cost)) } else { quality }
    }
}

fn subject(row: &Row) -> String {
    let size = short_count(row.parameters as f64);
    match row.parameters {
        0 => row.role.word().to_owned(),
        // "912 k" is read as "0.9 M": models are spoken of in millions.
        100_000..=999_999 => format!("{} M-parameter {}", fixed(row.parameters as f64 / 1e6, 1), row.role.word()),
        _ => format!("{size}-parameter {}", row.role.word()),
    }
}

fn points(gap: f64) -> String {
    let text = fixed(gap * 100.0, 1);
    let unit = if text == "1.0" { "point" } else { "points" };
    format!("{text} {unit}")
}

fn within(accuracy: f64, row: &Row) -> bool {
    (row.accuracy_low..=row.accuracy_high).contains(&accuracy)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_win_is_told_in_one_sentence() {
        let report = sample::report();
        assert_eq!(report.standing(), Standing::Wins);
        let verdict = "The 0.9 M-parameter bundle keeps 98.1 % of its teacher's accuracy at 1/63 of its cost \
                       and beats TF-IDF + linear SVM by 1.8 points.";
        assert_eq!(report.verdict(), verdict);
    }

    #[test]
    fn a_loss_is_told_plainly() {
        let mut report = sample::report();
        report.rows.last_mut().unwrap().accuracy = 0.9;
        report.fill_shares();
        assert_eq!(report.standing(), Standing::Loses);
        let verdict = report.verdict();
        assert!(verdict.contains("loses to its trivial baseline, TF-IDF + linear SVM, by 1.2 points"), "{verdict}");
        assert!(verdict.contains("not worth shipping"), "{verdict}");
    }

    #[test]
    fn a_small_gain_is_called_unsure_and_a_tie_a_tie() {
        let mut report = sample::report();
        let baseline = report.baseline().unwrap().accuracy;
        let shipped = report.rows.last_mut().unwrap();
        (shipped.accuracy, shipped.accuracy_low) = (baseline + 0.002, baseline - 0.005);
        assert!(report.verdict().contains("within the margin of error"), "{}", report.verdict());
        let shipped = report.rows.last_mut().unwrap();
        (shipped.accuracy, shipped.accuracy_high) = (baseline - 0.01, baseline + 0.02);
        let verdict = report.verdict();
        assert!(verdict.contains("level with") && verdict.contains("1.0 point below"), "{verdict}");
        assert!(!verdict.contains("not worth shipping"), "{verdict}");
        report.rows.last_mut().unwrap().accuracy = baseline;
        assert_eq!(report.standing(), Standing::Level);
        assert!(report.verdict().contains("no more accurate"), "{}", report.verdict());
    }

    #[test]
    fn missing_rows_make_a_sentence_too() {
        let mut report = sample::report();
        report.rows.truncate(2);
        assert!(report.verdict().contains("nothing ships"), "{}", report.verdict());
        assert_eq!(Report::default().verdict(), "Nothing was measured.");
        let mut alone = sample::report();
        alone.rows = vec![alone.rows.pop().unwrap()];
        assert_eq!(alone.verdict(), "The 0.9 M-parameter bundle answers 93.0 % of the in-scope requests right.");
        alone.rows[0].accuracy = f64::NAN;
        assert!(alone.verdict().contains("could not be measured"));
    }
}
