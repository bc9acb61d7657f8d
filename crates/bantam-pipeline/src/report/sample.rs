//! A report such as a run leaves, for tests.

use std::collections::BTreeMap;

use super::*;

fn row(name: &str, role: Role, sizes: (u64, u64), accuracy: f64, auroc: Option<f64>, latency: f64) -> Row {
    Row {
        name: name.to_owned(),
        role,
        parameters: sizes.0,
        bytes: sizes.1,
        accuracy,
        accuracy_low: (accuracy - 0.008).max(0.0),
        accuracy_high: accuracy + 0.007,
        macro_f1: Some(accuracy - 0.004),
        out_of_scope_auroc: auroc,
        out_of_scope_recall: auroc.map(|area| area - 0.3),
        containment: Some((accuracy - 0.3).max(0.0)),
        containment_precision: Some(0.953),
        latency_p50_microseconds: latency,
        latency_p99_microseconds: latency * 1.7,
        requests_per_second: 1.6e6 / latency,
        cpu_seconds_per_1000: latency / 1_000.0,
        peak_bytes: 60_000_000 + sizes.1 * 2,
        share_of_teacher_quality: None,
        share_of_teacher_cost: None,
        ece: Some(0.012),
        brier: Some(0.1),
    }
}

fn curve(name: &str, stage: &str, steps: usize, first: f64, last: f64, quality: f64) -> Curve {
    let falling = |step: usize| last + (first - last) * (-5.0 * step as f64 / steps as f64).exp();
    let wiggle = |step: usize| 1.0 + 0.07 * (step as f64 * 1.7).sin() * (step as f64 * 0.23).cos();
    Curve {
        name: name.to_owned(),
        stage: stage.to_owned(),
        losses: (0..steps).step_by(10).map(|step| (step, falling(step) * wiggle(step))).collect(),
        validations: (1..=8)
            .map(|part| (part * steps / 8, quality - 0.4 * quality.abs() * (-0.7 * part as f64).exp()))
            .collect(),
    }
}

fn bins(bend: f64) -> Vec<ReliabilityBin> {
    let bin = |index: usize| {
        let confidence = (0.28 + 0.72 * (index as f64 / 14.0).powf(0.45)).min(1.0);
        let noise = 0.012 * (index as f64 * 2.1).sin();
        ReliabilityBin { confidence, accuracy: (confidence.powf(bend) + noise).clamp(0.0, 1.0), count: 300 }
    };
    (0..15).map(bin).collect()
}

fn step(name: &str, documents: usize, reasons: &[(&str, usize)]) -> FunnelStep {
    let reasons: BTreeMap<String, usize> = reasons.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect();
    FunnelStep { name: name.to_owned(), documents, dropped: reasons.values().sum(), rewritten: 0, reasons }
}

fn pair(truth: &str, answer: &str, count: usize, examples: &[&str]) -> ConfusedPair {
    let examples = examples.iter().map(|text| (*text).to_owned()).collect();
    ConfusedPair { truth: truth.to_owned(), answer: answer.to_owned(), count, of: 30, examples }
}

fn reject(text: &str, step: &str, reason: &str) -> RejectExample {
    RejectExample { text: text.to_owned(), step: step.to_owned(), reason: reason.to_owned() }
}

/// A run that went well.
pub(crate) fn report() -> Report {
    let mut report = Report {
        recipe: "support".to_owned(),
        seconds: 512.0,
        peak_bytes: 1_430_000_000,
        rows: vec![
            row("majority label", Role::Baseline, (150, 612), 0.0067, Some(0.5), 0.4),
            row("TF-IDF + linear SVM", Role::Baseline, (4_210_000, 16_840_000), 0.912, Some(0.918), 182.0),
            row("teacher", Role::Teacher, (13_800_000, 55_200_000), 0.948, Some(0.951), 6_111.0),
            row("student, distilled", Role::Student, (1_900_000, 7_600_000), 0.939, Some(0.944), 610.0),
            row("student, pruned", Role::Student, (912_000, 3_650_000), 0.933, Some(0.940), 290.0),
            row("bundle, 8 bits", Role::Bundle, (912_000, 1_210_000), 0.930, Some(0.939), 97.0),
        ],
        machine: Machine { cpu: "Intel Xeon Platinum 8481C".to_owned(), isa: "avx512".to_owned(), threads: 2 },
        seed: 1,
        data: DataSummary {
            labels: 52,
            train: 5_460,
            validation: 610,
            test: 1_560,
            unlabelled: 8_900,
            background: 0,
            out_of_scope_train: 420,
            out_of_scope_validation: 47,
            out_of_scope_test: 560,
        },
        funnel: vec![
            step("length", 6_903, &[("too-short", 14), ("too-long", 3)]),
            step("characters", 6_886, &[("control-characters", 2)]),
            step("conflicts", 6_884, &[("label-conflict", 11)]),
            step("exact-duplicates", 6_873, &[("exact-duplicate", 312)]),
            step("near-duplicates", 6_561, &[("near-duplicate", 467)]),
            step("leakage", 6_094, &[("in-test-data", 9), ("near-test-data", 15)]),
        ],
        rejects: vec![
            reject("hi", "length", "too-short"),
            reject("Where is my order?", "exact-duplicates", "exact-duplicate"),
            reject("where's my order please", "near-duplicates", "near-duplicate"),
            reject("can I change the delivery address after ordering", "leakage", "in-test-data"),
        ],
        warnings: vec![
            "24 training texts occur in the test data; they were left out of training".to_owned(),
            "label `gift_wrap` has only 41 examples".to_owned(),
        ],
        curves: vec![
            curve("the teacher learns the language", "pretraining", 900, 7.2, 2.4, -2.5),
            curve("the teacher learns the labels", "teacher", 1_400, 4.1, 0.21, 0.951),
            curve("the student learns from the teacher", "student", 3_000, 3.3, 0.34, 0.944),
            curve("recovery after pruning", "pruning", 800, 0.8, 0.4, 0.938),
        ],
        reliability: Reliability { before: bins(1.9), after: bins(1.05) },
        confusions: vec![
            pair(
                "refund_status",
                "refund_request",
                7,
                &["has my money been sent back yet", "I'm still waiting on £40"],
            ),
            pair("cancel_order", "change_order", 5, &["take the lamp off order 4471"]),
            pair("delivery_time", "track_order", 4, &["when will it get here", "how long till it arrives"]),
            pair("warranty_claim", "return_item", 3, &["the drawer broke after two months"]),
            pair("store_hours", "store_location", 2, &["is the Leeds shop open"]),
        ],
        thresholds: Some(Thresholds { temperature: 1.42, threshold: Some(0.61), precision: 0.95 }),
        stages: [("curation", 0.4), ("tokenizer", 1.3), ("pretraining", 118.0), ("teacher", 164.0), ("student", 171.0)]
            .map(|(name, seconds)| StageTime { name: name.to_owned(), seconds })
            .to_vec(),
        next_steps: vec![
            "Read the worst pairs: refund_status and refund_request may be one intent.".to_owned(),
            "bantam chat out/support.bantam".to_owned(),
        ],
    };
    report.fill_shares();
    report
}
