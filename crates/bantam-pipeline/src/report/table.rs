//! The results as a table for the terminal: at most 120 columns, figures aligned on the right, the verdict below.

use super::number::{NONE, bytes, fraction, microseconds, percent, rate, short_count, short_seconds, unit_or_none};
use super::{Report, Row};

/// Columns of a terminal that the table keeps within.
const WIDTH: usize = 120;
/// Columns that a name may take at most, and at least where the figures are wide.
const NAME_WIDTHS: (usize, usize) = (24, 8);
/// Columns before what to try next.
const STEP_INDENT: usize = 6;
/// Columns between columns.
const GAP: usize = 2;

const HEADERS: [[&str; 2]; 12] = [
    ["", "model"],
    ["accuracy %", "95 % interval"],
    ["scope", "AUROC"],
    ["% con-", "tained"],
    ["para-", "meters"],
    ["", "size"],
    ["latency", "p50"],
    ["", "p99"],
    ["answers", "per s"],
    ["CPU s", "/1,000"],
    ["% of", "teacher"],
    ["at cost", "of"],
];

/// The results, at most 120 columns wide, with the verdict below.
pub fn text_table(report: &Report) -> String {
    if report.rows.is_empty() {
        return format!("{}\n", report.verdict());
    }
    let mut rows: Vec<[String; 12]> = report.rows.iter().map(cells).collect();
    let width = |rows: &[[String; 12]], column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        let headers = HEADERS[column].iter().map(|header| header.chars().count());
        cells.chain(headers).max().unwrap_or(0)
    };
    let figures: usize = (1..12).map(|column| GAP + width(&rows, column)).sum();
    let room = WIDTH.saturating_sub(figures).clamp(NAME_WIDTHS.1, NAME_WIDTHS.0);
    rows.iter_mut().for_each(|row| row[0] = short(&row[0], room));
    let widths: [usize; 12] = std::array::from_fn(|column| width(&rows, column));
    let mut text = String::new();
    for line in 0..2 {
        push_line(&mut text, &HEADERS.map(|header| header[line].to_owned()), &widths);
    }
    text.push_str(&"─".repeat(widths.iter().sum::<usize>() + GAP * (widths.len() - 1)));
    text.push('\n');
    for row in &rows {
        push_line(&mut text, row, &widths);
    }
    text.push('\n');
    push_wrapped(&mut text, &report.verdict());
    text
}

/// What to try next, a line or more for each; empty where there is nothing.
pub fn text_next_steps(report: &Report) -> String {
    let mut text = String::new();
    for (index, step) in report.next_steps.iter().enumerate() {
        text.push_str(if index == 0 { "next  " } else { "      " });
        push_wrapped_from(&mut text, step, STEP_INDENT);
    }
    text
}

fn cells(row: &Row) -> [String; 12] {
    [
        row.name.clone(),
        interval(row),
        unit_or_none(row.out_of_scope_auroc),
        percent(row.containment.unwrap_or(f64::NAN)),
        short_count(row.parameters as f64),
        bytes(row.bytes),
        microseconds(row.latency_p50_microseconds),
        microseconds(row.latency_p99_microseconds),
        rate(row.requests_per_second),
        short_seconds(row.cpu_seconds_per_1000),
        percent(row.share_of_teacher_quality.unwrap_or(f64::NAN)),
        row.share_of_teacher_cost.map_or_else(|| NONE.to_owned(), fraction),
    ]
}

/// The accuracy with its interval, or alone where there is none.
fn interval(row: &Row) -> String {
    let accuracy = percent(row.accuracy);
    if row.accuracy_low.is_finite() && row.accuracy_high.is_finite() {
        format!("{accuracy} {}..{}", percent(row.accuracy_low), percent(row.accuracy_high))
    } else {
        accuracy
    }
}

/// A name on one line, cut where it is long; control characters would break the line.
fn short(name: &str, room: usize) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if name.chars().count() <= room {
        return name;
    }
    name.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

fn push_line(text: &mut String, cells: &[String], widths: &[usize]) {
    let mut line = String::new();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
        match index {
            0 => line.extend([cell.as_str(), &padding]),
            _ => line.extend(["  ", &padding, cell]),
        }
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn push_wrapped(text: &mut String, sentence: &str) {
    push_wrapped_from(text, sentence, 0);
}

/// Wraps a sentence whose lines begin at a column; the first line is there already.
fn push_wrapped_from(text: &mut String, sentence: &str, indent: usize) {
    let mut column = indent;
    for word in sentence.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap()
    }

    #[test]
    fn it_fits_a_terminal_and_shows_every_row() {
        let mut report = sample::report();
        report.rows[0].name = "a baseline with a very long name\nand a second line".to_owned();
        report.rows[2].requests_per_second = 1_234_567.0;
        report.rows[2].parameters = 13_800_000_000;
        let text = text_table(&report);
        assert!(widest(&text) <= WIDTH, "{} columns:\n{text}", widest(&text));
        for shown in ["TF-IDF + linear SVM", "93.0 92.2..93.7", "0.939", "1.2 MB", "97 µs", "98.1", "1/63"] {
            assert!(text.contains(shown), "{shown} is missing:\n{text}");
        }
        assert!(text.trim_end().ends_with("points."), "{text}");
    }

    #[test]
    fn next_steps_stand_below_each_other() {
        let mut report = sample::report();
        report.next_steps = vec!["Talk to it.".to_owned(), "word ".repeat(40)];
        let text = text_next_steps(&report);
        assert!(text.starts_with("next  Talk to it.\n      word word") && widest(&text) <= WIDTH, "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert_eq!(text_next_steps(&Report::default()), "");
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        let mut report = sample::report();
        let row = &mut report.rows[5];
        (row.accuracy, row.accuracy_low, row.cpu_seconds_per_1000) = (f64::NAN, f64::NAN, f64::INFINITY);
        (row.out_of_scope_auroc, row.containment, row.share_of_teacher_cost) = (None, Some(f64::NAN), None);
        let text = text_table(&report);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert_eq!(text_table(&Report::default()), "Nothing was measured.\n");
    }
}
