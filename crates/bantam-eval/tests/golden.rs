//! Agreement with scikit-learn on small cases; `golden/*.py` made the numbers.

use bantam_eval::baselines::{Analyser, Tfidf, TfidfSvm};
use bantam_eval::{Classifier, EvaluationOptions, Examples, evaluate};
use serde_json::Value;

fn golden(text: &str) -> Value {
    serde_json::from_str(text).expect("the golden file is JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// Answers text `n` with row `n`.
struct Recorded(Vec<Vec<f32>>);

impl Classifier for Recorded {
    fn name(&self) -> &str {
        "recorded"
    }

    fn parameters(&self) -> u64 {
        0
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn scores(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        texts.iter().map(|text| self.0[text.parse::<usize>().expect("a number")].clone()).collect()
    }
}

#[test]
fn metrics_agree_with_scikit_learn() {
    let golden = golden(include_str!("golden/metrics.json"));
    let rows = |key: &str| golden[key].as_array().expect("a list").iter().map(numbers).collect::<Vec<_>>();
    let scores: Vec<Vec<f32>> = rows("scores")
        .into_iter()
        .chain(rows("outside"))
        .map(|row| row.iter().map(|&score| score as f32).collect())
        .collect();
    let labels: Vec<Option<usize>> = numbers(&golden["labels"]).iter().map(|&label| Some(label as usize)).collect();
    let in_scope = labels.len();
    let labels = labels.into_iter().chain(vec![None; scores.len() - in_scope]).collect();
    let test = Examples::new((0..scores.len()).map(|index| index.to_string()).collect(), labels);
    // Without validation data the temperature stays 1, as in the script.
    let evaluation = evaluate(&Recorded(scores), 4, &Examples::default(), &test, &EvaluationOptions::default());
    assert_eq!(evaluation.temperature, 1.0);
    for name in ["accuracy", "macro_f1", "negative_log_likelihood", "brier", "out_of_scope_auroc"] {
        let (measured, expected) = (evaluation.metric(name).unwrap(), golden[name].as_f64().unwrap());
        assert!((measured - expected).abs() < 1e-6, "{name}: {measured}, scikit-learn says {expected}");
    }
    for (name, interval) in &evaluation.intervals {
        let value = evaluation.metric(name).unwrap();
        assert!(interval.low < value && value < interval.high, "{name}: {value} outside {interval:?}");
    }
}

#[test]
fn the_baseline_agrees_with_scikit_learn() {
    let golden = golden(include_str!("golden/baseline.json"));
    let texts = strings(&golden["train"]);
    let tfidf =
        Tfidf::fit(&texts.iter().map(String::as_str).collect::<Vec<_>>(), &[Analyser::Words, Analyser::Characters]);
    assert_eq!(tfidf.width() as u64, golden["features"].as_u64().unwrap());
    let test = strings(&golden["test"]);
    for (text, expected) in test.iter().zip(golden["rows"].as_array().unwrap()) {
        let mut values: Vec<f64> = tfidf.transform(text).iter().map(|(_, value)| f64::from(*value)).collect();
        values.sort_by(f64::total_cmp);
        let expected = numbers(expected);
        assert_eq!(values.len(), expected.len(), "{text}");
        assert!(values.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{text}: {values:?} {expected:?}");
    }
    let labels = numbers(&golden["labels"]).iter().map(|&label| Some(label as usize)).collect();
    let baseline = TfidfSvm::train(&Examples::new(texts, labels), 3);
    let scores = baseline.scores(&test.iter().map(String::as_str).collect::<Vec<_>>());
    for ((text, row), expected) in test.iter().zip(scores).zip(golden["margins"].as_array().unwrap()) {
        for (margin, expected) in row.iter().zip(numbers(expected)) {
            assert!((f64::from(*margin) - expected).abs() < 1e-4, "{text}: {margin}, scikit-learn says {expected}");
        }
    }
}
