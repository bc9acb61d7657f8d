//! Text from outside, made safe to stand in a page.

/// `text` with the characters that HTML gives a meaning replaced, in content and in quoted attributes. Control
/// characters, which no page may contain, become spaces.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Escaped text in which what stands between grave accents is set as code.
pub(super) fn with_code(text: &str) -> String {
    let escaped = escape(text);
    let parts: Vec<&str> = escaped.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return escaped;
    }
    let part = |(index, part): (usize, &&str)| match index % 2 {
        1 => format!("<code>{part}</code>"),
        _ => (*part).to_owned(),
    };
    parts.iter().enumerate().map(part).collect()
}

/// At most `most` characters of `text`, with an ellipsis where there are more.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        assert_eq!(escape("<b a=\"1\" b='2'>&\u{0}"), "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp; ");
        assert_eq!(with_code("run `a<b` now"), "run <code>a&lt;b</code> now");
        assert_eq!(with_code("one ` alone"), "one ` alone");
        assert_eq!((shortened("größer", 4), shortened("abc", 3)), ("größ…".into(), "abc".into()));
    }
}
