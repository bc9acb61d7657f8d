//! The known name that an unknown one may be a slip of.

/// The nearest of `names`, if less than a third of the letters differ.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Long ones are no slips, and would take long to compare.
    let name: Vec<char> = name.chars().take(65).collect();
    let near = names.map(|known| (distance(&name, &known.chars().collect::<Vec<_>>()), known));
    near.filter(|&(distance, _)| distance * 3 < name.len()).min().map(|(_, known)| known)
}

/// How many letters have to be put in, left out or changed.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, letter) in a.iter().enumerate() {
        let mut before = std::mem::replace(&mut row[0], index + 1);
        for (place, other) in b.iter().enumerate() {
            let changed = before + usize::from(letter != other);
            before = row[place + 1];
            row[place + 1] = changed.min(before + 1).min(row[place] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let names = || ["temperature", "top_p", "top_k", "max_tokens"].into_iter();
        let near = |name| nearest(name, names());
        assert_eq!(near("temprature"), Some("temperature"));
        assert_eq!((near("maxTokens"), near("max_token")), (Some("max_tokens"), Some("max_tokens")));
        assert_eq!((near("topp"), near("stop"), near("")), (Some("top_p"), None, None));
        assert_eq!(near(&"t".repeat(100_000)), None);
    }
}
