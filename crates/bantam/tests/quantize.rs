//! Language models in fewer bits as the program's users meet them: files, reports, comparisons, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bantam_kernels::gemm::Precision;
use bantam_model::architectures::Architecture;
use bantam_model::architectures::llama::{Llama, LlamaConfig};
use bantam_model::arrays::Array;
use bantam_model::{Weights, folder, gguf};
use bantam_tokens::{Kind, SpecialTokens, Tokenizer, TrainOptions};
use serde_json::Value;

const LINES: [&str; 3] = ["when is my order coming? ", "my order is late, ", "where is it now. "];
/// Of the table of tokens: more than there are tokens.
const ROWS: usize = 300;

/// A folder with a Llama of random weights, whose feed-forward rows are no whole groups, and a text.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let options = TrainOptions { vocabulary: 290, special: SpecialTokens::decoder(), ..TrainOptions::default() };
    let tokenizer = Tokenizer::train(Kind::Bpe, LINES, &options).unwrap();
    let model = Llama::new(LlamaConfig {
        vocab_size: ROWS,
        hidden_size: 64,
        intermediate_size: 40,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        head_dim: Some(16),
        max_position_embeddings: 32,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: false,
        variant: Default::default(),
    });
    let mut arrays = Weights::initialise(model.schema(), 5, Precision::F32).to_arrays();
    // As large as trained ones, so that scores have something to say.
    for array in arrays.values_mut().filter(|array| array.shape.len() == 2) {
        *array = Array::plain(array.shape.clone(), array.to_f32().iter().map(|x| 8.0 * x).collect());
    }
    folder::write(&place.path().join("model"), &model.config(), &arrays, &tokenizer).unwrap();
    let text: String = (0..150).map(|index| LINES[index * index % 7 % 3]).collect();
    fs::write(place.path().join("text.txt"), text).unwrap();
    place
}

fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bantam"));
    let output = command.current_dir(folder).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let (code, text, told) = run(folder, &[arguments, &["--json"]].concat());
    assert_eq!(code, Some(0), "{arguments:?}: {told}");
    serde_json::from_str(&text).unwrap()
}

