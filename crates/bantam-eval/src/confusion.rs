//! Which classes are taken for which.

use std::collections::BTreeMap;

use crate::Outcomes;

/// Texts of one class that were taken for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    /// What they are.
    pub truth: usize,
    /// What they were taken for.
    pub answer: usize,
    /// The numbers of the texts, the surest mistakes first.
    pub texts: Vec<usize>,
    /// How many texts of the true class there are.
    pub of: usize,
}

/// All pairs of classes that were confused, the most frequent first (equals by class).
pub fn confusions(outcomes: &Outcomes) -> Vec<Confusion> {
    let mut sizes = vec![0; outcomes.classes()];
    let mut pairs: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (index, truth) in outcomes.in_scope() {
        sizes[truth] += 1;
        let answer = outcomes.answers()[index];
        if answer != truth {
            pairs.entry((truth, answer)).or_default().push(index);
        }
    }
    let confidence = |index: usize| outcomes.confidences()[index];
    let mut confusions: Vec<Confusion> = pairs
        .into_iter()
        .map(|((truth, answer), mut texts)| {
            texts.sort_by(|&a, &b| confidence(b).total_cmp(&confidence(a)));
            Confusion { truth, answer, texts, of: sizes[truth] }
        })
        .collect();
    confusions.sort_by_key(|confusion| std::cmp::Reverse(confusion.texts.len()));
    confusions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_and_sorted() {
        let labels = [Some(0), Some(0), Some(0), Some(1), Some(2), None];
        let row = |class: usize, score: f32| (0..3).map(|i| if i == class { score } else { 0.0 }).collect::<Vec<f32>>();
        let scores = [row(1, 1.0), row(1, 2.0), row(0, 1.0), row(2, 1.0), row(2, 1.0), row(0, 1.0)];
        let found = confusions(&Outcomes::new(3, &labels, &scores, 1.0));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], Confusion { truth: 0, answer: 1, texts: vec![1, 0], of: 3 });
        assert_eq!(found[1], Confusion { truth: 1, answer: 2, texts: vec![3], of: 1 });
    }
}
