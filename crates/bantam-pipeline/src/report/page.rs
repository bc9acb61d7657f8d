//! The page: one file without anything from elsewhere, to be read on a phone or printed.

use super::charts::{Point, loss, reliability, scatter};
use super::{Report, Role, Row, bytes, count, duration, percent};

const STYLE: &str = include_str!("style.css");

/// The whole page.
pub fn to_html(report: &Report) -> String {
    let title = escape(&report.recipe);
    let sections = [
        results(report),
        trade(report),
        out_of_scope(report),
        confusions(report),
        training(report),
        data(report),
        reproduction(report),
        next(report),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title} · Bantam report</title><style>{STYLE}</style></head><body><main><header><p class=\"kicker\">Bantam report</p><h1>{title}</h1><p class=\"verdict\">{}</p></header>{}</main></body></html>\n",
        escape(&report.verdict()),
        sections.concat()
    )
}

/// Text that may come from anyone, as HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn section(title: &str, inside: &str) -> String {
    if inside.is_empty() { String::new() } else { format!("<section><h2>{}</h2>{inside}</section>", escape(title)) }
}

fn figure(picture: &str, caption: &str) -> String {
    if picture.is_empty() {
        return String::new();
    }
    format!("<figure>{picture}<figcaption>{}</figcaption></figure>", escape(caption))
}

fn results(report: &Report) -> String {
    let head = [
        "Model",
        "Accuracy",
        "Macro F1",
        "Out-of-scope AUROC",
        "Contained",
        "ECE",
        "Parameters",
        "Size",
        "p50",
        "p99",
        "Requests/s",
        "CPU s per 1,000",
        "Memory",
        "Of teacher's accuracy",
        "Of teacher's cost",
    ];
    let mut table = "<div class=\"wide\"><table><thead><tr>".to_owned();
    head.iter().for_each(|name| table += &format!("<th scope=\"col\">{name}</th>"));
    table += "</tr></thead><tbody>";
    for row in &report.rows {
        let class = if row.role == Role::Bundle { " class=\"ships\"" } else { "" };
        table += &format!("<tr{class}><th scope=\"row\">{}</th>", escape(&row.name));
        for (cell, name) in cells(row).iter().zip(&head[1..]) {
            table += &format!("<td data-name=\"{name}\">{cell}</td>");
        }
        table += "</tr>";
    }
    table += "</tbody></table></div>";
    let note = format!(
        "<p class=\"note\">Accuracy with its 95 % interval on {} in-scope test texts in {} labels; out of scope on {} others. Contained: answered without a person at a promised precision of {:.0} %. Latency and CPU time: single requests on one thread, tokenising included; requests per second: batches on {} threads with {}.</p>",
        report.data.test,
        report.data.labels,
        report.data.test_out_of_scope,
        100.0 * report.promised_precision,
        report.threads,
        escape(&report.isa)
    );
    section("Results", &(table + &note))
}

fn cells(row: &Row) -> Vec<String> {
    let number = |value: Option<f64>| {
        value.filter(|value| value.is_finite()).map_or("–".to_owned(), |value| format!("{value:.3}"))
    };
    let interval = format!("{:.1}–{:.1}", 100.0 * row.accuracy_low, 100.0 * row.accuracy_high);
    vec![
        format!("{} <small>{interval}</small>", percent(Some(row.accuracy))),
        percent(row.macro_f1),
        number(row.out_of_scope_auroc),
        percent(row.containment),
        number(row.ece),
        count(row.parameters),
        bytes(row.bytes),
        duration(row.latency_p50_microseconds),
        duration(row.latency_p99_microseconds),
        count(row.requests_per_second as u64),
        format!("{:.3}", row.cpu_seconds_per_1000),
        bytes(row.peak_bytes),
        percent(row.share_of_teacher_quality),
        row.share_of_teacher_cost.filter(|share| *share > 0.0).map_or("–".to_owned(), |share| {
            if share >= 0.995 { format!("{share:.1} ×") } else { format!("1/{:.0}", 1.0 / share) }
        }),
    ]
}

fn trade(report: &Report) -> String {
    // The majority baseline would squeeze all others into one line.
    let best = report.rows.iter().map(|row| row.accuracy).fold(0.0, f64::max);
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.accuracy > 0.5 * best).collect();
    let points = |x: fn(&Row) -> f64| -> Vec<Point> {
        rows.iter()
            .map(|row| Point { name: &row.name, x: x(row), y: row.accuracy, ships: row.role == Role::Bundle })
            .collect()
    };
    let size = scatter("Accuracy against size", "size", |x| bytes(x as u64), &points(|row| row.bytes as f64));
    let latency =
        scatter("Accuracy against latency", "latency, p50", duration, &points(|row| row.latency_p50_microseconds));
    let figures = figure(&size, "Accuracy against size as shipped.")
        + &figure(&latency, "Accuracy against the time of one request.");
    section("Quality against size and latency", &format!("<div class=\"pair\">{figures}</div>"))
}

