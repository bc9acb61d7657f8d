//! Texts that are the same, or nearly.

mod near;

pub use near::{Fingerprint, Near, NearIndex, NearOptions, Shingle};

use unicode_normalization::{UnicodeNormalization, is_nfkc};

/// The form in which two texts are compared for being the same: NFKC, lower case, without punctuation (apostrophes join,
/// other marks separate), one space between words. Signs with a meaning of their own (`+ # % $ & @`) stay. A text of
/// nothing but punctuation keeps it.
pub fn comparable(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    if is_nfkc(text) {
        compare_into(text.chars(), &mut result);
    } else {
        compare_into(text.nfkc(), &mut result);
    }
    if result.is_empty() { text.nfkc().filter(|character| !character.is_whitespace()).collect() } else { result }
}

fn compare_into(characters: impl Iterator<Item = char>, result: &mut String) {
    let mut gap = false;
    for character in characters {
        if matches!(character, '\'' | '\u{2019}' | '\u{2018}' | '`' | '\u{b4}') || character.is_control() {
            continue;
        }
        if character.is_whitespace() || is_punctuation(character) {
            gap = true;
            continue;
        }
        if gap && !result.is_empty() {
            result.push(' ');
        }
        gap = false;
        result.extend(character.to_lowercase());
    }
}

fn is_punctuation(character: char) -> bool {
    matches!(
        character,
        '.' | ','
            | ';'
            | ':'
            | '!'
            | '?'
            | '"'
            | '('
            | ')'
            | '['
            | ']'
            | '{'
            | '}'
            | '-'
            | '_'
            | '/'
            | '\\'
            | '|'
            | '~'
            | '^'
            | '*'
    ) || matches!(character, '¡' | '¿' | '«' | '»' | '·' | '\u{2010}'..='\u{206f}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '।')
}

#[cfg(test)]
mod tests {
    use super::comparable;

    #[test]
    fn case_punctuation_and_width_do_not_count() {
        for text in ["What's my PIN?", "whats my pin", "  WHAT\u{2019}S, my... pin!", "ｗｈａｔｓ my pin"] {
            assert_eq!(comparable(text), "whats my pin");
        }
    }

    #[test]
    fn signs_with_meaning_and_bare_punctuation_stay() {
        assert_ne!(comparable("c++"), comparable("c#"));
        assert_ne!(comparable("?"), comparable("!"));
        assert_eq!(comparable(" \n"), "");
    }
}
