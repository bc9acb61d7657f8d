//! Days: in numbers, with the name of a month, or as people say them.

use super::{Finder, Needs};

pub(super) const FINDER: Finder = Finder {
    kind: "date",
    needs: Needs::Nothing,
    pattern: r"(?ix)\b(?:
        \d{4}-\d{1,2}-\d{1,2}
        | \d{1,2}[/.]\d{1,2}[/.](?:\d{4}|\d{2})
        | (?:the\s+)?\d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)(?:,?\s+\d{4})?
        | (?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\s+\d{1,2}(?:st|nd|rd|th)?(?:,?\s+\d{4})?
        | (?:(?:last|next|this)\s+)?(?:mon|tues|wednes|thurs|fri|satur|sun)day
        | yesterday | today | tomorrow | tonight
        | (?:last|next|this)\s+(?:week(?:end)?|month|year)
        | the\s+\d{1,2}(?:st|nd|rd|th)
    )\b",
    usual,
};

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// `2026-03-14` where day, month and year are certain; else the words, in small letters.
fn usual(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let numbers: Vec<u32> =
        words.iter().filter_map(|word| word.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse().ok()).collect();
    let month = words.iter().find_map(|word| MONTHS.iter().position(|month| word.starts_with(month)));
    let is_day = |day: u32| (1..=31).contains(&day);
    let as_said = || Some(words.join(" "));
    match (month, numbers.as_slice()) {
        (Some(month), &[day, year]) if is_day(day) => Some(iso(year, month as u32 + 1, day)),
        (Some(_), &[day]) if is_day(day) => as_said(),
        (None, &[year, month, day]) if lower.contains('-') => {
            (is_day(day) && (1..=12).contains(&month)).then(|| iso(year, month, day))
        }
        (None, &[first, second, year]) => match ((1..=12).contains(&first), (1..=12).contains(&second)) {
            // 03/04 is read differently in London and in New York.
            (true, true) if first != second => Some(lower.clone()),
            (_, true) if is_day(first) => Some(iso(year, second, first)),
            (true, false) if is_day(second) => Some(iso(year, first, second)),
            _ => None,
        },
        (None, &[day]) => is_day(day).then(as_said).flatten(),
        (None, []) => as_said(),
        _ => None,
    }
}

fn iso(year: u32, month: u32, day: u32) -> String {
    let year = if year < 100 { 2000 + year } else { year };
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn certain_dates_become_iso_and_others_stay_words() {
        super::super::check(
            "date",
            &[
                ("bought on 3 March", Some("3 march")),
                ("bought on 3rd of March 2026", Some("2026-03-03")),
                ("March 3rd, 2026", Some("2026-03-03")),
                ("14/03/2026", Some("2026-03-14")),
                ("03/14/26", Some("2026-03-14")),
                ("03/04/2026", Some("03/04/2026")),
                ("paid 2026-03-14", Some("2026-03-14")),
                ("deliver it next  Tuesday", Some("next tuesday")),
                ("it came Yesterday", Some("yesterday")),
                ("by the 14th", Some("the 14th")),
                ("since last week", Some("last week")),
                ("2026-13-45", None),
                ("version 99.99.99", None),
                ("may I ask", None),
                ("march on", None),
                ("the 99th time", None),
            ],
        );
    }
}
