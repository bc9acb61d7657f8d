//! Language models as the program's users meet them: text goes on, ids come out, and what cannot be is refused.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bantam_model::folder::read_predictor;
use bantam_model::{Batch, Pass};
use serde_json::Value;

/// A Llama of `transformers` with 30 words.
fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bantam-model/tests/golden/llama_tied")
}

fn run(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bantam"));
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses its arguments may be gone before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn answer(arguments: &[&str]) -> String {
    let output = run(arguments, "");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(arguments: &[&str], parts: [&str; 2]) {
    let output = run(arguments, "");
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
    assert!(output.stdout.is_empty() && !told.contains("panicked"), "{arguments:?}: {told}");
    parts.iter().for_each(|part| assert!(told.contains(part), "{part:?} should be in: {told}"));
}

fn generated(path: &Path, more: &[&str]) -> Value {
    let arguments = ["generate", path.to_str().unwrap(), "--prompt", "when is my order", "--json"];
    serde_json::from_str(&answer(&[&arguments[..], more].concat())).unwrap()
}

/// What the definition says: the whole text anew for each token.
fn greedily(path: &Path, prompt: &[u32], count: usize) -> Vec<u32> {
    let model = read_predictor(path, bantam_kernels::gemm::Precision::F32).unwrap();
    let mut tokens = prompt.to_vec();
    for _ in 0..count {
        let hidden = model.architecture.hidden(&model.weights, &Batch::new([&tokens[..]]), &mut Pass::plain());
        let logits = hidden.last().unwrap().linear(&model.architecture.head(&model.weights), None);
        let last = logits.data().chunks(logits.width()).next_back().unwrap();
        tokens.push((0..last.len()).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap() as u32);
    }
    tokens.split_off(prompt.len())
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn greedy_answers_are_the_likeliest_tokens_of_the_whole_text() {
    let found = generated(&model(), &["--greedy", "--tokens", "12", "--format", "f32"]);
    let prompt = ids(&found["prompt_tokens"]);
    assert_eq!(ids(&found["tokens"]), greedily(&model(), &prompt, ids(&found["tokens"]).len()));
    assert_eq!(found["log_probabilities"].as_array().unwrap().len(), ids(&found["tokens"]).len());
    assert!(found["log_probabilities"].as_array().unwrap().iter().all(|x| x.as_f64().unwrap() <= 0.0));
}

#[test]
fn an_answer_is_what_it_adds_to_the_text_of_the_prompt() {
    let tokenizer = read_predictor(&model(), bantam_kernels::gemm::Precision::F32).unwrap().tokenizer.unwrap();
    let check = |found: &Value, prompt: &Value| {
        let (prompt, tokens) = (ids(prompt), ids(&found["tokens"]));
        let (begun, whole) = (tokenizer.decode(&prompt), tokenizer.decode(&[prompt, tokens].concat()));
        assert_eq!(format!("{begun}{}", found["text"].as_str().unwrap()), whole, "{found}");
    };
    let found = generated(&model(), &["--greedy", "--tokens", "12"]);
    assert!(found["text"].as_str().unwrap().starts_with(' '), "its words are apart: {found}");
    check(&found, &found["prompt_tokens"]);
    let found = generated(&model(), &["--beams", "3", "--tokens", "5"]);
    check(&found["results"][0], &found["prompt_tokens"]);
}

#[test]
fn samples_differ_by_their_seeds_and_settings_change_them() {
    let path = model();
    let arguments = ["generate", path.to_str().unwrap(), "--prompt", "when is", "--json", "--temperature", "1.5"];
    let more = ["--samples", "3", "--seed", "5", "--top-log-probabilities", "2"];
    let text = answer(&[&arguments[..], &more].concat());
    let samples: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(samples.len() == 3 && samples[0]["tokens"] != samples[1]["tokens"], "{text}");
    let second: Value = serde_json::from_str(&answer(&[&arguments[..], &["--seed", "6"]].concat())).unwrap();
    assert_eq!(second["tokens"], samples[1]["tokens"]);
    let tops = samples[0]["top_log_probabilities"].as_array().unwrap();
    assert_eq!(tops.len(), ids(&samples[0]["tokens"]).len());
    for place in tops {
        assert!(place[0]["log_probability"].as_f64() >= place[1]["log_probability"].as_f64() && place[2].is_null());
    }
    // A bias forces a token, and forbids it.
    let first =
        |setting: &str| ids(&generated(&path, &["--greedy", "--tokens", "1", "--logit-bias", setting])["tokens"]);
    assert_eq!((first("7=100"), first("9=100")), (vec![7], vec![9]));
    assert_ne!(first("7=-100"), [7]);
    let repeated = generated(&path, &["--greedy", "--tokens", "12", "--logit-bias", "7=100"]);
    assert!(ids(&repeated["tokens"]).iter().all(|&token| token == 7), "{repeated}");
    for (flag, value, part) in [("--top-k", "-1", "whole number from 0"), ("--logit-bias", "a", "42=-100")] {
        let output = run(&["generate", "x", "--prompt", "a", flag, value], "");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && told.contains(part), "{told}");
    }
    for (flag, value) in [
        ("temperature", "-1"),
        ("top-p", "-1"),
        ("min-p", "2"),
        ("typical", "0"),
        ("repetition-penalty", "-2"),
        ("frequency-penalty", "3"),
        ("presence-penalty", "-3"),
    ] {
        let flag = format!("--{flag}");
        refused(&["generate", path.to_str().unwrap(), "--prompt", "a", &flag, value], [&flag[2..5], value]);
    }
    for (flag, value) in [("--temperature", "5"), ("--seed", "1"), ("--samples", "2")] {
        let output = run(&["generate", "x", "--prompt", "a", "--beams", "3", flag, value], "");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && told.contains("cannot be used with"), "{told}");
    }
}

#[test]
fn a_seed_repeats_its_answer_and_another_gives_another() {
    let with =
        |seed| generated(&model(), &["--seed", seed, "--temperature", "1.5", "--tokens", "20"])["tokens"].clone();
    assert_eq!(with("5"), with("5"));
    assert_ne!(with("5"), with("6"));
}

#[test]
fn a_stop_string_ends_the_answer_and_is_not_shown() {
    let whole = generated(&model(), &["--greedy", "--tokens", "12"]);
    let text = whole["text"].as_str().unwrap();
    let stop = text.split_whitespace().last().unwrap();
    let cut = generated(&model(), &["--greedy", "--tokens", "12", "--stop", stop]);
    assert_eq!(cut["finish_reason"], "stop");
    assert_eq!(cut["text"].as_str().unwrap(), &text[..text.find(stop).unwrap()]);
}

#[test]
fn an_answer_has_the_form_that_it_must_have() {
    let folder = tempfile::tempdir().unwrap();
    let (grammar, schema) = (folder.path().join("form.lark"), folder.path().join("form.json"));
    fs::write(
        &grammar,
        "start: \"my \" thing (\" is \" state)?\nthing: \"card\" | \"bill\"\nstate: \"lost\" | \"due\"\n",
    )
    .unwrap();
    fs::write(&schema, "{\"type\": \"object\", \"properties\": {\"a\": {\"not\": {}}}}").unwrap();
    for seed in ["1", "2", "3", "4", "5", "6"] {
        let found = generated(&model(), &["--regex", "(lost|stolen|gone)( today)?", "--seed", seed]);
        let all = ["lost", "stolen", "gone", "lost today", "stolen today", "gone today"];
        assert!(all.contains(&found["text"].as_str().unwrap()), "{found}");
        assert_eq!(found["finish_reason"], "stop");
        let found = generated(&model(), &["--grammar", grammar.to_str().unwrap(), "--seed", seed]);
        let text = found["text"].as_str().unwrap();
        let rest = text.strip_prefix("my card").or(text.strip_prefix("my bill")).expect(text);
        assert!(["", " is lost", " is due"].contains(&rest), "{text}");
    }
    let path = model();
    let arguments = |flag, form| ["generate", path.to_str().unwrap(), "--prompt", "a", flag, form];
    refused(&arguments("--schema", schema.to_str().unwrap()), ["form.json", "/properties/a/not"]);
    refused(&arguments("--regex", "("), ["--regex", "unclosed"]);
    refused(&arguments("--grammar", "nowhere.lark"), ["nowhere.lark", "cannot read"]);
    refused(&arguments("--grammar", path.join("config.json").to_str().unwrap()), ["config.json", "grammar"]);
}

#[test]
fn a_chat_answers_each_line() {
    let output = run(&["chat", model().to_str().unwrap(), "--tokens", "2", "--greedy"], "when is my day\nnow\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
    let output = run(&["chat", model().to_str().unwrap(), "--tokens", "2", "--json"], "when is my day\n");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answer["tokens"].as_u64().unwrap() <= 2 && answer["content"].is_string(), "{answer}");
}

#[test]
fn a_model_with_an_adapter_is_a_model_to_all_commands() {
    let golden = model().parent().unwrap().to_owned();
    let both =
        |model: &str, adapter: &str| format!("{}+{}", golden.join(model).display(), golden.join(adapter).display());
    let (llama, bert) = (both("llama_tied", "llama_adapter"), both("bert_classifier", "bert_adapter"));
    let output = run(&["chat", &llama, "--tokens", "2", "--greedy"], "when is my day\n");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ids = |path: &str| answer(&["tokenize", path, "--text", "when is my day"]);
    assert_eq!(ids(&llama), ids(model().to_str().unwrap()));
    for (path, name, kind) in [
        (&llama, "llama_tied+llama_adapter", "token predictor folder"),
        (&bert, "bert_classifier+bert_adapter", "classifier folder"),
    ] {
        let told: Value = serde_json::from_str(&answer(&["inspect", path, "--json"])).unwrap();
        assert_eq!((&told["name"], &told["kind"]), (&Value::from(name), &Value::from(kind)));
    }
    let label = |path: &str| {
        let output = run(&["classify", path], "when is my day\n");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["confidence"].clone()
    };
    assert_ne!(label(&bert), label(golden.join("bert_classifier").to_str().unwrap()));
}

#[test]
fn beams_find_the_likeliest_answers() {
    let path = model();
    let found = generated(
        &path,
        &["--beams", "40", "--results", "3", "--tokens", "2", "--length-penalty", "0", "--format", "f32"],
    );
    let own = read_predictor(&path, bantam_kernels::gemm::Precision::F32).unwrap();
    let end = own.tokenizer.as_ref().unwrap().special().end;
    let following = |tokens: &[u32]| -> Vec<f64> {
        let hidden = own.architecture.hidden(&own.weights, &Batch::new([tokens]), &mut Pass::plain());
        let logits = hidden.last().unwrap().linear(&own.architecture.head(&own.weights), None);
        let last = logits.data().chunks(logits.width()).next_back().unwrap();
        let total = last.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
        last.iter().map(|&x| f64::from(x) - total).collect()
    };
    let prompt = ids(&found["prompt_tokens"]);
    let mut all = Vec::new();
    for (first, chance) in (0u32..).zip(following(&prompt)) {
        if Some(first) == end {
            all.push((chance, Vec::new()));
            continue;
        }
        let after = following(&[&prompt[..], &[first]].concat());
        all.extend((0u32..).zip(after).map(|(second, more)| {
            let tokens = if Some(second) == end { vec![first] } else { vec![first, second] };
            (chance + more, tokens)
        }));
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let results = found["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for (result, (chance, tokens)) in results.iter().zip(&all) {
        assert_eq!(&ids(&result["tokens"]), tokens);
        assert!((result["log_probability"].as_f64().unwrap() - chance).abs() < 1e-3, "{result}");
    }
    let text = answer(&[
        "generate",
        path.to_str().unwrap(),
        "--prompt",
        "when is",
        "--beams",
        "2",
        "--results",
        "2",
        "--tokens",
        "3",
    ]);
    assert_eq!(text.lines().count(), 2);
    assert_eq!(run(&["generate", "x", "--prompt", "a", "--beams", "2", "--stop", "b"], "").status.code(), Some(2));
}

#[test]
fn bench_classify_takes_a_folder_and_so_does_classify() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bantam-model/tests/golden/bert_classifier");
    let path = folder.to_str().unwrap();
    let asked = ["bench", "classify", path, "--tokens", "5", "--batch", "3", "--seconds", "0", "--json"];
    let told: Value = serde_json::from_str(&answer(&asked)).unwrap();
    for key in ["latency_p50_microseconds", "latency_p99_microseconds", "requests_per_second", "ceiling_share"] {
        assert!(told[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {told}");
    }
    assert!(told["latency_p99_microseconds"].as_f64() >= told["latency_p50_microseconds"].as_f64());
    assert!(told["peak_bytes"].is_u64() && told["threads"].is_u64() && told["isa"].is_string(), "{told}");
    refused(&["bench", "classify", path, "--tokens", "100000"], ["--tokens", "reads at most"]);
    refused(&["bench", "classify", path, "--batch", "0"], ["--batch", "from 1"]);
    let output = run(&["classify", path], "where is my order\n\n");
    let lines = String::from_utf8(output.stdout).unwrap();
    let labels: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(labels.len() == 2 && labels[0]["in_scope"] == true && labels[1]["in_scope"] == false, "{lines}");
}

#[test]
fn benches_print_what_other_tools_rely_on() {
    for phase in ["prefill", "decode"] {
        let text = answer(&["bench", phase, model().to_str().unwrap(), "--tokens", "8", "--context", "3", "--json"]);
        let found: Value = serde_json::from_str(&text).unwrap();
        for key in ["tokens_per_second", "bits_per_weight", "peak_bytes", "ceiling_share", "threads"] {
            assert!(found[key].as_f64().unwrap() > 0.0, "{phase} {key}: {text}");
        }
        assert_eq!(found["bandwidth_share"].is_null(), phase == "prefill");
    }
    let text = answer(&[
        "bench",
        "serve",
        model().to_str().unwrap(),
        "--chats",
        "3",
        "--prompt",
        "9",
        "--tokens",
        "8",
        "--json",
    ]);
    let found: Value = serde_json::from_str(&text).unwrap();
    for key in
        ["tokens_per_second", "prompt_tokens_per_second", "bits_per_weight", "peak_bytes", "past_bytes", "threads"]
    {
        assert!(found[key].as_f64().unwrap() > 0.0, "serve {key}: {text}");
    }
    for key in ["between_tokens_milliseconds", "first_token_milliseconds"] {
        let [middle, late] = ["p50", "p99"].map(|share| found[key][share].as_f64().unwrap());
        assert!(0.0 < middle && middle <= late, "serve {key}: {text}");
    }
}

#[test]
fn lines_become_lists_of_ids_in_their_order() {
    let path = model();
    let output = run(&["tokenize", path.to_str().unwrap()], "when is\n\nmy order");
    let lines: Vec<Vec<u32>> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tokenizer = read_predictor(&path, bantam_kernels::gemm::Precision::F32).unwrap().tokenizer.unwrap();
    assert_eq!(lines, ["when is", "", "my order"].map(|line| tokenizer.encode_content(line)));
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.gguf");
    fs::write(&broken, b"GGUF\x03\0\0\0").unwrap();
    let (path, broken) = (model(), broken.to_str().unwrap().to_owned());
    let path = path.to_str().unwrap();
    refused(&["generate", "nowhere", "--prompt", "a"], ["nowhere", "config.json"]);
    refused(&["generate", &broken, "--prompt", "a"], ["broken.gguf", "copy or download"]);
    refused(&["bench", "decode", "x.bantam"], ["x.bantam", "bench classify"]);
    let both = format!("{path}+nowhere");
    refused(&["generate", &both, "--prompt", "a"], ["nowhere is no adapter", "adapter_config.json"]);
    refused(&["serve", &both], ["nowhere is no adapter", "adapter_config.json"]);
    refused(&["bench", "serve", path, "--chats", "0"], ["--chats", "1024"]);
    refused(&["bench", "serve", path, "--prompt", "8", "--tokens", "1000"], ["of 1000 tokens", "ask for fewer"]);
    refused(&["generate", path, "--prompt", "a", "--temperature=-1"], ["temperature", "-1"]);
    refused(&["generate", path, "--prompt", &"when ".repeat(5_000)], ["prompt has", "shorten"]);
    refused(&["bench", "decode", path, "--tokens", "0"], ["--tokens", "from 1"]);
}
