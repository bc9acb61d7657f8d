//! Llamas in GGUF files: agreement with `transformers`, what is refused, and what is written.

use std::fs;
use std::path::{Path, PathBuf};

use bantam_kernels::gemm::Precision;
use bantam_kernels::gemm::grouped::Bits;
use bantam_model::architectures::Architecture;
use bantam_model::architectures::llama::{Llama, LlamaConfig};
use bantam_model::arrays::Arrays;
use bantam_model::folder::PredictorFolder;
use bantam_model::gguf::{
    Gguf, List, Metadata, NewTensor, TensorFormat, Value, llama_of, read_grouped_predictor, read_predictor, write,
    write_llama, write_predictor,
};
use bantam_model::{Batch, Pass, Weights};
use bantam_tokens::{Kind, SpecialTokens, Tokenizer, TrainOptions};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn logits(model: &PredictorFolder, ids: &[Vec<u32>]) -> Vec<f32> {
    let batch = Batch::new(ids.iter().map(Vec::as_slice));
    let pass = &mut Pass::plain();
    let hidden = model.architecture.hidden(&model.weights, &batch, pass);
    let last = model.architecture.before_head(&model.weights, hidden.last().unwrap(), pass);
    last.linear(&model.architecture.head(&model.weights), None).data().to_vec()
}

fn written(path: &Path, config: &LlamaConfig, arrays: &Arrays, tokenizer: &Tokenizer, format: TensorFormat) {
    let (model, template) = (Llama::new(config.clone()), Some("{{ messages }}"));
    write_predictor(path, &model, arrays, Some(tokenizer), template, &[7, 9], format).unwrap();
}

#[test]
fn a_converted_model_has_the_logits_of_transformers() {
    let golden: serde_json::Value =
        serde_json::from_slice(&fs::read(fixture("golden/llama_untied/expected.json")).unwrap()).unwrap();
    let ids: Vec<Vec<u32>> = serde_json::from_value(golden["ids"].clone()).unwrap();
    let expected: Vec<Vec<f32>> = serde_json::from_value(golden["logits"].clone()).unwrap();
    let model = read_predictor(&fixture("gguf/llama.gguf"), Precision::F32).unwrap();
    let found = logits(&model, &ids);
    let expected: Vec<f32> = expected.concat();
    assert_eq!(found.len(), expected.len());
    let largest = found.iter().zip(&expected).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
    assert!(largest <= 1e-5, "{largest} away from transformers");
    assert_eq!(model.tokenizer.unwrap().encode("cab", 8), [2, 0, 1]);
}

fn small(is_tied: bool) -> (LlamaConfig, Arrays) {
    let config = LlamaConfig {
        vocab_size: 300,
        hidden_size: 64,
        // Not a whole number of blocks.
        intermediate_size: 80,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        head_dim: None,
        max_position_embeddings: 50,
        rms_norm_eps: 1e-5,
        rope_theta: 500.0,
        tie_word_embeddings: is_tied,
        variant: Default::default(),
    };
    let weights = Weights::initialise(Llama::new(config.clone()).schema(), 3, Precision::F32);
    (config, weights.to_arrays())
}

fn tokenizer() -> Tokenizer {
    let options = TrainOptions { vocabulary: 290, special: SpecialTokens::decoder(), ..TrainOptions::default() };
    let text = "My card was stolen and I want to pay the bill. When is the bill due? The card is gone, my card!";
    Tokenizer::train(Kind::Bpe, [text, text], &options).unwrap()
}

