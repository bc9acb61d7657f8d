//! The page as a browser and a careless user meet it.

use super::super::sample;
use super::*;
use crate::report::{Curve, ReliabilityBin, Thresholds};

/// Follows the tags of a page; panics where one is closed that is not open, or stays open.
fn assert_balanced(html: &str) {
    const VOID: [&str; 2] = ["meta", "!DOCTYPE"];
    let (mut open, mut rest) = (Vec::new(), html);
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> before: {}", &rest[..start.min(200)]);
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

fn assert_sound(html: &str) {
    assert_balanced(html);
    for word in ["NaN", "inf\"", ">inf", "-inf", "None"] {
        assert!(
            !html.contains(word),
            "the page says {word}: {}",
            &html[html.find(word).unwrap().saturating_sub(200)..]
        );
    }
    for outside in ["http://", "https://", "src=", "@import", "url(", "<script"] {
        assert!(!html.contains(outside), "the page needs {outside}");
    }
}

#[test]
fn a_good_run_makes_a_sound_page_with_everything() {
    let html = to_html(&sample::report());
    assert_sound(&html);
    for shown in [
        "keeps 98.1\u{202f}%",
        "TF-IDF + linear SVM",
        "Accuracy against size",
        "refund_status",
        "near-duplicate 467",
        "1.42",
        // Of 2,120 requests, 560 of them out of scope, 1,336 are answered, 1,273 of these rightly.
        "<b>63.0\u{202f}%</b> of all requests, those out of scope included",
        "Of the requests in scope, 81.6\u{202f}% are",
    ] {
        assert!(html.contains(shown), "{shown} is missing");
    }
    // Two scatters, four curves, one diagram; each says what it is.
    assert_eq!(html.matches("<svg").count(), 7);
    assert_eq!(html.matches("<desc>").count(), 7);
    assert_eq!(html.matches("<figcaption>").count(), 7);
    assert!(html.len() < 200_000, "{} bytes", html.len());
}

#[test]
fn text_from_outside_is_never_markup() {
    let bad = "<script>alert('x')</script>\"><b & ]]>";
    let mut report = sample::report();
    bad.clone_into(&mut report.recipe);
    for row in &mut report.rows {
        bad.clone_into(&mut row.name);
    }
    for pair in &mut report.confusions {
        (pair.truth, pair.answer, pair.examples) = (bad.to_owned(), bad.to_owned(), vec![bad.to_owned()]);
    }
    for reject in &mut report.rejects {
        (reject.text, reject.step, reject.reason) = (bad.to_owned(), bad.to_owned(), bad.to_owned());
    }
    for step in &mut report.funnel {
        bad.clone_into(&mut step.name);
        step.reasons.insert(bad.to_owned(), 1);
    }
    for curve in &mut report.curves {
        (curve.name, curve.stage) = (bad.to_owned(), bad.to_owned());
    }
    for stage in &mut report.stages {
        bad.clone_into(&mut stage.name);
    }
    (report.machine.cpu, report.machine.isa) = (bad.to_owned(), bad.to_owned());
    report.warnings = vec![format!("`{bad}`")];
    report.next_steps = vec![bad.to_owned()];
    let html = to_html(&report);
    assert_sound(&html);
    assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)"));
}

#[test]
fn what_is_missing_or_no_number_leaves_a_sound_page() {
    assert_sound(&to_html(&Report::default()));
    let mut report = sample::report();
    report.rows.truncate(1);
    assert_sound(&to_html(&report));

    let mut report = sample::report();
    let (nan, infinite) = (f64::NAN, f64::INFINITY);
    for row in &mut report.rows {
        (row.accuracy, row.accuracy_low, row.accuracy_high) = (nan, nan, infinite);
        (row.latency_p50_microseconds, row.latency_p99_microseconds, row.requests_per_second) = (0.0, nan, infinite);
        (row.out_of_scope_auroc, row.containment, row.ece, row.brier) = (None, Some(nan), Some(infinite), None);
        (row.share_of_teacher_quality, row.share_of_teacher_cost) = (Some(nan), Some(0.0));
        (row.cpu_seconds_per_1000, row.macro_f1, row.out_of_scope_recall) = (nan, None, Some(nan));
    }
    report.curves = vec![
        Curve { losses: vec![(0, nan), (1, infinite)], ..Curve::default() },
        Curve { losses: vec![(0, 3.0), (1, nan), (2, 2.0)], validations: vec![(2, nan)], ..Curve::default() },
        Curve { validations: vec![(7, 0.5)], ..Curve::default() },
    ];
    report.reliability.before = vec![ReliabilityBin { confidence: nan, accuracy: 0.5, count: 0 }];
    report.reliability.after = vec![ReliabilityBin { confidence: 0.5, accuracy: 0.5, count: 0 }];
    report.rows[5].containment_precision = Some(nan);
    report.thresholds = Some(Thresholds { temperature: nan, threshold: Some(nan), precision: nan });
    report.stages[0].seconds = nan;
    report.seconds = nan;
    report.funnel[0].documents = 0;
    report.confusions[0].count = 0;
    assert_sound(&to_html(&report));
}

#[test]
fn a_loss_is_seen_at_once() {
    let mut report = sample::report();
    report.rows.last_mut().unwrap().accuracy = 0.9;
    let html = to_html(&report);
    assert!(html.contains("<header class=\"loses\">") && html.contains("loses to its trivial baseline"));
}

/// Leaves a page to look at where `BANTAM_REPORT_SAMPLE` names a file.
#[test]
fn a_page_to_look_at() {
    if let Some(path) = std::env::var_os("BANTAM_REPORT_SAMPLE") {
        let page = to_html(&sample::report());
        std::fs::write(path, page).unwrap();
    }
}