fn out_of_scope(report: &Report) -> String {
    let diagram = reliability(&report.reliability_before, &report.reliability_after);
    let caption = format!(
        "The bundle's confidence against the share of right answers: dotted before, solid after dividing its scores by {:.2}. On the diagonal confidence can be believed.",
        report.temperature
    );
    let threshold = match report.threshold {
        Some(threshold) => format!(
            "Requests with a confidence of {:.1} % or more are answered without a person: on the validation texts {:.0} % of those answers are right.",
            100.0 * threshold,
            100.0 * report.promised_precision
        ),
        None => "No confidence keeps the promised precision: every request goes to a person.".to_owned(),
    };
    section("Can its confidence be believed?", &format!("<p>{}</p>{}", escape(&threshold), figure(&diagram, &caption)))
}

fn confusions(report: &Report) -> String {
    if report.confusions.is_empty() {
        return section("What it confuses", "<p>It made no mistake on the in-scope test texts.</p>");
    }
    let mut list = "<ol class=\"pairs\">".to_owned();
    for pair in &report.confusions {
        let share = 100.0 * pair.count as f64 / pair.of.max(1) as f64;
        list += &format!(
            "<li><p><code>{}</code> taken for <code>{}</code> <strong>{} of {}</strong></p><div class=\"bar\"><i style=\"width:{share:.0}%\"></i></div>",
            escape(&pair.truth),
            escape(&pair.answer),
            pair.count,
            pair.of
        );
        pair.examples.iter().for_each(|text| list += &format!("<q>{}</q>", escape(text)));
        list += "</li>";
    }
    section("What it confuses", &(list + "</ol>"))
}

fn training(report: &Report) -> String {
    let figures: String = report
        .curves
        .iter()
        .map(|curve| {
            let best = curve.validations.iter().map(|(_, quality)| *quality).fold(f64::NEG_INFINITY, f64::max);
            let validation = if best.is_finite() {
                format!("; {:.1} % on validation texts at best", 100.0 * best)
            } else {
                String::new()
            };
            figure(&loss(curve), &format!("{}: loss over steps{validation}.", curve.name))
        })
        .collect();
    section("Training", &format!("<div class=\"pair\">{figures}</div>"))
}

fn data(report: &Report) -> String {
    let data = &report.data;
    let mut inside = format!(
        "<p>{} labels. {} texts to learn from, {} to choose with, {} in-scope and {} out-of-scope test texts, {} unlabelled.</p>",
        data.labels, data.train, data.validation, data.test, data.test_out_of_scope, data.unlabelled
    );
    let most = report.funnel.first().map_or(1, |step| step.documents.max(1));
    inside += "<ol class=\"funnel\">";
    for step in &report.funnel {
        let left = step.documents - step.dropped.min(step.documents);
        let width = 100.0 * left as f64 / most as f64;
        inside += &format!(
            "<li><span>{}</span><div class=\"bar\"><i style=\"width:{width:.1}%\"></i></div><small>{left} left, {} dropped</small></li>",
            escape(&step.name),
            step.dropped
        );
    }
    inside += "</ol>";
    if !report.warnings.is_empty() {
        inside += "<h3>Worth a look</h3><ul>";
        report.warnings.iter().take(30).for_each(|warning| inside += &format!("<li>{}</li>", escape(warning)));
        inside += "</ul>";
    }
    if !report.rejects.is_empty() {
        inside += "<details><summary>Some of what was dropped</summary><ul>";
        report.rejects.iter().for_each(|reject| {
            let text: String = reject.text.chars().take(160).collect();
            inside += &format!("<li><q>{}</q> <small>{}</small></li>", escape(&text), escape(&reject.reason));
        });
        inside += "</ul></details>";
    }
    section("Data", &inside)
}

fn reproduction(report: &Report) -> String {
    let mut inside = format!(
        "<p>Seed {}, {} threads, instruction set {}; {:.0} seconds of work, {} of memory at most in the run that wrote this page.</p><table class=\"plain\"><tbody>",
        report.seed,
        report.threads,
        escape(&report.isa),
        report.seconds,
        bytes(report.peak_bytes)
    );
    for (name, seconds) in &report.stages {
        inside += &format!("<tr><th scope=\"row\">{}</th><td>{seconds:.1} s</td></tr>", escape(name));
    }
    section("Reproduce it", &(inside + "</tbody></table>"))
}

fn next(report: &Report) -> String {
    let steps: String = report.next_steps.iter().map(|step| format!("<li>{}</li>", escape(step))).collect();
    section("What to try next", &format!("<ul>{steps}</ul>"))
}
