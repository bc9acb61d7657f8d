//! Numbers as people read them. What is not finite is a dash, never "NaN".

/// Stands for what was not or could not be measured.
pub(super) const NONE: &str = "–";

/// With `decimals` places, and thin groups of three before the point where the whole part has five digits or more.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let text = format!("{value:.decimals$}");
    let text = if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
        text.trim_start_matches('-').to_owned()
    } else {
        text
    };
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), String::new()), |(a, b)| (a, format!(".{b}")));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("−", digits));
    if digits.len() < 4 {
        return format!("{sign}{digits}{rest}");
    }
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

/// A count.
pub(super) fn count(value: u64) -> String {
    fixed(value as f64, 0)
}

/// Three digits that mean something, without trailing noise: 0.0123, 1.23, 12.3, 123, 1,234.
pub(super) fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return fixed(value, 0);
    }
    let decimals = (2 - value.abs().log10().floor() as i64).clamp(0, 6);
    fixed(value, usize::try_from(decimals).unwrap_or(0))
}

/// A share of 0 to 1 in per cent, without its sign: 93.4.
pub(super) fn percent(share: f64) -> String {
    fixed(share * 100.0, 1)
}

/// A share that may be missing, in per cent with its sign, which keeps to its number.
pub(super) fn percent_or_none(share: Option<f64>) -> String {
    match share.filter(|share| share.is_finite()) {
        Some(share) => format!("{}\u{202f}%", percent(share)),
        None => NONE.to_owned(),
    }
}

/// A figure of 0 to 1 that may be missing, with three places.
pub(super) fn unit_or_none(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| fixed(value, 3))
}

/// With the prefix that leaves one to three digits before the point; from `whole_from` on without decimals.
fn prefixed(value: f64, steps: &[(f64, &str)], least: &str, whole_from: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    // A value that rounds up to the next prefix belongs to it: 999,999 bytes are a megabyte.
    match steps.iter().find(|(size, _)| value >= size * 0.9995) {
        Some((size, unit)) => {
            let scaled = value / size;
            format!("{} {unit}", fixed(scaled, usize::from(scaled < whole_from)))
        }
        // A tenth of a microsecond is still more than nothing.
        None => format!("{} {least}", fixed(value, usize::from(value > 0.0 && value < 9.95 && value.fract() > 0.0)))
            .trim_end()
            .to_owned(),
    }
}

/// Bytes in powers of a thousand.
pub(super) fn bytes(value: u64) -> String {
    prefixed(value as f64, &[(1e9, "GB"), (1e6, "MB"), (1e3, "kB")], "B", 99.95)
}

/// A count in thousands or millions.
pub(super) fn short_count(value: f64) -> String {
    prefixed(value, &[(1e9, "G"), (1e6, "M"), (1e3, "k")], "", 99.95)
}

/// A count per second, shortened where there are very many.
pub(super) fn rate(value: f64) -> String {
    if value < 1e6 { fixed(value, 0) } else { short_count(value) }
}

/// Microseconds in the unit that suits them.
pub(super) fn microseconds(value: f64) -> String {
    prefixed(value, &[(1e6, "s"), (1e3, "ms")], "µs", 9.95)
}

/// Seconds in the unit that suits them.
pub(super) fn seconds(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    match value.round() as u64 {
        0..=9 => format!("{} s", fixed(value, 1)),
        whole @ 10..=59 => format!("{whole} s"),
        whole @ 60..=7_199 => format!("{} min {:02} s", whole / 60, whole % 60),
        whole => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
    }
}

/// Seconds with three digits, but not finer than a reader needs.
pub(super) fn short_seconds(value: f64) -> String {
    if value > 0.0 && value < 0.001 { "<0.001".to_owned() } else { significant(value) }
}

/// A share of a cost: "1/63" where it is small, per cent otherwise.
pub(super) fn fraction(share: f64) -> String {
    if !share.is_finite() || share <= 0.0 {
        NONE.to_owned()
    } else if share < 0.4 {
        let times = 1.0 / share;
        if times < 9_999.5 { format!("1/{}", fixed(times, 0)) } else { format!("1/{}", short_count(times)) }
    } else {
        format!("{} %", fixed(share * 100.0, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_nan() {
        assert_eq!(fixed(1_234_567.0, 0), "1,234,567");
        assert_eq!((fixed(-0.001, 1), fixed(-1.25, 1)), ("0.0".into(), "−1.2".into()));
        assert_eq!((significant(0.012_345), significant(1234.5)), ("0.0123".into(), "1,234".into()));
        assert_eq!((bytes(999_999), bytes(2_340_000), bytes(812)), ("1.0 MB".into(), "2.3 MB".into(), "812 B".into()));
        assert_eq!((short_count(912_000.0), short_count(150.0)), ("912 k".into(), "150".into()));
        assert_eq!((microseconds(97.2), microseconds(5_120.0)), ("97 µs".into(), "5.1 ms".into()));
        assert_eq!((seconds(3.21), seconds(754.0), seconds(7_500.0)).0, "3.2 s");
        assert_eq!((seconds(754.0), seconds(7_500.0)), ("12 min 34 s".into(), "2 h 05 min".into()));
        assert_eq!(
            (fraction(1.0 / 63.2), fraction(0.83), fraction(1.0)),
            ("1/63".into(), "83 %".into(), "100 %".into())
        );
        for value in [f64::NAN, f64::INFINITY] {
            let all = [fixed(value, 1), significant(value), percent(value), microseconds(value), seconds(value)];
            assert!(all.iter().all(|text| text == NONE), "{all:?}");
            assert_eq!((fraction(value), percent_or_none(Some(value))), (NONE.into(), NONE.into()));
        }
    }
}
