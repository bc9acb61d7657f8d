//! Which labels what ships takes for which, the worst first, with examples.

use crate::report::number::{count, fixed};
use crate::report::{ConfusedPair, Report};

use super::escape::{escape, shortened};

/// Characters of an example that are shown.
const SHOWN: usize = 160;
/// Pairs that are shown.
const PAIRS: usize = 20;

/// The pairs as a list with bars; a sentence where there is none.
pub(super) fn section(report: &Report) -> String {
    if report.confusions.is_empty() {
        return "<p>No pair of labels was confused, or nothing was measured.</p>\n".to_owned();
    }
    let most = report.confusions.iter().map(|pair| pair.count).max().unwrap_or(1).max(1);
    let pairs: String = report.confusions.iter().take(PAIRS).map(|pair| item(pair, most)).collect();
    format!(
        "<p>Test texts of one label that what ships takes for another. The surest mistakes are quoted first.</p>\n\
         <ol class=\"pairs\">\n{pairs}</ol>\n"
    )
}

fn item(pair: &ConfusedPair, most: usize) -> String {
    let examples: String =
        pair.examples.iter().map(|example| format!("<li><q>{}</q></li>", escape(&shortened(example, SHOWN)))).collect();
    let examples = if examples.is_empty() { String::new() } else { format!("<ul class=\"examples\">{examples}</ul>") };
    format!(
        "<li><div class=\"pair\"><span class=\"labels\"><code>{}</code> taken for <code>{}</code></span>\
         <span class=\"amount\">{} of {}</span></div>\
         <span class=\"track\"><i class=\"dropped\" style=\"width:{}%\"></i></span>{examples}</li>\n",
        escape(&pair.truth),
        escape(&pair.answer),
        count(pair.count as u64),
        count(pair.of as u64),
        fixed(pair.count as f64 / most as f64 * 100.0, 1)
    )
}
