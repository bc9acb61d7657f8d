//! The contract that other tools rely on.

use super::*;

#[test]
fn the_keys_of_the_contract_are_there() {
    let json = serde_json::to_value(sample::report()).unwrap();
    for key in ["recipe", "seconds", "peak_bytes", "rows"] {
        assert!(json.get(key).is_some(), "{key} is missing");
    }
    let keys: Vec<&str> = json["rows"][5].as_object().unwrap().keys().map(String::as_str).collect();
    let contract = [
        "name",
        "role",
        "parameters",
        "bytes",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "out_of_scope_auroc",
        "containment",
        "latency_p50_microseconds",
        "latency_p99_microseconds",
        "requests_per_second",
        "cpu_seconds_per_1000",
        "share_of_teacher_quality",
        "share_of_teacher_cost",
        "ece",
    ];
    for key in contract {
        assert!(keys.contains(&key), "rows have no {key}");
    }
    let roles: Vec<&str> = json["rows"].as_array().unwrap().iter().map(|row| row["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["baseline", "baseline", "teacher", "student", "student", "bundle"]);
    assert!(json["peak_bytes"].is_u64() && json["rows"][5]["bytes"].is_u64());
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let report = sample::report();
    report.write(folder.path()).unwrap();
    // Decimal text may differ from a number in its last bit; what is shown may not differ at all.
    let read = Report::read(&folder.path().join(JSON_FILE)).unwrap();
    assert_eq!(to_html(&read), to_html(&report));
    assert_eq!(text_table(&read), text_table(&report));
    assert!(std::fs::read_to_string(folder.path().join(HTML_FILE)).unwrap().starts_with("<!DOCTYPE html>"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no half-written file stays");
}

#[test]
fn what_is_no_number_is_null_and_read_again() {
    let mut report = sample::report();
    report.rows[0].accuracy = f64::NAN;
    report.rows[1].ece = Some(f64::INFINITY);
    report.curves[0].losses[3].1 = f64::NAN;
    let folder = tempfile::tempdir().unwrap();
    report.write(folder.path()).unwrap();
    let read = Report::read(&folder.path().join(JSON_FILE)).unwrap();
    assert!(read.rows[0].accuracy.is_nan() && read.rows[1].ece.is_none() && read.curves[0].losses[3].1.is_nan());
}

#[test]
fn a_file_that_is_no_report_is_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(JSON_FILE);
    std::fs::write(&path, "{\"rows\": 3}").unwrap();
    let message = Report::read(&path).unwrap_err().to_string();
    assert!(message.contains("report.json") && message.contains("no report"), "{message}");
    assert!(Report::read(&folder.path().join("absent.json")).is_err());
    assert!(sample::report().write(&folder.path().join("no/such/folder")).is_err());
}

#[test]
fn shares_are_filled_from_the_teacher() {
    let report = sample::report();
    let share = report.rows[5].share_of_teacher_quality.unwrap();
    assert!((share - 0.930 / 0.948).abs() < 1e-12);
    assert_eq!(report.rows[2].share_of_teacher_cost, Some(1.0));
}
