//! Pasts of texts that have ended, for texts that begin like them.

use bantam_model::Past;

/// Texts that are kept at most: more would take longer to look through than they spare.
const MOST: usize = 512;

/// Texts and what was read of them, the longest unused first. None is the beginning of another.
#[derive(Default)]
pub(super) struct Prefixes {
    kept: Vec<(Vec<u32>, Past)>,
}

impl Prefixes {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Keeps a past with the tokens that it was read from, if there are any.
    pub(super) fn keep(&mut self, tokens: Vec<u32>, past: Past) {
        if tokens.is_empty() {
            return;
        }
        if let Some(index) = self.kept.iter().position(|(kept, _)| kept.starts_with(&tokens)) {
            return self.touch(index);
        }
        self.kept.retain(|(kept, _)| !tokens.starts_with(kept));
        if self.kept.len() == MOST {
            self.kept.remove(0);
        }
        self.kept.push((tokens, past));
    }

    /// The past that begins like `tokens` for longest, and for how long; it counts as used.
    pub(super) fn longest(&mut self, tokens: &[u32]) -> Option<(usize, &Past)> {
        let lengths = self.kept.iter().map(|(kept, _)| common(kept, tokens));
        let (index, length) = lengths.enumerate().max_by_key(|&(_, length)| length)?;
        self.touch(index);
        self.kept.last().map(|(_, past)| (length, past))
    }

    /// Forgets the longest unused; false when there is none.
    pub(super) fn forget_one(&mut self) -> bool {
        !self.kept.is_empty() && {
            self.kept.remove(0);
            true
        }
    }

    fn touch(&mut self, index: usize) {
        self.kept[index..].rotate_left(1);
    }
}

/// How many tokens two texts have in common at their beginnings.
pub(super) fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_is_found_and_the_longest_unused_is_forgotten() {
        let mut prefixes = Prefixes::default();
        assert!(prefixes.longest(&[1]).is_none() && !prefixes.forget_one());
        [&[1, 2, 3, 4][..], &[1, 2, 9], &[7, 8]]
            .into_iter()
            .for_each(|tokens| prefixes.keep(tokens.to_vec(), Past::new()));
        assert_eq!(prefixes.longest(&[1, 2, 3, 5]).unwrap().0, 3);
        assert_eq!(prefixes.longest(&[1, 2, 9, 9]).unwrap().0, 3);
        // [7, 8] was not used since; a text of which nothing was read changes nothing.
        prefixes.keep(Vec::new(), Past::new());
        assert!(prefixes.forget_one());
        assert_eq!(prefixes.longest(&[7, 8]).unwrap().0, 0);
        // A text that goes on takes the place of its beginning.
        prefixes.keep(vec![1, 2, 9, 9, 9], Past::new());
        assert_eq!(prefixes.len(), 2);
        assert_eq!(prefixes.longest(&[1, 2, 9, 9, 9, 1]).unwrap().0, 5);
        // And a beginning is not kept beside it, but counts as its use.
        prefixes.longest(&[1, 2, 3]);
        prefixes.keep(vec![1, 2, 9], Past::new());
        assert!(prefixes.forget_one());
        assert_eq!((prefixes.len(), prefixes.longest(&[1, 2, 3]).unwrap().0), (1, 2));
    }
}
