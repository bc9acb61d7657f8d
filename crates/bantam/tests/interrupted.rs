//! Runs that the disk or the system ends: one clear error where there is somebody to tell, nothing half-made where a finished
//! thing belongs, and the same command afterwards gives the bytes of an unbroken run.
#![cfg(unix)]

mod tiny;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use bantam_artifact::Artifact;

const OUT: &str = "broken";
const BUNDLE: &str = "tiny.bantam";
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;

/// `bantam run` on the recipe in a folder, with its results in `out` below it.
fn run(folder: &Path, out: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bantam"));
    command.current_dir(folder).args(["run", "recipe.toml", "--threads", "1", "--out", out]);
    command
}

/// Runs the recipe to its end, and answers the bundle's bytes.
fn whole(folder: &Path, out: &str) -> Vec<u8> {
    let output = run(folder, out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read(folder.join(out).join(BUNDLE)).unwrap()
}

/// Checks that whatever has a finished thing's name is finished. After a failed write not even hidden files may be left.
fn check_leftovers(out: &Path, bundle: &[u8], may_be_hidden: bool) {
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    for name in names(&out.join("artifacts")).iter().filter(|name| *name != ".lock") {
        let folder = out.join("artifacts").join(name);
        if !name.ends_with(".part") {
            Artifact::open(&folder).unwrap();
        }
        let halves: Vec<String> = names(&folder).into_iter().filter(|name| name.ends_with(".part")).collect();
        assert!(may_be_hidden || halves.is_empty(), "{name} has {halves:?}");
    }
    for name in names(out) {
        match name.as_str() {
            BUNDLE => assert!(fs::read(out.join(BUNDLE)).unwrap() == bundle, "a bundle with other bytes"),
            "artifacts" | "report.json" | "report.html" => {}
            other => assert!(may_be_hidden && other.starts_with('.'), "{other} was left"),
        }
    }
}

/// A file may not grow beyond a limit, as on a full disk: the limit rises until the run gets through.
#[test]
fn a_full_disk_ends_a_run_with_one_error_and_leaves_nothing_half_made() {
    let folder = tempfile::tempdir().unwrap();
    tiny::recipe_in(folder.path());
    let bundle = whole(folder.path(), "whole");
    let out = folder.path().join(OUT);
    let mut failures = 0;
    for blocks in [0, 1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256] {
        let plain = run(folder.path(), OUT);
        // Without the trap, the system ends the program instead of refusing the write.
        let mut limited = Command::new("sh");
        limited.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", &blocks.to_string()]);
        limited.arg(plain.get_program()).args(plain.get_args()).current_dir(folder.path());
        let output = limited.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        check_leftovers(&out, &bundle, false);
        if output.status.success() {
            break;
        }
        failures += 1;
        assert_eq!(output.status.code(), Some(1), "{told}");
        let errors: Vec<&str> = told.lines().filter(|line| line.starts_with("error")).collect();
        let [error] = errors[..] else { panic!("{blocks} blocks: {told}") };
        assert!(error.contains(&format!("cannot write {OUT}/")), "{blocks} blocks: {error}");
        assert_eq!(error.matches("os error").count(), 1, "the cause is told once: {error}");
        assert!(error.contains("ulimit -f") && error.contains("choose another --out"), "{blocks} blocks: {error}");
    }
    assert!(failures >= 5, "the limits were met only {failures} times");
    assert!(whole(folder.path(), OUT) == bundle, "a bundle with other bytes");
    check_leftovers(&out, &bundle, false);
}

/// Ends a run with a signal so long after a line of its progress that begins as given; answers how it ended.
fn end_run(folder: &Path, line: &str, after: Duration, signal: i32) -> ExitStatus {
    let mut child = run(folder, OUT).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.by_ref().any(|told| told.trim_start().starts_with(line)), "no line begins with {line}");
    std::thread::sleep(after);
    let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status().unwrap();
    assert!(sent.success());
    // Read to the end, so that the run is never held up by a full pipe.
    lines.for_each(drop);
    child.wait().unwrap()
}

#[test]
fn a_run_killed_anywhere_continues_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    tiny::recipe_in(folder.path());
    let bundle = whole(folder.path(), "whole");
    let out = folder.path().join(OUT);
    let mut killed = 0;
    for stage in
        ["corpus", "tokenizer", "pretraining", "teacher", "transfer", "student", "pruning", "bundle", "evaluation"]
    {
        // A polite end leaves a checkpoint where there is training: the kill after it hits a run that continues from one.
        for (milliseconds, signal) in [(0, SIGKILL), (40, SIGINT), (5, SIGKILL), (80, SIGKILL)] {
            let status = end_run(folder.path(), stage, Duration::from_millis(milliseconds), signal);
            killed += usize::from(status.signal() == Some(SIGKILL));
            check_leftovers(&out, &bundle, true);
        }
    }
    assert!(killed >= 9, "only {killed} runs were killed");
    fs::write(out.join(".tiny.bantam.1.part"), "half").unwrap();
    assert!(whole(folder.path(), OUT) == bundle, "a bundle with other bytes");
    check_leftovers(&out, &bundle, false);
}
