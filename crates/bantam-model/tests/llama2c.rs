//! Models of llama2.c: where each number goes, damage, and the text that llama2.c prints for a published model.

use std::fs;
use std::path::PathBuf;

use bantam_kernels::gemm::Precision;
use bantam_model::gguf::{self, TensorFormat};
use bantam_model::llama2c::{llama_of, read_predictor, vocabulary_of};
use bantam_model::{Batch, Pass};

/// A model of width 4, 3 channels, 2 layers, 2 heads, 1 head of keys and values, 3 tokens and 5 positions, whose
/// numbers count up.
fn small(is_tied: bool) -> Vec<u8> {
    let layers = 2 * (4 + 16 + 8 + 8 + 16 + 4 + 12 + 12 + 12);
    let count = 12 + layers + 4 + 2 * 5 + if is_tied { 0 } else { 12 };
    let header = [4, 3, 2, 2, 1, if is_tied { 3 } else { -3 }, 5_i32];
    let mut bytes: Vec<u8> = header.iter().flat_map(|number| number.to_le_bytes()).collect();
    bytes.extend((0..count).flat_map(|number| (number as f32).to_le_bytes()));
    bytes
}

#[test]
fn every_number_goes_to_its_place() {
    let (config, arrays) = llama_of(&small(true)).unwrap();
    assert!(config.tie_word_embeddings);
    assert_eq!(arrays["model.embed_tokens.weight"].to_f32()[0], 0.0);
    assert_eq!(arrays["model.layers.1.input_layernorm.weight"].to_f32(), [16.0, 17.0, 18.0, 19.0]);
    // 12 + 8 numbers go before the queries of the first layer; heads of two rows keep their order.
    assert_eq!(arrays["model.layers.0.self_attn.q_proj.weight"].to_f32()[..2], [20.0, 21.0]);
    assert_eq!(arrays["model.layers.1.mlp.up_proj.weight"].shape, [3, 4]);
    assert_eq!(arrays["model.norm.weight"].to_f32(), [196.0, 197.0, 198.0, 199.0]);
    let (config, arrays) = llama_of(&small(false)).unwrap();
    assert!(!config.tie_word_embeddings);
    // The tables of cosines and sines are passed over.
    assert_eq!(arrays["lm_head.weight"].to_f32()[0], 210.0);
}

#[test]
fn damage_is_an_error() {
    let bytes = small(true);
    for length in 0..bytes.len() {
        assert!(llama_of(&bytes[..length]).is_err(), "{length} bytes were accepted");
    }
    for at in 0..28 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            assert!(changed == bytes || llama_of(&changed).is_err(), "byte {at} as {value}");
        }
    }
    let list: Vec<u8> = [&9_i32.to_le_bytes()[..], &0_f32.to_le_bytes(), &1_i32.to_le_bytes(), b"a"].concat();
    assert!(vocabulary_of(&list, 1).is_err_and(|error| error.contains("1 tokens")));
    assert!(vocabulary_of(&list[..12], 1).is_err_and(|error| error.contains("ends within token 0 at byte 4")));
    let endless = [&list[..8], &i32::MAX.to_le_bytes()].concat();
    assert!(vocabulary_of(&endless, 1).is_err_and(|error| error.contains("ends within token 0")));
}

/// `BANTAM_DATA` names a folder with `weights_stories260K` in it: `stories260K.bin` and `tok512.bin` of
/// karpathy/tinyllamas, and in `stories260K.md` the text that llama2.c prints.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test is told to whoever runs it")]
fn the_text_of_llama2c_comes_out() {
    let folder = std::env::var_os("BANTAM_DATA").map(|data| PathBuf::from(data).join("weights_stories260K"));
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        eprintln!("skipped: BANTAM_DATA names no folder that contains weights_stories260K");
        return;
    };
    let model = read_predictor(&folder.join("stories260K.bin"), &folder.join("tok512.bin"), Precision::F32).unwrap();
    let page = fs::read_to_string(folder.join("stories260K.md")).unwrap();
    let expected = page.split("-t 0.0\n").nth(1).unwrap().split("\n```").next().unwrap();
    let mut ids = vec![1];
    while ids.len() <= 256 {
        let pass = &mut Pass::plain();
        let hidden = model.architecture.hidden(&model.weights, &Batch::new([ids.as_slice()]), pass);
        let last = model.architecture.before_head(&model.weights, hidden.last().unwrap(), pass);
        let logits = last.linear(&model.architecture.head(&model.weights), None);
        let logits = &logits.data()[(ids.len() - 1) * 512..];
        let best = (0..512).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        ids.push(best as u32);
    }
    let tokenizer = model.tokenizer.as_ref().unwrap();
    assert_eq!(tokenizer.decode(&ids), expected);
    assert_eq!(tokenizer.encode(expected, 999), ids, "the text has the tokens that made it");

    // The same through GGUF; with a variable set, the files stay for llama.cpp to load.
    let temporary = tempfile::tempdir().unwrap();
    let place = std::env::var_os("BANTAM_GOLDEN_FOLDER").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let arrays = model.weights.to_arrays();
    for format in [TensorFormat::F32, TensorFormat::F16, TensorFormat::Q8_0, TensorFormat::Q4_0] {
        let path = place.join(format!("stories260K_{}.gguf", format.name()));
        gguf::write_predictor(&path, model.architecture.as_ref(), &arrays, Some(tokenizer), None, &[], format).unwrap();
        let back = gguf::read_predictor(&path, Precision::F32).unwrap();
        assert_eq!(back.tokenizer.unwrap().encode(expected, 999), ids, "{}", format.name());
        assert!(format != TensorFormat::F32 || back.weights.to_arrays() == arrays);
    }
}
