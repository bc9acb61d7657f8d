//! The rules of the house, as a test: floors, absences, sizes and documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Files that may be longer than the limit, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];
const LINES_OF_CODE: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is two folders up")
}

fn manifest(path: &Path) -> toml::Table {
    fs::read_to_string(path).unwrap().parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn floors() -> BTreeMap<String, i64> {
    let workspace = manifest(&root().join("Cargo.toml"));
    let table = workspace["workspace"]["metadata"]["floors"].as_table().unwrap();
    table.iter().map(|(name, floor)| (name.clone(), floor.as_integer().unwrap())).collect()
}

/// Each crate's dependencies on crates of the workspace, tests included.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let floors = floors();
    let mut arrows = BTreeMap::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let table = manifest(&folder.join("Cargo.toml"));
        let name = table["package"]["name"].as_str().unwrap().to_owned();
        assert_eq!(folder.file_name().unwrap().to_str().unwrap(), name, "folder and package have one name");
        let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
        let all = kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()).flat_map(toml::Table::keys);
        let inside = all.filter(|dependency| floors.contains_key(*dependency)).cloned().collect();
        arrows.insert(name, inside);
    }
    arrows
}

fn source_files() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let (root, mut found) = (root(), Vec::new());
    walk(&root.join("crates"), &mut found);
    found.sort();
    let relative = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|path| (relative(path), fs::read_to_string(path).unwrap())).collect()
}

/// The part of a source file that ships: without comments, up to the first test module.
fn shipped(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .filter(|line| !line.trim_start().starts_with("//") && !line.trim().is_empty())
}

fn complain(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn a_crate_depends_on_lower_floors_only() {
    let (floors, arrows) = (floors(), arrows());
    assert_eq!(floors.keys().collect::<Vec<_>>(), arrows.keys().collect::<Vec<_>>(), "floors and crates/ disagree");
    let mut wrong = Vec::new();
    for (from, targets) in &arrows {
        wrong.extend(targets.iter().filter(|to| floors[*to] >= floors[from]).map(|to| format!("{from} -> {to}")));
    }
    complain(&wrong, "a crate may depend only on crates of a lower floor");
}

#[test]
fn what_is_deployed_contains_no_trainer() {
    let arrows = arrows();
    for start in ["bantam-runtime", "bantam-server"].into_iter().filter(|name| arrows.contains_key(*name)) {
        let (mut reached, mut open) = (BTreeSet::new(), vec![start.to_owned()]);
        while let Some(name) = open.pop() {
            open.extend(arrows[&name].iter().filter(|next| !reached.contains(*next)).cloned());
            reached.insert(name);
        }
        for forbidden in ["bantam-train", "bantam-compress", "bantam-corpus"] {
            assert!(!reached.contains(forbidden), "{start} reaches {forbidden}");
        }
    }
}

#[test]
fn only_the_server_knows_http() {
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let table = manifest(&folder.join("Cargo.toml"));
        let knows =
            table.get("dependencies").is_some_and(|all| all.get("axum").is_some() || all.get("hyper").is_some());
        assert!(!knows || folder.ends_with("bantam-server"), "{} depends on an HTTP library", folder.display());
    }
}

#[test]
fn unsafe_code_and_instruction_sets_stay_in_the_kernels() {
    let mut found = Vec::new();
    for (path, text) in source_files() {
        if path.starts_with("crates/bantam-kernels/") || path.ends_with("tests/tidy.rs") {
            continue;
        }
        for line in shipped(&text) {
            let words = ["unsafe ", "_mm256", "_mm512", "target_feature", "is_x86_feature_detected", "std::arch"];
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{path}: {}", line.trim()));
            }
        }
    }
    complain(&found, "only bantam-kernels contains unsafe code or names an instruction set");
}

#[test]
fn architectures_know_no_format_cache_thread_or_file() {
    let mut found = Vec::new();
    for (path, text) in source_files() {
        if !path.starts_with("crates/bantam-model/src/architectures/") {
            continue;
        }
        for line in shipped(&text) {
            let words = ["i8", "f16", "bf16", "Int8", "Packed", "thread", "pool::", "std::fs", "std::path", "File"];
            let named = |word: &&str| {
                line.split(|c: char| !c.is_alphanumeric() && c != ':' && c != '_').any(|part| part.starts_with(*word))
            };
            if words.iter().any(named) {
                found.push(format!("{path}: {}", line.trim()));
            }
        }
    }
    complain(&found, "an architecture mentions no number format, cache layout, thread or file");
}

#[test]
fn files_are_short_documented_and_finished() {
    let mut found = Vec::new();
    for (path, text) in source_files() {
        let lines = shipped(&text).count();
        if lines > LINES_OF_CODE && !LONG_FILES.iter().any(|(known, _)| *known == path) {
            found.push(format!("{path}: {lines} lines of code, and {LINES_OF_CODE} is the limit"));
        }
        if !text.starts_with("//!") {
            found.push(format!("{path}: begins without saying what it is for (//!)"));
        }
        let unfinished =
            [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!("), concat!("unimplemented", "!(")];
        if let Some(word) = unfinished.iter().find(|word| text.contains(**word)) {
            found.push(format!("{path}: contains {word}"));
        }
    }
    complain(&found, "files are short, documented and finished");
}

#[test]
fn architecture_page_names_every_crate_and_only_paths_that_exist() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for name in floors().keys() {
        assert!(page.contains(&format!("`{name}`")), "ARCHITECTURE.md does not mention `{name}`");
    }
    for path in
        page.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains('/') && !quoted.contains([' ', '<', '*']))
    {
        assert!(root().join(path).exists(), "ARCHITECTURE.md names {path}, which does not exist");
    }
}