fn refused(folder: &Path, arguments: &[&str], parts: [&str; 2]) {
    let (code, text, told) = run(folder, arguments);
    assert_eq!((code, text.as_str()), (Some(1), ""), "{arguments:?}: {told}");
    assert!(!told.contains("panicked"), "{arguments:?}: {told}");
    parts.iter().for_each(|part| assert!(told.contains(part), "{arguments:?}: {part:?} should be in: {told}"));
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn fewer_bits_stray_further_and_the_report_is_what_is_measured() {
    let place = place();
    let mut before = -1.0;
    for (format, least_bits, most_bits) in
        [("f32", 31.9, 32.1), ("f16", 15.9, 16.2), ("q8_0", 8.5, 12.0), ("q4_0", 4.5, 9.0)]
    {
        let out = format!("{format}.gguf");
        let arguments = ["quantize", "model", "--to", format, "--out", &out, "--text", "text.txt"];
        let report = json(place.path(), &arguments);
        assert_eq!(number(&report["bytes"]), fs::metadata(place.path().join(&out)).unwrap().len() as f64);
        let bits = number(&report["bits_per_weight"]);
        assert!((least_bits..most_bits).contains(&bits), "{format}: {bits}");
        let strays = number(&report["divergence"]["mean_divergence"]);
        assert!(strays > before || (format == "f32" && strays == 0.0), "{format}: {strays} after {before}");
        before = strays;
        let arguments = ["eval", "divergence", &out, "--against", "model", "--text", "text.txt"];
        assert_eq!(json(place.path(), &arguments), report["divergence"]);
        let answer = json(place.path(), &["generate", &out, "--prompt", "when is", "--tokens", "3", "--greedy"]);
        assert!(answer["tokens"].is_array());
    }
    assert!(before > 1e-4, "4 bits cannot be free: {before}");
    let one = json(place.path(), &["eval", "perplexity", "q4_0.gguf", "--text", "text.txt"]);
    let two = json(place.path(), &["eval", "divergence", "q4_0.gguf", "--against", "model", "--text", "text.txt"]);
    assert_eq!(one["perplexity"], two["perplexity"]);
}

#[test]
fn the_report_counts_weights_by_format_and_the_table_has_its_own() {
    let place = place();
    let report = json(
        place.path(),
        &["quantize", "model", "--to", "q4_0", "--table", "q8_0", "--out", "o.gguf", "--calibration", "text.txt"],
    );
    // Table and head; of each layer, down-projections of 40 inputs, and norms.
    assert_eq!(report["weights_by_format"]["Q8_0"], 2 * ROWS * 64);
    assert_eq!(report["weights_by_format"]["F16"], 2 * 64 * 40);
    assert_eq!(report["weights_by_format"]["F32"], 5 * 64);
    assert_eq!(report["weights_by_format"]["Q4_0"], 2 * ((64 + 64 + 32 + 32) * 64 + 2 * 40 * 64));
    // What was calibrated with is not what was measured on.
    let all = json(place.path(), &["eval", "perplexity", "o.gguf", "--text", "text.txt"]);
    let (kept, all) = (number(&report["divergence"]["windows"]), number(&all["windows"]));
    assert!(kept >= 1.0 && kept <= (all / 10.0).max(1.0), "{kept} of {all}");
}

#[test]
fn a_model_goes_to_gguf_and_back() {
    let place = place();
    let path = |name: &str| -> PathBuf { place.path().join(name) };
    fs::write(path("model/chat_template.jinja"), "{{ messages[0].content }}").unwrap();
    fs::write(path("model/generation_config.json"), r#"{"eos_token_id": [2, 5]}"#).unwrap();
    let report = json(place.path(), &["quantize", "model", "--to", "f32", "--out", "model.gguf"]);
    let told = json(place.path(), &["inspect", "model.gguf"]);
    let bytes = std::fs::metadata(place.path().join("model.gguf")).unwrap().len();
    assert_eq!(
        (&told["kind"], &told["family"], told["bytes"].as_u64()),
        (&"GGUF file".into(), &"llama".into(), Some(bytes))
    );
    assert_eq!((&told["bits_a_weight"], told["tensors"].as_object().unwrap().len()), (&32.0.into(), 1), "{told}");
    for key in ["vocabulary", "max_tokens", "layers", "parameters"] {
        assert!(told[key].as_u64() > Some(0), "{key}: {told}");
    }
    assert!(report["divergence"].is_null() && report["not_compared"].as_str().unwrap().contains("--text"));
    json(place.path(), &["export", "model.gguf", "--out", "back"]);
    let [first, back] = ["model", "back"].map(|name| folder::read_predictor(&path(name), Precision::F32).unwrap());
    assert_eq!(first.weights.to_arrays(), back.weights.to_arrays());
    assert_eq!(first.architecture.config(), back.architecture.config());
    assert_eq!(back.chat_template.as_deref(), Some("{{ messages[0].content }}"));
    assert!([2, 5].iter().all(|end| back.ends.contains(end)), "{:?}", back.ends);
    let ids = |model: &folder::PredictorFolder| model.tokenizer.as_ref().unwrap().encode("when is my order late", 99);
    assert_eq!(ids(&first), ids(&back));
    refused(place.path(), &["export", "model.gguf", "--out", "back"], ["back", "--force"]);

    // A model without tokenizer is quantised and measured by ids.
    gguf::write_predictor(
        &path("bare.gguf"),
        first.architecture.as_ref(),
        &first.weights.to_arrays(),
        None,
        None,
        &[],
        gguf::TensorFormat::F32,
    )
    .unwrap();
    json(place.path(), &["quantize", "bare.gguf", "--to", "q8_0", "--out", "bare8.gguf"]);
    let list: Vec<u32> = (0..200).map(|index| index * index % 300).collect();
    fs::write(path("ids.txt"), format!("{:?}\n\n{:?}\n", &list[..90], &list[90..])).unwrap();
    let found = json(place.path(), &["eval", "divergence", "bare8.gguf", "--against", "bare.gguf", "--ids", "ids.txt"]);
    assert_eq!((number(&found["windows"]), number(&found["context"])), (6.0, 32.0));
    assert!(number(&found["mean_divergence"]) > 0.0);
    refused(place.path(), &["eval", "perplexity", "bare.gguf", "--text", "text.txt"], ["tokenizer", "vocabulary"]);
    refused(place.path(), &["export", "bare.gguf", "--out", "other"], ["bare.gguf", "tokenizer"]);
    let to = ["quantize", "bare.gguf", "--to", "q8_0", "--out", "b.gguf", "--calibration", "text.txt"];
    refused(place.path(), &to, ["tokenizer", "vocabulary"]);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let place = place();
    let folder = place.path();
    fs::write(folder.join("there.gguf"), b"old").unwrap();
    fs::write(folder.join("short.txt"), "when is my order").unwrap();
    fs::write(folder.join("latin.txt"), b"caf\xe9 ".repeat(100)).unwrap();
    fs::write(folder.join("ids.txt"), "[1, 2]\n[3, x]\n").unwrap();
    let to = |more: &[&'static str]| [&["quantize", "model", "--to", "q4_0"], more].concat();
    refused(folder, &to(&[]), ["--out", "name the file"]);
    refused(folder, &to(&["--out", "model.bin"]), ["model.bin", ".gguf"]);
    refused(folder, &to(&["--out", "there.gguf"]), ["there.gguf", "--force"]);
    refused(folder, &to(&["--out", "o.gguf", "--text", "absent.txt"]), ["absent.txt", "No such file"]);
    refused(folder, &to(&["--out", "o.gguf", "--text", "short.txt"]), ["short.txt", "longer text"]);
    refused(folder, &to(&["--out", "o.gguf", "--calibration", "latin.txt"]), ["latin.txt", "UTF-8"]);
    let two = ["quantize", "model", "--to", "f16", "--table", "f32", "--out", "o.gguf"];
    refused(folder, &two, ["two formats", "q8_0 or q4_0"]);
    refused(folder, &["quantize", "model"], ["model", "--to"]);
    refused(folder, &["quantize", "absent", "--to", "f16", "--out", "o.gguf"], ["absent", "config.json"]);
    refused(folder, &["eval", "perplexity", "model", "--ids", "ids.txt"], ["ids.txt line 2", "bantam tokenize"]);
    refused(
        folder,
        &["eval", "perplexity", "model", "--text", "text.txt", "--context", "33"],
        ["33 tokens", "from 4 to 32"],
    );
    assert!(!folder.join("o.gguf").exists());
    assert_eq!(fs::read(folder.join("there.gguf")).unwrap(), b"old");
    // What clap refuses ends with its own code.
    for wrong in [&["quantize", "model", "--to", "q3_0"][..], &["eval", "perplexity", "model"], &["eval"]] {
        let (code, _, told) = run(folder, wrong);
        assert_eq!(code, Some(2), "{wrong:?}: {told}");
    }
    let (code, ..) = run(folder, &to(&["--out", "there.gguf", "--force"]));
    assert_eq!(code, Some(0));
}
