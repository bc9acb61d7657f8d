//! What a careful reader should know: the data, the warnings, how to get the same again, and what to try next.

use crate::report::Report;
use crate::report::number::{bytes, count, seconds};

use super::escape::{escape, with_code};

/// The parts of the data, and the warnings.
pub(super) fn data(report: &Report) -> String {
    let data = &report.data;
    let parts = [
        ("labels", data.labels),
        ("training texts", data.train),
        ("validation texts", data.validation),
        ("test texts, looked at once", data.test),
        ("unlabelled texts", data.unlabelled),
        ("background texts", data.background),
        ("out of scope, training", data.out_of_scope_train),
        ("out of scope, validation", data.out_of_scope_validation),
        ("out of scope, test", data.out_of_scope_test),
    ];
    let parts = parts.map(|(name, number)| (name.to_owned(), count(number as u64)));
    let warnings = if report.warnings.is_empty() {
        "<p>No warnings.</p>\n".to_owned()
    } else {
        let items: String =
            report.warnings.iter().map(|warning| format!("<li>{}</li>\n", with_code(warning))).collect();
        format!("<ul class=\"warnings\">\n{items}</ul>\n")
    };
    format!("{}{warnings}", facts(&parts))
}

/// Where and how the figures came about.
pub(super) fn reproducibility(report: &Report) -> String {
    let machine = &report.machine;
    let known = |text: &str| if text.is_empty() { "unknown".to_owned() } else { escape(text) };
    let about = [
        ("recipe".to_owned(), known(&report.recipe)),
        ("seed".to_owned(), report.seed.to_string()),
        ("processor".to_owned(), known(&machine.cpu)),
        ("instruction set".to_owned(), known(&machine.isa)),
        ("threads".to_owned(), machine.threads.to_string()),
        ("peak memory".to_owned(), bytes(report.peak_bytes)),
        ("all stages".to_owned(), seconds(report.seconds)),
    ];
    let mut html = format!(
        "<p>The same recipe, seed, instruction set and thread count give the same bytes.</p>\n{}",
        facts(&about)
    );
    if report.stages.is_empty() {
        return html;
    }
    let longest = report.stages.iter().map(|stage| stage.seconds).filter(|s| s.is_finite()).fold(1e-9, f64::max);
    html.push_str("<ol class=\"funnel stages\">\n");
    for stage in &report.stages {
        let share = if stage.seconds.is_finite() { stage.seconds.max(0.0) / longest * 100.0 } else { 0.0 };
        html.push_str(&format!(
            "<li><span class=\"step\">{}</span><span class=\"track\"><i class=\"kept\" style=\"width:{share:.2}%\"></i></span>\
             <span class=\"amount\">{}</span></li>\n",
            escape(&stage.name),
            seconds(stage.seconds)
        ));
    }
    html + "</ol>\n"
}

/// What to try next; empty where there is nothing.
pub(super) fn next_steps(report: &Report) -> String {
    let items: String = report.next_steps.iter().map(|step| format!("<li>{}</li>\n", with_code(step))).collect();
    if items.is_empty() { String::new() } else { format!("<ul class=\"next\">\n{items}</ul>\n") }
}

/// Names and values, the values escaped already.
fn facts(facts: &[(String, String)]) -> String {
    let items: String =
        facts.iter().map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n")).collect();
    format!("<dl class=\"facts\">\n{items}</dl>\n")
}
