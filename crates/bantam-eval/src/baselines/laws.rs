//! What holds for every baseline of the registry.

use super::BASELINES;
use crate::{EvaluationOptions, Examples, evaluate};

fn examples() -> Examples {
    let words = [["pay", "bill", "invoice"], ["card", "lost", "stolen"], ["weather", "rain", "sun"]];
    let mut texts = Vec::new();
    let mut labels = Vec::new();
    for index in 0..60 {
        let class = if index % 2 == 0 { 0 } else { index % 3 };
        texts.push(format!("{} the {} number {index}", words[class][index % 3], words[class][(index / 3) % 3]));
        labels.push(Some(class));
    }
    texts.push("sing me a song".to_owned());
    labels.push(None);
    Examples::new(texts, labels)
}

#[test]
fn every_baseline_learns_and_beats_guessing() {
    let examples = examples();
    let options = EvaluationOptions { rounds: 50, ..EvaluationOptions::default() };
    for baseline in BASELINES {
        let model = (baseline.train)(&examples, 3);
        assert_eq!(model.name(), baseline.name);
        assert!(model.parameters() > 0 && model.bytes() > 0);
        let evaluation = evaluate(model.as_ref(), 3, &examples, &examples, &options);
        assert!(evaluation.metric("accuracy").unwrap() > 0.5, "{evaluation:?}");
        assert_eq!((evaluation.examples, evaluation.out_of_scope_examples), (60, 1));
        assert_eq!(evaluation, evaluate((baseline.train)(&examples, 3).as_ref(), 3, &examples, &examples, &options));
    }
}

#[test]
fn strange_training_data_make_no_panic() {
    for texts in [vec![], vec![String::new()], vec!["?".to_owned(), "?".to_owned()]] {
        let labels = (0..texts.len()).map(|index| (index > 0).then_some(0)).collect();
        let examples = Examples::new(texts, labels);
        for baseline in BASELINES {
            let model = (baseline.train)(&examples, 2);
            let scores = model.scores(&["", "anything at all", "\u{0}\u{FFFF} 🐓"]);
            assert!(scores.iter().all(|row| row.len() == 2 && row.iter().all(|score| score.is_finite())));
        }
    }
}
