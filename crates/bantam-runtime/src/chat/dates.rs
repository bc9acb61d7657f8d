//! Dates and times as templates ask for them: `strftime` of C, in UTC.

/// A moment, `seconds` after the beginning of 1970, in the form that `pattern` says. `None` for a sign that is not known.
pub(super) fn formatted(pattern: &str, seconds: u64) -> Option<String> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let (month_name, day_name) = (MONTHS[month as usize - 1], DAYS[(days % 7) as usize]);
    let twelve = (hour + 11) % 12 + 1;
    let mut text = String::new();
    let mut signs = pattern.chars();
    while let Some(sign) = signs.next() {
        if sign != '%' {
            text.push(sign);
            continue;
        }
        let sign = signs.next()?;
        let (sign, is_bare) = if sign == '-' { (signs.next()?, true) } else { (sign, false) };
        let two = |number: u64| if is_bare { number.to_string() } else { format!("{number:02}") };
        text += &match sign {
            'Y' => year.to_string(),
            'y' => two(year % 100),
            'm' => two(month),
            'd' => two(day),
            'H' => two(hour),
            'I' => two(twelve),
            'M' => two(minute),
            'S' => two(second),
            'B' => month_name.to_owned(),
            'b' => month_name[..3].to_owned(),
            'A' => day_name.to_owned(),
            'a' => day_name[..3].to_owned(),
            'p' => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
            'Z' => "UTC".to_owned(),
            'F' => format!("{year}-{month:02}-{day:02}"),
            'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            '%' => "%".to_owned(),
            _ => return None,
        };
    }
    Some(text)
}

/// Year, month and day of a day after the first of 1970 (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * shifted + 2) / 5 + 1, (shifted + 2) % 12 + 1);
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_python() {
        // From Python's datetime.fromtimestamp(seconds, UTC).strftime(pattern).
        let pattern = "%d %b %Y, %A %H:%M:%S %I %p %-d.%-m.%y %B %a %%";
        assert_eq!(formatted(pattern, 0).unwrap(), "01 Jan 1970, Thursday 00:00:00 12 AM 1.1.70 January Thu %");
        let leap = formatted(pattern, 1_709_210_096).unwrap();
        assert_eq!(leap, "29 Feb 2024, Thursday 12:34:56 12 PM 29.2.24 February Thu %");
        assert_eq!(formatted("%F %T", 4_102_444_799).unwrap(), "2099-12-31 23:59:59");
        assert_eq!(formatted("%Q", 0), None);
    }
}
