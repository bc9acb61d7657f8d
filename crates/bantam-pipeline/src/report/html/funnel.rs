//! Curation: what came in, what each step dropped and why, and some of what was dropped.

use crate::report::number::count;
use crate::report::{FunnelStep, Report};

use super::escape::{escape, shortened};

/// Characters of an example that are shown.
const SHOWN: usize = 160;
/// Examples that are shown.
const EXAMPLES: usize = 12;

/// The steps as bars, then examples; a sentence where nothing was curated.
pub(super) fn section(report: &Report) -> String {
    let Some(first) = report.funnel.first() else {
        return "<p>The texts were not curated.</p>\n".to_owned();
    };
    let all = first.documents.max(1);
    let left = report.funnel.last().map_or(0, |step| step.documents.saturating_sub(step.dropped));
    let quiet: Vec<&FunnelStep> =
        report.funnel.iter().filter(|step| step.dropped == 0 && step.rewritten == 0).collect();
    let mut html = format!(
        "<p>Of {} labelled training texts, {} were kept.</p>\n<ol class=\"funnel\">\n",
        count(first.documents as u64),
        count(left as u64)
    );
    for step in report.funnel.iter().filter(|step| step.dropped > 0 || step.rewritten > 0) {
        html.push_str(&bar(step, all));
    }
    html.push_str(&format!(
        "<li><span class=\"step\">kept</span><span class=\"track\"><i class=\"kept final\" style=\"width:{:.2}%\"></i></span>\
         <span class=\"amount\">{}</span></li>\n</ol>\n",
        width(left, all),
        count(left as u64)
    ));
    if !quiet.is_empty() {
        let names: Vec<String> = quiet.iter().map(|step| escape(&step.name)).collect();
        html.push_str(&format!("<p class=\"note\">Found nothing to do: {}.</p>\n", names.join(", ")));
    }
    html + &examples(report)
}

fn bar(step: &FunnelStep, all: usize) -> String {
    let kept = step.documents.saturating_sub(step.dropped);
    let mut why: Vec<(&String, &usize)> = step.reasons.iter().collect();
    why.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    let mut why: Vec<String> =
        why.iter().map(|(reason, number)| format!("{} {}", escape(reason), count(**number as u64))).collect();
    if step.rewritten > 0 {
        why.push(format!("rewritten {}", count(step.rewritten as u64)));
    }
    // A step that dropped anything shows at least a hair of it.
    let dropped = if step.dropped > 0 { width(step.dropped, all).max(0.4) } else { 0.0 };
    format!(
        "<li><span class=\"step\">{}</span><span class=\"track\"><i class=\"kept\" style=\"width:{:.2}%\"></i>\
         <i class=\"dropped\" style=\"width:{dropped:.2}%\"></i></span><span class=\"amount\">{}</span>\
         <span class=\"why\">{}</span></li>\n",
        escape(&step.name),
        width(kept, all).min(100.0 - dropped),
        if step.dropped > 0 { format!("−{}", count(step.dropped as u64)) } else { "0".to_owned() },
        why.join(" · ")
    )
}

fn width(part: usize, all: usize) -> f64 {
    (part as f64 / all as f64 * 100.0).min(100.0)
}

fn examples(report: &Report) -> String {
    if report.rejects.is_empty() {
        return String::new();
    }
    let mut html = String::from("<details>\n<summary>Some of what was dropped</summary>\n<ul class=\"examples\">\n");
    for reject in report.rejects.iter().take(EXAMPLES) {
        let why = match (reject.step.as_str(), reject.reason.as_str()) {
            ("", reason) => escape(reason),
            (step, "") => escape(step),
            (step, reason) => format!("{}: {}", escape(step), escape(reason)),
        };
        html.push_str(&format!(
            "<li><q>{}</q> <span class=\"note\">{why}</span></li>\n",
            escape(&shortened(&reject.text, SHOWN))
        ));
    }
    html + "</ul>\n</details>\n"
}
