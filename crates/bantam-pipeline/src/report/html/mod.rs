//! The results as one page for people: nothing is loaded from elsewhere, and nothing runs.

mod confusions;
mod curves;
mod escape;
mod funnel;
mod labels;
mod notes;
mod reliability;
mod results;
mod scale;
mod scatter;
mod svg;

use super::{Report, Standing};
use escape::escape;

const STYLE: &str = include_str!("style.css");

/// One self-contained page. Every text from outside is escaped; what was not measured is left out or a dash.
pub fn to_html(report: &Report) -> String {
    let recipe = escape(&report.recipe);
    let standing = match report.standing() {
        Standing::Wins => "wins",
        Standing::Level => "level",
        Standing::Loses => "loses",
        Standing::Unknown => "unknown",
    };
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{recipe}: what was measured</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header class=\"{standing}\">\n<p class=\"kicker\">Bantam report <span>{recipe}</span></p>\n<h1>{}</h1>\n{}</header>\n",
        headline(&report.verdict()),
        results::headline(report)
    );
    let drawings =
        |html: String| if html.is_empty() { html } else { format!("<div class=\"figures\">\n{html}</div>\n") };
    let sections = [
        ("Results", results::tables(report)),
        ("Quality against cost", drawings(scatter::figures(report))),
        ("What it confuses", confusions::section(report)),
        ("How sure it is", drawings(reliability::figures(report))),
        ("Training", drawings(curves::figures(report))),
        ("Data and warnings", notes::data(report)),
        ("Curation", funnel::section(report)),
        ("Getting the same again", notes::reproducibility(report)),
        ("What to try next", notes::next_steps(report)),
    ];
    for (title, body) in sections.iter().filter(|(_, body)| !body.is_empty()) {
        page.push_str(&format!("<section>\n<h2>{title}</h2>\n{body}</section>\n"));
    }
    page + "</main>\n</body>\n</html>\n"
}

/// A sentence set large: typographic apostrophes, and no break within numbers and hyphenated words.
fn headline(sentence: &str) -> String {
    escape(&sentence.replace('\'', "’").replace(" %", "\u{202f}%").replace('-', "\u{2011}"))
}

#[cfg(test)]
mod tests;
