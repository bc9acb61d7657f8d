//! How much each text reads in a step.

/// Tokens that each of some texts reads next, given how many it has unread and whether it is being answered; the oldest comes first.
///
/// A text that is being answered has one unread token, and reads it. The others share `most` tokens: the oldest takes up to half, so that
/// every text's turn comes; the rest goes to those with the least left, so that a short prompt does not wait for a long one; and what these
/// do not need, to the oldest again.
pub(super) fn shares(texts: &[(usize, bool)], most: usize) -> Vec<usize> {
    let mut shares: Vec<usize> =
        texts.iter().map(|&(unread, is_answered)| if is_answered { unread } else { 0 }).collect();
    let mut reading: Vec<usize> = (0..texts.len()).filter(|&index| !texts[index].1).collect();
    let Some(&oldest) = reading.first() else { return shares };
    let mut left = most;
    let mut give = |index: usize, most: usize| {
        let share = (texts[index].0 - shares[index]).min(most).min(left);
        shares[index] += share;
        left -= share;
    };
    give(oldest, most.div_ceil(2));
    reading[1..].sort_by_key(|&index| texts[index].0);
    reading[1..].iter().for_each(|&index| give(index, most));
    give(oldest, most);
    shares
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn answers_get_their_token_and_prompts_share_the_rest() {
        let (answered, reading) = (|| (1, true), |unread| (unread, false));
        // Alone, a prompt gets all.
        assert_eq!(shares(&[answered(), reading(1000), answered()], 64), [1, 64, 1]);
        assert_eq!(shares(&[reading(10)], 64), [10]);
        // A short one overtakes a long one, which still gets its half.
        assert_eq!(shares(&[reading(1000), reading(900), reading(20), answered()], 64), [32, 12, 20, 1]);
        // A long one that came first does not starve under short ones, nor they under it.
        assert_eq!(shares(&[reading(1000), reading(40), reading(40)], 64), [32, 32, 0]);
        // What the others do not need goes back to the oldest.
        assert_eq!(shares(&[reading(1000), reading(4)], 64), [60, 4]);
        // Of equals, who came first has its answer first.
        assert_eq!(shares(&[reading(50), reading(50), reading(50)], 100), [50, 50, 0]);
        assert_eq!(shares(&[reading(5), reading(7)], 1), [1, 0]);
        assert_eq!(shares(&[answered(), answered()], 64), [1, 1]);
        assert!(shares(&[], 64).is_empty());
    }
}
