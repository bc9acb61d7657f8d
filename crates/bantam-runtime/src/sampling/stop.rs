//! Stop strings: where a reply ends, and how much of it may be shown before that is known.

/// What became of a piece of text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// Text that may be shown now, after all that was shown before.
    pub text: String,
    /// The stop string that ends the reply, once it is met.
    pub stop: Option<StopMatch>,
}

/// Where a stop string was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopMatch {
    /// Which of the strings, from 0.
    pub index: usize,
    /// Bytes of text before it: all of the text that is shown.
    pub offset: usize,
}

/// Looks for stop strings in text that comes in pieces. Text that may be the beginning of one is held back until it is
/// known not to be. The match that is complete first ends the reply; of those that end together, the longest; so the
/// result does not depend on where the pieces begin and end.
#[derive(Debug, Clone, Default)]
pub struct StopStrings {
    strings: Vec<String>,
    held: String,
    shown_bytes: usize,
    met: Option<StopMatch>,
}

impl StopStrings {
    /// Looks for these strings. An empty one is never met.
    pub fn new(strings: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { strings: strings.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Takes the next piece of text. After a stop string was met nothing is shown any more.
    pub fn push(&mut self, piece: &str) -> Shown {
        if self.met.is_some() {
            return Shown { text: String::new(), stop: self.met };
        }
        self.held.push_str(piece);
        let found = self.first_match();
        let until = found.map_or_else(|| self.held.len() - self.beginning(), |(start, _)| start);
        let rest = self.held.split_off(until);
        let text = std::mem::replace(&mut self.held, rest);
        self.shown_bytes += text.len();
        if let Some((_, index)) = found {
            self.held.clear();
            self.met = Some(StopMatch { index, offset: self.shown_bytes });
        }
        Shown { text, stop: self.met }
    }

    /// The text that is still held back, for when the reply ends without a stop string.
    pub fn finish(&mut self) -> String {
        let text = std::mem::take(&mut self.held);
        self.shown_bytes += text.len();
        text
    }

    /// Where the match that is complete first begins, and which string it is.
    fn first_match(&self) -> Option<(usize, usize)> {
        let strings = self.strings.iter().enumerate().filter(|(_, string)| !string.is_empty());
        let matches = strings.filter_map(|(index, string)| Some((self.held.find(string)?, string.len(), index)));
        matches
            .min_by_key(|&(start, length, index)| (start + length, start, index))
            .map(|(start, _, index)| (start, index))
    }

    /// The length of the longest end of the text that begins a stop string.
    fn beginning(&self) -> usize {
        let held = self.held.as_bytes();
        let begins = |string: &String| {
            let most = held.len().min(string.len().saturating_sub(1));
            (1..=most).rev().find(|&length| held.ends_with(&string.as_bytes()[..length])).unwrap_or(0)
        };
        self.strings.iter().map(begins).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use bantam_model::Random;

    use super::*;

    /// Shown text and match of pieces, with what is held at the end.
    fn run(strings: &[&str], pieces: &[&str]) -> (String, Option<StopMatch>) {
        let mut stop = StopStrings::new(strings.iter().copied());
        let (mut text, mut met) = (String::new(), None);
        for piece in pieces {
            let shown = stop.push(piece);
            text += &shown.text;
            met = shown.stop;
        }
        (text + &stop.finish(), met)
    }

    /// By its definition: reads character by character, and after each looks whether a string ends here.
    fn twin(strings: &[&str], text: &str) -> (String, Option<StopMatch>) {
        for end in (0..=text.len()).filter(|&end| text.is_char_boundary(end)) {
            let ending = strings.iter().enumerate().filter(|(_, s)| !s.is_empty() && text[..end].ends_with(**s));
            if let Some((index, string)) = ending.max_by_key(|(index, s)| (s.len(), usize::MAX - index)) {
                let offset = end - string.len();
                return (text[..offset].to_owned(), Some(StopMatch { index, offset }));
            }
        }
        (text.to_owned(), None)
    }

    #[test]
    fn any_pieces_give_what_the_whole_text_gives() {
        let alphabet = ["a", "b", "é", "🙂"];
        let mut random = Random::new(4, 0);
        let word = |random: &mut Random, most: usize| -> String {
            (0..random.below(most + 1)).map(|_| alphabet[random.below(4)]).collect()
        };
        let mut met = 0;
        for _ in 0..5_000 {
            let strings: Vec<String> = (0..random.below(4)).map(|_| word(&mut random, 4)).collect();
            let strings: Vec<&str> = strings.iter().map(String::as_str).collect();
            let pieces: Vec<String> = (0..random.below(8)).map(|_| word(&mut random, 3)).collect();
            let expected = twin(&strings, &pieces.concat());
            met += usize::from(expected.1.is_some());
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            assert_eq!(run(&strings, &pieces), expected, "{strings:?} in {pieces:?}");
        }
        assert!((500..4_500).contains(&met), "{met} of 5000 texts had a stop string");
    }

    #[test]
    fn only_what_may_begin_a_stop_string_is_held_back() {
        let mut stop = StopStrings::new(["\nUser:", "</s>"]);
        assert_eq!(stop.push("Hello").text, "Hello");
        assert_eq!(stop.push(" there\nUs").text, " there");
        assert_eq!(stop.push("age: <").text, "\nUsage: ");
        assert_eq!(stop.push("/").text, "");
        let last = stop.push("s> more");
        assert_eq!(last, Shown { text: String::new(), stop: Some(StopMatch { index: 1, offset: 19 }) });
        assert_eq!(stop.push("even more"), Shown { text: String::new(), stop: last.stop });
        assert_eq!(stop.finish(), "");
    }
}
