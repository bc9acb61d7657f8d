//! The figures of what ships in large, and all rows in two tables: quality, and cost. On a phone each row is a card.

use crate::report::number::{
    NONE, bytes, fraction, microseconds, percent, percent_or_none, rate, short_count, short_seconds, unit_or_none,
};
use crate::report::{Report, Row};

use super::escape::escape;

/// A column: its name in the head of a table and on a card, what it means, and its text.
struct Column {
    name: &'static str,
    meaning: &'static str,
    cell: fn(&Row) -> String,
}

const fn column(name: &'static str, meaning: &'static str, cell: fn(&Row) -> String) -> Column {
    Column { name, meaning, cell }
}

const QUALITY: [Column; 8] = [
    column("Accuracy", "share of in-scope test texts answered right, with its 95 % interval", accuracy),
    column("Of teacher’s accuracy", "accuracy over the teacher's", |row| {
        percent_or_none(row.share_of_teacher_quality)
    }),
    column("Macro F1", "F1, averaged over the labels", |row| unit_or_none(row.macro_f1)),
    column("Contained", "share of all requests, those out of scope included, answered without a person", |row| {
        percent_or_none(row.containment)
    }),
    column("Scope AUROC", "how well confidence tells in scope from out of scope", |row| {
        unit_or_none(row.out_of_scope_auroc)
    }),
    column("Scope recall", "out-of-scope texts found at the allowed loss of accuracy", |row| {
        percent_or_none(row.out_of_scope_recall)
    }),
    column("ECE", "expected calibration error after the temperature; less is better", |row| unit_or_none(row.ece)),
    column("Brier", "Brier score after the temperature; less is better", |row| unit_or_none(row.brier)),
];

const COST: [Column; 8] = [
    column("Parameters", "numbers learned", |row| short_count(row.parameters as f64)),
    column("Size", "bytes as shipped", |row| bytes(row.bytes)),
    column("Memory, about", "its size, and the most that the process grew by while it answered", |row| {
        bytes(row.peak_bytes)
    }),
    column("p50", "half of the single requests take at most this long", |row| {
        microseconds(row.latency_p50_microseconds)
    }),
    column("p99", "99 of 100 single requests take at most this long", |row| microseconds(row.latency_p99_microseconds)),
    column("Requests/s", "in batches, on all threads", |row| rate(row.requests_per_second)),
    column("CPU s per 1,000", "processor seconds per 1,000 single requests", |row| {
        escape(&short_seconds(row.cpu_seconds_per_1000))
    }),
    column("Of teacher’s cost", "processor seconds over the teacher's", |row| {
        row.share_of_teacher_cost.map_or_else(|| NONE.to_owned(), fraction)
    }),
];

fn accuracy(row: &Row) -> String {
    let interval = if row.accuracy_low.is_finite() && row.accuracy_high.is_finite() {
        format!(" <small>{}–{}</small>", percent(row.accuracy_low), percent(row.accuracy_high))
    } else {
        String::new()
    };
    format!("{}{interval}", percent_or_none(Some(row.accuracy)))
}

/// What ships in a few large figures.
pub(super) fn headline(report: &Report) -> String {
    let Some(row) = report.shipped() else { return String::new() };
    let figures = [
        (percent_or_none(Some(row.accuracy)), "accuracy in scope"),
        (percent_or_none(row.containment), "answered without a person"),
        (microseconds(row.latency_p50_microseconds), "per request, half of the time"),
        (bytes(row.bytes), "as one file"),
        (row.share_of_teacher_cost.map_or_else(|| NONE.to_owned(), fraction), "of the teacher’s cost"),
    ];
    let items: String = figures
        .iter()
        .filter(|(figure, _)| figure != NONE)
        .map(|(figure, name)| format!("<div><dd>{figure}</dd><dt>{name}</dt></div>\n"))
        .collect();
    format!("<dl class=\"headline\">\n{items}</dl>\n")
}

/// Both tables.
pub(super) fn tables(report: &Report) -> String {
    if report.rows.is_empty() {
        return "<p>Nothing was measured.</p>\n".to_owned();
    }
    table(report, "Quality", &QUALITY) + &table(report, "Cost", &COST)
}

fn table(report: &Report, caption: &str, columns: &[Column]) -> String {
    let heads: String = columns
        .iter()
        .map(|column| format!("<th scope=\"col\" title=\"{}\">{}</th>", escape(column.meaning), column.name))
        .collect();
    let shipped = report.shipped();
    let row = |row: &Row| {
        let cells: String = columns
            .iter()
            .map(|column| format!("<td data-label=\"{}\">{}</td>", column.name, (column.cell)(row)))
            .collect();
        let ships = if shipped.is_some_and(|shipped| std::ptr::eq(shipped, row)) { " ships" } else { "" };
        let role = row.role.word();
        format!(
            "<tr class=\"{role}{ships}\"><th scope=\"row\"><i class=\"key {role}\"></i>{}</th>{cells}</tr>\n",
            escape(&row.name)
        )
    };
    let rows: String = report.rows.iter().map(row).collect();
    format!(
        "<div class=\"scroll\"><table>\n<caption>{caption}</caption>\n\
         <thead><tr><th scope=\"col\">Model</th>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}
