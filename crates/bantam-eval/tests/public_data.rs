//! The TF-IDF baseline on public data, beside scikit-learn's figures. Asks for the data with `BANTAM_DATA`.

use std::path::PathBuf;
use std::time::Instant;

use bantam_eval::baselines::TfidfSvm;
use bantam_eval::{CostOptions, EvaluationOptions, Examples, evaluate, measure_cost};
use serde_json::Value;

/// Rows of (text, class name) become examples; a name that is not in `names` is out of scope.
fn examples(rows: Vec<(String, String)>, names: &[String]) -> Examples {
    let (texts, labels): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let labels = labels.iter().map(|label| names.iter().position(|name| name == label)).collect();
    Examples::new(texts, labels)
}

fn folder() -> PathBuf {
    std::env::var_os("BANTAM_DATA").expect("set BANTAM_DATA to the folder that holds clinc150/ and banking77/").into()
}

fn clinc(split: &[&str]) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder().join("clinc150/data_full.json")).expect("clinc150/data_full.json");
    let data: Value = serde_json::from_str(&text).expect("JSON");
    let rows = split.iter().flat_map(|split| data[split].as_array().expect("a split").clone());
    rows.map(|row| (row[0].as_str().expect("a text").to_owned(), row[1].as_str().expect("a class").to_owned()))
        .collect()
}

/// `text,category` lines; a text is quoted where it holds a comma, a quote or a line break.
fn banking(file: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder().join("banking77").join(file)).expect("a banking77 file");
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for character in text.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' | '\n' if !quoted => fields.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            other => field.push(other),
        }
    }
    fields.chunks_exact(2).skip(1).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

fn names(rows: &[(String, String)]) -> Vec<String> {
    let names: std::collections::BTreeSet<_> =
        rows.iter().map(|row| row.1.clone()).filter(|name| name != "oos").collect();
    names.into_iter().collect()
}

#[expect(clippy::print_stderr, reason = "the figures are what this test is run for")]
fn check(
    data: &str,
    names: &[String],
    train: &Examples,
    validation: &Examples,
    test: &Examples,
    least: f64,
    seconds: f64,
) {
    let start = Instant::now();
    let baseline = TfidfSvm::train(train, names.len());
    let trained = start.elapsed().as_secs_f64();
    let evaluation = evaluate(&baseline, names.len(), validation, test, &EvaluationOptions::default());
    let cost = measure_cost(&baseline, &test.texts(), &CostOptions::default());
    eprintln!(
        "{data}: {trained:.1} s to train, {} bytes, temperature {:.3}, {:?} {:?} {cost:?}",
        evaluation.bytes, evaluation.temperature, evaluation.metrics, evaluation.intervals
    );
    let accuracy = evaluation.metric("accuracy").expect("there is test data");
    assert!(accuracy >= least, "{data}: {accuracy}");
    assert!(trained < seconds, "{data}: {trained} seconds");
}

#[test]
#[ignore = "needs BANTAM_DATA and a quiet machine, about 30 seconds"]
fn the_baseline_reaches_what_scikit_learn_reaches() {
    let train = clinc(&["train"]);
    let names_clinc = names(&train);
    let part = |splits: &[&str]| examples(clinc(splits), &names_clinc);
    let (validation, test) = (part(&["val", "oos_val"]), part(&["test", "oos_test"]));
    // scikit-learn 1.7: 0.9271 and 0.9117.
    check("CLINC150", &names_clinc, &examples(train, &names_clinc), &validation, &test, 0.925, 60.0);
    check(
        "CLINC150 with out-of-scope training texts",
        &names_clinc,
        &part(&["train", "oos_train"]),
        &validation,
        &test,
        0.92,
        60.0,
    );
    let train = banking("train.csv");
    let names_banking = names(&train);
    let train = examples(train, &names_banking);
    let test = examples(banking("test.csv"), &names_banking);
    // BANKING77 has no validation data: the temperature is fitted on the training texts, the accuracy does not depend on it.
    check("BANKING77", &names_banking, &train, &train, &test, 0.909, 60.0);
}
