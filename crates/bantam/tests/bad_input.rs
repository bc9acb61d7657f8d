//! Bad input as the program's users meet it: one error that names the place and the remedy, exit code 1, nothing on standard
//! output, no panic. What each reader refuses is tested beside it; here is the way from there to the terminal.

mod tiny;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use bantam_model::folder;
use bantam_runtime::sample;

/// Runs the program in a folder, and answers the error that it ends with.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bantam"));
    let output = command.current_dir(folder).args(arguments).stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
    assert!(output.stdout.is_empty(), "{arguments:?} printed {}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(told.matches("error:").count(), 1, "{arguments:?}: {told}");
    assert!(!told.contains("panicked"), "{arguments:?}: {told}");
    told[told.find("error:").unwrap()..].to_owned()
}

fn check(told: &str, place: &str, remedy: &str) {
    assert!(told.contains(place) && told.contains(remedy), "{place:?} and {remedy:?} should be in: {told}");
}

#[test]
fn recipes_are_refused_with_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = tiny::recipe_in(folder.path());
    let good = fs::read_to_string(&recipe).unwrap();
    let run = || refused(folder.path(), &["run", "recipe.toml", "--out", "out"]);
    for (old, new, place, remedy) in [
        ("seed = 3", "sede = 3", "sede", "expected one of"),
        ("seed = 3", "seed = \"three\"", "seed = \"three\"", "expected u64"),
        ("name = \"tiny\"", "name = \"a/b\"", "name = \"a/b\"", "use letters, digits"),
        ("held_out = 0.2", "held_out = 2", "data.held_out = 2", "choose from"),
        ("[\"train.tsv\"]", "[\"absent.tsv\"]", "absent.tsv", "check the path"),
        ("[\"train.tsv\"]", "[]", "data.train", "name one file"),
        ("held_out", "replies = \"absent.toml\"\nheld_out", "absent.toml", "data.replies names a TOML file"),
        ("[data]", "[data", "recipe.toml", "line 3"),
    ] {
        assert!(good.contains(old));
        fs::write(&recipe, good.replacen(old, new, 1)).unwrap();
        check(&run(), place, remedy);
    }
    check(&refused(folder.path(), &["run", "nowhere"]), "nowhere", "a recipe is a folder with recipe.toml");
}

#[test]
fn data_are_refused_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = tiny::recipe_in(folder.path());
    let text = fs::read_to_string(&recipe).unwrap();
    fs::write(&recipe, text.replace("train.tsv", "train.jsonl")).unwrap();
    let long = format!("{{\"text\": \"{}\", \"label\": \"a\"}}\n", "x".repeat(10_000_000));
    let cases: [(&[u8], &str, &str); 7] = [
        (b"{\"text\": \"a\", \"label\": \"a\"}\n{\"text\": }\n", "train.jsonl, line 2, column", "one object per line"),
        (b"{\"words\": \"a\", \"label\": \"a\"}\n", "train.jsonl, line 1: no field", "there are: words, label"),
        (b"{\"text\": \"a\", \"label\": \"caf\xe9\"}\n", "train.jsonl, line 1, byte column", "convert the file"),
        (long.as_bytes(), "train.jsonl, line 1: longer than", "split the text"),
        (
            b"{\"text\": \"a\", \"label\": \"a\"}\n{\"text\": \"b\", \"label\": \"a\"}\n",
            "needs at least 2 labels",
            "add examples of another label",
        ),
        (
            b"{\"text\": \"\", \"label\": \"a\"}\n{\"text\": \"  \", \"label\": \"b\"}\n",
            "artifacts/corpus-",
            "rejects.jsonl tells why",
        ),
        (b"", "train.jsonl holds no documents", "it needs at least one line"),
    ];
    for (bytes, place, remedy) in cases {
        fs::write(folder.path().join("train.jsonl"), bytes).unwrap();
        check(&refused(folder.path(), &["run", "recipe.toml", "--out", "out"]), place, remedy);
    }
}

#[test]
fn bundles_are_refused_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let whole = sample::parts().to_bytes();
    let mut flipped = whole.clone();
    // In the header, where threshold and temperature stand.
    flipped[400] ^= 1;
    let cases: [(&[u8], &str); 4] = [
        (&flipped, "copy it again"),
        (&whole[..whole.len() / 2], "copy it again"),
        (b"BANTAM1\0\x02\0\0\0\0\0\0\0{}", "make it again"),
        (b"GGUF\x03\0\0\0", "give a .bantam file"),
    ];
    for (bytes, remedy) in cases {
        fs::write(folder.path().join("x.bantam"), bytes).unwrap();
        for command in ["inspect", "classify", "chat", "serve"] {
            check(&refused(folder.path(), &[command, "x.bantam"]), "x.bantam: ", remedy);
        }
    }
    check(&refused(folder.path(), &["inspect", "absent.bantam"]), "absent.bantam", "give the path of a .bantam file");
}

#[test]
fn model_folders_are_refused_with_the_file() {
    let place = tempfile::tempdir().unwrap();
    let parts = sample::parts();
    folder::write(&place.path().join("model"), &parts.config, &parts.arrays, &parts.tokenizer).unwrap();
    for (name, remedy) in [("model.safetensors", "download it again"), ("tokenizer.json", "fetch the file again")] {
        let path = place.path().join("model").join(name);
        let whole = fs::read(&path).unwrap();
        let mut corrupt = whole.clone();
        corrupt[..10].fill(b'#');
        for bytes in [&whole[..whole.len() / 2], &corrupt, b""] {
            fs::write(&path, bytes).unwrap();
            check(&refused(place.path(), &["inspect", "model"]), &format!("model/{name}"), remedy);
        }
        fs::remove_file(&path).unwrap();
        check(&refused(place.path(), &["inspect", "model"]), &format!("model/{name}"), "");
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_port_in_use_is_refused_with_the_option() {
    let folder = tempfile::tempdir().unwrap();
    sample::parts().write(&folder.path().join("x.bantam")).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    check(&refused(folder.path(), &["serve", "x.bantam", "--port", &port]), &format!("port {port}"), "--port");
}
