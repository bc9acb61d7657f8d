//! The table for a terminal.

use super::{Report, Row, bytes, count, duration, percent};

const HEAD: [&str; 11] = [
    "model",
    "accuracy",
    "95 % interval",
    "oos auroc",
    "contained",
    "params",
    "size",
    "p50",
    "req/s",
    "of teacher",
    "cost",
];

/// The rows as aligned text, at most 120 columns wide, and the verdict.
pub fn text_table(report: &Report) -> String {
    let mut lines = vec![HEAD.map(str::to_owned).to_vec()];
    lines.extend(report.rows.iter().map(cells));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            // Names begin on the left, numbers end on the right.
            text += &if column == 0 { format!("{cell}{pad}") } else { format!("  {pad}{cell}") };
        }
        text.push('\n');
    }
    format!("\n{text}\n{}\n", report.verdict())
}

fn cells(row: &Row) -> Vec<String> {
    let name: String = row.name.chars().take(24).collect();
    let auroc = row.out_of_scope_auroc.map_or("–".to_owned(), |area| format!("{area:.3}"));
    let cost = row.share_of_teacher_cost.filter(|&share| share > 0.0).map_or("–".to_owned(), |share| {
        if share >= 0.995 { format!("{share:.1}x") } else { format!("1/{:.0}", 1.0 / share) }
    });
    vec![
        name,
        percent(Some(row.accuracy)),
        format!("{:.1}–{:.1}", 100.0 * row.accuracy_low, 100.0 * row.accuracy_high),
        auroc,
        percent(row.containment),
        count(row.parameters),
        bytes(row.bytes),
        duration(row.latency_p50_microseconds),
        count(row.requests_per_second as u64),
        percent(row.share_of_teacher_quality),
        cost,
    ]
}
