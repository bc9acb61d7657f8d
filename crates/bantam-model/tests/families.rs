//! Families that are built like Llama, beyond their folders: GGUF files, pasts and codes say what `transformers` says.

use std::fs;
use std::path::{Path, PathBuf};

use bantam_kernels::attention::PastFormat;
use bantam_kernels::gemm::Precision;
use bantam_kernels::gemm::grouped::Bits;
use bantam_model::folder::{self, PredictorFolder};
use bantam_model::gguf::{self, Gguf, TensorFormat, Value};
use bantam_model::{Batch, Pass, Past, Weights};

const NAMES: [&str; 5] = ["llama_3", "llama_linear", "mistral", "qwen2", "qwen3"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read(name: &str) -> PredictorFolder {
    folder::read_predictor(&fixture(name), Precision::F32).unwrap()
}

/// Texts, and the logits that `transformers` computes for each.
fn golden(name: &str) -> Vec<(Vec<u32>, Vec<f32>)> {
    let text = fs::read(fixture(name).join("expected.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let ids: Vec<Vec<u32>> = serde_json::from_value(golden["ids"].clone()).unwrap();
    let logits: Vec<Vec<f32>> = serde_json::from_value(golden["logits"].clone()).unwrap();
    ids.into_iter().zip(logits).collect()
}

fn logits(model: &PredictorFolder, weights: &Weights, batch: &Batch, pass: &mut Pass) -> Vec<f32> {
    let hidden = model.architecture.hidden(weights, batch, pass);
    hidden.last().unwrap().linear(&model.architecture.head(weights), None).data().to_vec()
}

fn away(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max)
}

/// All texts in one batch.
fn away_from_transformers(model: &PredictorFolder, weights: &Weights, name: &str) -> f32 {
    let golden = golden(name);
    let batch = Batch::new(golden.iter().map(|(ids, _)| ids.as_slice()));
    let expected: Vec<f32> = golden.iter().flat_map(|(_, logits)| logits.clone()).collect();
    away(&logits(model, weights, &batch, &mut Pass::plain()), &expected)
}

#[test]
fn gguf_files_hold_each_family_under_the_names_of_llama_cpp() {
    let place = tempfile::tempdir().unwrap();
    for name in NAMES {
        let model = read(name);
        // With a variable set, the files stay, to be read by llama.cpp.
        let folder = std::env::var_os("BANTAM_GOLDEN_FOLDER").map_or_else(|| place.path().to_owned(), PathBuf::from);
        let path = folder.join(format!("{name}.gguf"));
        let (architecture, arrays) = (model.architecture.as_ref(), model.weights.to_arrays());
        gguf::write_predictor(&path, architecture, &arrays, None, None, &[], TensorFormat::F32).unwrap();
        let back = gguf::read_predictor(&path, Precision::F32).unwrap();
        assert!(back.weights.to_arrays() == arrays, "{name}");
        let most = away_from_transformers(&back, &back.weights, name);
        assert!(most <= 1e-5, "{name}: {most} away from transformers");

        let bytes = fs::read(&path).unwrap();
        let file = Gguf::parse(&bytes).unwrap();
        let has = |tensor: &str| file.tensors().contains_key(tensor);
        assert_eq!(has("blk.0.attn_k.bias"), name == "qwen2");
        assert_eq!(has("blk.0.attn_q_norm.weight"), name == "qwen3");
        assert_eq!(has("rope_freqs.weight"), name == "llama_3");
        let family = if name.starts_with("qwen") { name } else { "llama" };
        assert_eq!(file.metadata().text("general.architecture").unwrap(), family);
        let factor = file.metadata().get("llama.rope.scaling.factor");
        assert_eq!(factor, (name == "llama_linear").then_some(&Value::F32(2.5)));
    }
}

#[test]
fn factors_of_a_gguf_file_stay_in_a_folder() {
    let place = tempfile::tempdir().unwrap();
    let (path, copy) = (place.path().join("model.gguf"), place.path().join("copy"));
    let model = read("llama_3");
    let (architecture, arrays) = (model.architecture.as_ref(), model.weights.to_arrays());
    gguf::write_predictor(&path, architecture, &arrays, None, None, &[], TensorFormat::F32).unwrap();
    let config = gguf::read_predictor(&path, Precision::F32).unwrap().architecture.config();
    assert_eq!(config["rope_scaling"]["rope_type"], "longrope");
    folder::write(&copy, &config, &arrays, &model.tokenizer.unwrap()).unwrap();
    let back = folder::read_predictor(&copy, Precision::F32).unwrap();
    assert!(away_from_transformers(&back, &back.weights, "llama_3") <= 1e-5);
    // What llama.cpp would not follow is not written.
    let mut config = read("qwen2").architecture.config();
    config["rope_scaling"] = read("llama_3").architecture.config()["rope_scaling"].clone();
    let qwen = folder::predictor_of(&config, &path).unwrap();
    let arrays = read("qwen2").weights.to_arrays();
    let error = gguf::write_predictor(&path, qwen.as_ref(), &arrays, None, None, &[], TensorFormat::F32).unwrap_err();
    assert!(error.to_string().contains("a factor for each frequency in qwen2"), "{error}");
}

#[test]
fn texts_that_go_on_from_their_past_have_the_same_logits() {
    for name in NAMES {
        let (model, mut golden) = (read(name), golden(name));
        golden.retain(|(ids, _)| ids.len() > 1);
        let mut pasts: Vec<Past> = golden.iter().map(|_| Past::in_format(PastFormat::F16)).collect();
        let mut found = vec![Vec::new(); golden.len()];
        // All but the last token of each text at once, then that.
        for is_last in [false, true] {
            let halves = golden.iter().map(|(ids, _)| ids.split_at(ids.len() - 1));
            let parts: Vec<&[u32]> = halves.map(|(first, last)| if is_last { last } else { first }).collect();
            let batch = Batch::continuing(pasts.iter().map(Past::tokens).zip(parts.iter().copied()));
            let mut pass = Pass::continuing(std::mem::take(&mut pasts));
            let all = logits(&model, &model.weights, &batch, &mut pass);
            pasts = pass.into_pasts();
            let mut rest = all.as_slice();
            for (found, part) in found.iter_mut().zip(parts) {
                let (own, others) = rest.split_at(part.len() * model.architecture.vocabulary());
                found.extend_from_slice(own);
                rest = others;
            }
        }
        for (found, (_, expected)) in found.iter().zip(&golden) {
            // Keys and values of 11 bits.
            let (most, spread) = (away(found, expected), expected.iter().fold(0.0f32, |most, x| most.max(x.abs())));
            assert!(most < 2e-3 * spread, "{name}: {most} of {spread}");
        }
    }
}

#[test]
fn fewer_bits_move_the_logits_little() {
    let place = tempfile::tempdir().unwrap();
    for name in NAMES {
        let (model, path) = (read(name), place.path().join(name));
        let arrays = model.weights.to_arrays();
        gguf::write_predictor(&path, model.architecture.as_ref(), &arrays, None, None, &[], TensorFormat::F16).unwrap();
        let spread = golden(name).iter().flat_map(|(_, logits)| logits).fold(0.0f32, |most, x| most.max(x.abs()));
        let half = folder::read_predictor(&fixture(name), Precision::Bf16).unwrap();
        for (what, weights, bound) in [
            ("bf16", &half.weights, 0.02),
            ("8 bits", &model.weights.grouped(Bits::Eight), 0.05),
            ("8 bits of a folder", &folder::read_grouped_predictor(&fixture(name), Bits::Eight).unwrap().weights, 0.05),
            ("8 bits of a file", &gguf::read_grouped_predictor(&path, Bits::Eight).unwrap().weights, 0.05),
            ("4 bits", &model.weights.grouped(Bits::Four), 0.5),
        ] {
            let most = away_from_transformers(&model, weights, name);
            assert!(most > 0.0 && most < bound * spread, "{name} in {what}: {most} of {spread}");
        }
    }
}