#[test]
fn a_written_model_reads_back_with_its_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    for is_tied in [false, true] {
        for (format, most) in [
            (TensorFormat::F32, 0.0),
            (TensorFormat::F16, 5e-5),
            (TensorFormat::Q8_0, 5e-4),
            (TensorFormat::Q4_0, 2e-2),
        ] {
            let (config, arrays) = small(is_tied);
            let tokenizer = tokenizer();
            // With a variable set, the files stay for `make.py --check`.
            let place =
                std::env::var_os("BANTAM_GOLDEN_FOLDER").map_or_else(|| folder.path().to_owned(), PathBuf::from);
            let path = place.join(format!("{}_{is_tied}.gguf", format.name()));
            written(&path, &config, &arrays, &tokenizer, format);
            let read = read_predictor(&path, Precision::F32).unwrap();
            assert_eq!(read.chat_template.as_deref(), Some("{{ messages }}"));
            assert!([7, 9].iter().all(|end| read.ends.contains(end)), "{:?}", read.ends);
            let expected =
                serde_json::json!({"head_dim": 16, "num_key_value_heads": 2, "tie_word_embeddings": is_tied});
            for (key, value) in expected.as_object().unwrap() {
                assert_eq!(read.architecture.config()[key], *value, "{key}");
            }
            let found = read.weights.to_arrays();
            assert_eq!(found.keys().collect::<Vec<_>>(), arrays.keys().collect::<Vec<_>>());
            for (name, array) in &arrays {
                let pairs = array.to_f32().into_iter().zip(found[name].to_f32());
                let largest = pairs.map(|(before, after)| (before - after).abs()).fold(0.0, f32::max);
                assert!(largest <= most, "{name} as {}: {largest} away", format.name());
            }
            for text in ["My card is gone", " naïve  spaces\n", "日本 <s> 12"] {
                assert_eq!(read.tokenizer.as_ref().unwrap().encode(text, 99), tokenizer.encode(text, 99), "{text:?}");
            }
            assert_eq!(read.tokenizer.as_ref().unwrap().special().end, tokenizer.special().end);
        }
    }
}

/// The small model with other metadata.
fn changed(change: impl Fn(&mut Metadata)) -> Result<(LlamaConfig, Arrays), String> {
    let (config, arrays) = small(false);
    let bytes = write_llama(&config, &arrays, Some(&tokenizer().to_gguf().unwrap()), TensorFormat::F32).unwrap();
    let file = Gguf::parse(&bytes).unwrap();
    let mut metadata = file.metadata().clone();
    change(&mut metadata);
    let decoded: Vec<_> = file.tensors().iter().map(|(name, tensor)| (name.clone(), tensor.to_array())).collect();
    let tensors: Vec<NewTensor> = decoded
        .iter()
        .map(|(name, array)| NewTensor { name: name.clone(), array, format: TensorFormat::F32 })
        .collect();
    let bytes = write(&metadata, &tensors).unwrap();
    llama_of(&Gguf::parse(&bytes).unwrap()).map_err(|error| error.to_string())
}

