//! The results as one page for people.

use super::Report;

/// One self-contained page.
pub fn to_html(report: &Report) -> String {
    report.verdict()
}
