//! `bantam eval BUNDLE TEXTS...`: how good a bundle is on labelled texts, and whether it is better than another.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use bantam_corpus::readers::ReadOptions;
use bantam_eval::{Difference, METRICS};
use bantam_kernels::pool;
use bantam_pipeline::{EvaluateSection, Measurement, labelled_texts, measure};
use serde_json::json;

use crate::commands::print_json;

/// Pairs of confused labels that are listed.
const SHOWN: usize = 5;

/// The arguments of `bantam eval` for a bundle.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The bundle: a .bantam file, or the folder of a model that a recipe left
    bundle: PathBuf,
    /// Files of labelled texts (CSV, TSV, JSONL), or folders of them
    #[arg(required = true)]
    texts: Vec<PathBuf>,
    /// Another bundle, to compare with on the same texts
    #[arg(long)]
    against: Option<PathBuf>,
    /// The field that holds the text, where its name is unusual
    #[arg(long)]
    text: Option<String>,
    /// The field that holds the label, where its name is unusual
    #[arg(long)]
    label: Option<String>,
    /// Seconds for each of the two measurements of speed
    #[arg(long, default_value_t = 1.0, value_parser = crate::commands::seconds)]
    seconds: f64,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> anyhow::Result<()> {
        pool::set_threads(self.threads);
        let options = ReadOptions { text: self.text, label: self.label, ..ReadOptions::default() };
        let texts = labelled_texts(&self.texts, &options)?;
        let mut section = EvaluateSection::default();
        section.cost.seconds = self.seconds;
        let measured = measure(&self.bundle, &texts, &section)?;
        let other = self.against.map(|path| measure(&path, &texts, &section)).transpose()?;
        let difference = other.as_ref().map(|other| {
            measured
                .difference(other)
                .context("the two bundles know different labels of these texts: measure each on its own")
        });
        let difference = difference.transpose()?;
        if self.json {
            return Ok(print_json(&json!({"bundle": measured, "against": other, "difference": difference}))?);
        }
        let mut output = std::io::stdout().lock();
        output.write_all(table(&measured).as_bytes())?;
        if let (Some(other), Some(difference)) = (&other, &difference) {
            writeln!(output, "\nAgainst {}\n{}", other.evaluation.name, table(other))?;
            writeln!(output, "{}", verdict(difference))?;
        }
        Ok(())
    }
}

/// The figures, a line each.
fn table(measured: &Measurement) -> String {
    let Measurement { evaluation, cost, .. } = measured;
    let mut text = format!(
        "{}: {} texts of its labels, {} out of scope\n",
        evaluation.name, evaluation.examples, evaluation.out_of_scope_examples
    );
    for metric in METRICS {
        let Some(value) = evaluation.metric(metric.name) else { continue };
        let interval = evaluation.intervals.get(metric.name);
        let interval = interval.map_or(String::new(), |i| format!("  ({:.3} to {:.3})", i.low, i.high));
        text += &format!("  {:<28} {value:.3}{interval}\n", metric.title);
    }
    text += &format!(
        "  {:<28} {:.0} us half of the time, {:.0} us in 99 of 100 cases, one thread\n",
        "Latency", cost.latency_p50_microseconds, cost.latency_p99_microseconds
    );
    text += &format!("  {:<28} {:.0} a second, {} threads\n", "Answers", cost.requests_per_second, cost.threads);
    text += &format!("  {:<28} {:.4}\n", "CPU seconds per 1,000", cost.cpu_seconds_per_1000);
    text += &format!("  {:<28} {:.1} ms\n", "From file to first answer", measured.load_milliseconds);
    text +=
        &format!("  {:<28} {:.2} MB, {} parameters\n", "Size", evaluation.bytes as f64 / 1e6, evaluation.parameters);
    for pair in measured.confusions.iter().take(SHOWN) {
        let example = pair.examples.first().map_or("", String::as_str);
        text +=
            &format!("  {} taken for {}: {} of {}, e.g. {example:?}\n", pair.truth, pair.answer, pair.count, pair.of);
    }
    for (label, count) in &measured.unknown_labels {
        text += &format!("  left out: {count} texts of {label:?}, a label that the bundle does not know\n");
    }
    text
}

/// What a difference means.
fn verdict(difference: &Difference) -> String {
    let Difference { value, interval } = difference;
    let points =
        format!("{:+.1} points ({:+.1} to {:+.1})", 100.0 * value, 100.0 * interval.low, 100.0 * interval.high);
    if interval.low > 0.0 {
        format!("The first is better: {points}.")
    } else if interval.high < 0.0 {
        format!("The first is worse: {points}.")
    } else {
        format!("No difference that these texts can show: {points}.")
    }
}

#[cfg(test)]
mod tests {
    use bantam_eval::CostOptions;
    use bantam_runtime::sample;

    use super::*;

    #[test]
    fn a_bundle_is_measured_and_compared_on_the_texts_whose_labels_it_knows() {
        let place = tempfile::tempdir().unwrap();
        let bundle = place.path().join("sample.bantam");
        let parts = sample::parts();
        parts.write(&bundle).unwrap();
        let assistant = bantam_runtime::Assistant::load(&bundle).unwrap();
        // Labels as the bundle itself gives them, so that it must be right on all but the last.
        let mut lines = String::from("label\ttext\n");
        for text in sample::TEXTS {
            lines += &format!("{}\t{text}\n", assistant.answer(text).label);
        }
        lines += "out_of_scope\twhat is the weather\nunheard_of\thello there\n";
        let data = place.path().join("test.tsv");
        std::fs::write(&data, &lines).unwrap();
        let texts = labelled_texts(&[&data], &ReadOptions::default()).unwrap();
        let cost = CostOptions { seconds: 0.01, least_requests: 3, warm_up: 1, batch: 2 };
        let section = EvaluateSection { cost, ..EvaluateSection::default() };
        let measured = measure(&bundle, &texts, &section).unwrap();
        let evaluation = &measured.evaluation;
        assert_eq!((evaluation.examples, evaluation.out_of_scope_examples), (sample::TEXTS.len(), 1));
        assert_eq!(evaluation.metric("accuracy"), Some(1.0));
        assert_eq!(evaluation.temperature, parts.temperature);
        assert_eq!(measured.unknown_labels, [("unheard_of".to_owned(), 1)]);
        let same = measured.difference(&measured).unwrap();
        assert_eq!((same.value, same.interval.low, same.interval.high), (0.0, 0.0, 0.0));
        assert!(verdict(&same).starts_with("No difference"));
        let text = table(&measured);
        assert!(text.contains("Accuracy") && text.contains("left out: 1 texts"), "{text}");

        std::fs::write(&data, "label\ttext\nunheard_of\thello\n").unwrap();
        let texts = labelled_texts(&[&data], &ReadOptions::default()).unwrap();
        let error = measure(&bundle, &texts, &section).unwrap_err().to_string();
        assert!(error.contains("no text has a label that the bundle knows (order_status"), "{error}");
        std::fs::write(&data, "text\nhello\n").unwrap();
        let error = labelled_texts(&[&data], &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("test.tsv") && error.contains("without a label"), "{error}");
    }
}