#[test]
fn settings_that_are_not_followed_are_refused_by_name() {
    assert_eq!(changed(|_| ()).unwrap().1, small(false).1);
    let neutral = ("llama.rope.scaling.type", Value::Text("none".into()));
    assert!(changed(|metadata| metadata.insert(neutral.0, neutral.1.clone())).is_ok());
    let text = |text: &str| Value::Text(text.into());
    let cases = [
        ("general.architecture", text("gemma"), "general.architecture \"gemma\" is not supported"),
        ("llama.rope.scaling.type", text("yarn"), "llama.rope.scaling.type"),
        ("llama.rope.scaling.factor", Value::F32(-4.0), "factor = -4"),
        ("llama.expert_count", Value::U32(8), "llama.expert_count"),
        ("llama.attention.sliding_window", Value::U32(16), "llama.attention.sliding_window"),
        ("llama.attention.causal", Value::Bool(false), "llama.attention.causal"),
        ("llama.rope.dimension_count", Value::U32(8), "llama.rope.dimension_count 8 beside 16"),
        ("llama.attention.head_count_kv", Value::U32(3), "4 heads cannot be divided among 3"),
        ("llama.attention.head_count_kv", Value::List(List::I32(vec![2, 2])), "is a list"),
        ("llama.attention.head_count", Value::U32(0), "llama.attention.head_count: it is 0"),
        ("llama.block_count", Value::U32(u32::MAX), "llama.block_count: it is"),
        ("llama.block_count", Value::U32(3), "missing: model.layers.2"),
        ("llama.block_count", Value::U32(1), "not expected: model.layers.1"),
        ("llama.attention.key_length", Value::U32(i32::MAX as u32 - 1), "4 heads of 2147483646 numbers cannot be"),
        ("llama.attention.key_length", Value::U32(3), "an even number"),
        ("llama.embedding_length", Value::U64(u64::MAX), "llama.embedding_length"),
        ("llama.embedding_length", Value::U32(1 << 30), "should have shape"),
        ("llama.feed_forward_length", text("x"), "`llama.feed_forward_length` is text"),
    ];
    for (key, value, expected) in cases {
        let error = changed(|metadata| metadata.insert(key, value.clone())).expect_err(expected);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn rows_keep_their_order_where_positions_turn_halves() {
    let rename = |metadata: &mut Metadata, architecture: &str| {
        let values: Vec<_> = metadata.iter().map(|(key, value)| (key.to_owned(), value.clone())).collect();
        for (key, value) in values {
            metadata.insert(key.replace("llama.", &format!("{architecture}.")), value);
        }
        metadata.insert("general.architecture", Value::Text(architecture.into()));
    };
    let expected = small(false).1;
    let query = "model.layers.1.self_attn.q_proj.weight";
    assert_eq!(changed(|metadata| rename(metadata, "internlm2")).unwrap().1[query], expected[query]);
    let halves = changed(|metadata| rename(metadata, "exaone")).unwrap().1;
    // The file was written for neighbours: the second row of a head is the first of its second half.
    assert_eq!(halves[query].select_rows(&[0, 1, 16]), expected[query].select_rows(&[0, 8, 16]));
}

#[test]
fn what_does_not_belong_together_is_not_written() {
    let (config, mut arrays) = small(false);
    let mut vocabulary = tokenizer().to_gguf().unwrap();
    vocabulary.tokens.extend((0..50).map(|id| format!("more{id}")));
    vocabulary.kinds.resize(vocabulary.tokens.len(), 1);
    let error = write_llama(&config, &arrays, Some(&vocabulary), TensorFormat::F16).unwrap_err().to_string();
    assert!(error.contains("the model has rows for 300"), "{error}");
    arrays.remove("model.norm.weight");
    let error = write_llama(&config, &arrays, Some(&vocabulary), TensorFormat::F16).unwrap_err().to_string();
    assert!(error.contains("missing: model.norm.weight"), "{error}");
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let message = |path: &Path| read_predictor(path, Precision::F32).err().unwrap().to_string();
    assert!(message(&path).contains("model.gguf: "));
    fs::write(&path, b"PK").unwrap();
    assert!(message(&path).contains("model.gguf: not a GGUF file"));
}

/// Inputs that are quantised as they come move logits by less than this share of the largest.
const QUANTISED: f32 = 0.05;

#[test]
fn stored_groups_answer_like_their_decoded_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let ids = vec![vec![5, 100, 7, 299], vec![1]];
    for is_tied in [false, true] {
        let (config, mut arrays) = small(is_tied);
        // Weights as large as trained ones, so that logits have something to say.
        for array in arrays.values_mut().filter(|array| array.shape.len() == 2) {
            *array = bantam_model::arrays::Array::plain(
                array.shape.clone(),
                array.to_f32().iter().map(|x| x * 5.0).collect(),
            );
        }
        for format in [TensorFormat::Q8_0, TensorFormat::Q4_0, TensorFormat::F16] {
            let tokenizer = tokenizer();
            written(&path, &config, &arrays, &tokenizer, format);
            let stored = read_grouped_predictor(&path, Bits::Eight).unwrap();
            let decoded = read_predictor(&path, Precision::F32).unwrap();
            assert!(stored.weights.bytes() < decoded.weights.bytes() / 2);
            let (found, expected) = (logits(&stored, &ids), logits(&decoded, &ids));
            let largest = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let spread = expected.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            assert!(largest < QUANTISED * spread, "{}: {largest} of {spread}", format.name());
        }
    }
}
