//! The known name that an unknown one may be a slip of.

/// The nearest of `names`, if less than a third of the letters differ.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Long ones are no slips, and would take long to compare.
    let name: String = name.chars().take(65).collect();
    let near = names.map(|known| (strsim::levenshtein(&name, known), known));
    near.filter(|&(distance, _)| distance * 3 < name.chars().count()).min().map(|(_, known)| known)
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
