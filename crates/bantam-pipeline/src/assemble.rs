//! From the artifacts of a run to its report.

use std::path::Path;

use bantam_corpus::Document;
use bantam_corpus::readers::OUT_OF_SCOPE;
use bantam_eval::Bin;

use crate::report::{
    Curve, DataSummary, FunnelStep, Machine, RejectExample, Reliability, ReliabilityBin, Report, Row, StageTime,
    Thresholds,
};
use crate::run::Made;
use crate::stages::evaluation::Measured;
use crate::{Error, Recipe, next_steps};

pub(crate) fn report(recipe: &Recipe, made: &Made, bundle: &Path) -> Result<Report, Error> {
    let (account, seconds) = (&made.corpus.account, &made.seconds);
    let models = &made.figures.models;
    let rows: Vec<Row> = models.iter().map(row).collect();
    let Some(shipped) = models.last() else {
        return Err(Error::Data { what: "nothing was measured".to_owned() });
    };
    let inside = made
        .corpus
        .test
        .iter()
        .filter(|document| document.label.as_ref().is_some_and(|label| account.labels.contains(label)));
    let test = inside.count();
    let outside = |documents: &[Document]| {
        documents.iter().filter(|document| document.label.as_deref() == Some(OUT_OF_SCOPE)).count()
    };
    let (outside_train, outside_validation) = (outside(&made.corpus.train), outside(&made.corpus.validation));
    let bins = |bins: &[Bin]| {
        let bin = |bin: &Bin| ReliabilityBin { confidence: bin.confidence, accuracy: bin.accuracy, count: bin.count };
        bins.iter().map(bin).collect()
    };
    let mut report = Report {
        recipe: recipe.text.name.clone(),
        seconds: seconds.iter().map(|(_, seconds)| seconds).sum(),
        peak_bytes: made.peak_bytes,
        rows,
        seed: recipe.text.seed,
        machine: Machine {
            cpu: made.figures.cpu.clone(),
            isa: made.figures.isa.clone(),
            threads: made.figures.threads,
        },
        data: DataSummary {
            labels: account.labels.len(),
            train: made.corpus.train.len() - outside_train,
            validation: made.corpus.validation.len() - outside_validation,
            test,
            out_of_scope_test: made.corpus.test.len() - test,
            out_of_scope_train: outside_train,
            out_of_scope_validation: outside_validation,
            unlabelled: made.corpus.unlabelled.len(),
            background: made.corpus.background.len(),
        },
        funnel: account
            .funnel
            .steps
            .iter()
            .map(|step| FunnelStep {
                name: step.name.clone(),
                documents: step.documents,
                dropped: step.dropped,
                rewritten: step.rewritten,
                reasons: step.reasons.clone(),
            })
            .collect(),
        rejects: account
            .rejects
            .iter()
            .map(|reject| RejectExample {
                text: reject.document.text.clone(),
                step: reject.step.clone(),
                reason: reject.reason.clone(),
            })
            .collect(),
        warnings: account.warnings.clone(),
        curves: made
            .curves
            .iter()
            .map(|(name, curves)| Curve {
                name: (*name).to_owned(),
                stage: (*name).to_owned(),
                losses: curves.losses.clone(),
                validations: curves.validations.clone(),
            })
            .collect(),
        reliability: Reliability {
            before: bins(&shipped.evaluation.reliability_before),
            after: bins(&shipped.evaluation.reliability_after),
        },
        confusions: made.figures.confusions.clone(),
        thresholds: Some(Thresholds {
            temperature: made.temperature,
            threshold: made.threshold.map(f64::from),
            precision: recipe.text.evaluate.quality.precision,
        }),
        stages: seconds
            .iter()
            .map(|(name, seconds)| StageTime { name: (*name).to_owned(), seconds: *seconds })
            .collect(),
        next_steps: Vec::new(),
    };
    report.fill_shares();
    report.next_steps = next_steps::of(&report, made.threshold, bundle);
    Ok(report)
}

fn row(model: &Measured) -> Row {
    let (evaluation, cost) = (&model.evaluation, &model.cost);
    let accuracy = evaluation.metric("accuracy").unwrap_or(0.0);
    let interval = evaluation.intervals.get("accuracy");
    Row {
        name: evaluation.name.clone(),
        role: model.role,
        parameters: evaluation.parameters,
        bytes: evaluation.bytes,
        accuracy,
        accuracy_low: interval.map_or(0.0, |interval| interval.low),
        accuracy_high: interval.map_or(1.0, |interval| interval.high),
        macro_f1: evaluation.metric("macro_f1"),
        out_of_scope_auroc: evaluation.metric("out_of_scope_auroc"),
        out_of_scope_recall: evaluation.metric("out_of_scope_recall"),
        containment: evaluation.metric("containment"),
        containment_precision: evaluation.metric("containment_precision"),
        latency_p50_microseconds: cost.latency_p50_microseconds,
        latency_p99_microseconds: cost.latency_p99_microseconds,
        requests_per_second: cost.requests_per_second,
        cpu_seconds_per_1000: cost.cpu_seconds_per_1000,
        peak_bytes: cost.peak_bytes,
        share_of_teacher_quality: None,
        share_of_teacher_cost: None,
        ece: evaluation.metric("ece"),
        brier: evaluation.metric("brier"),
    }
}
