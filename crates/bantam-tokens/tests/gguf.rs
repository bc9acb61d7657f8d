//! Tokenizers from the lists of a GGUF file, small enough to work out by hand. Agreement with llama.cpp on whole
//! vocabularies is tested where GGUF files are read, in `bantam-model`.

use bantam_tokens::{GgufVocabulary, Kind, SpecialTokens, Tokenizer, TrainOptions};

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn pieces() -> GgufVocabulary {
    GgufVocabulary {
        model: "llama".into(),
        tokens: texts(&["<unk>", "<s>", "</s>", "<0xC3>", "<0xA4>", "▁", "a", "b", "ab", "ba", "▁ab", "aba"]),
        scores: vec![0.0, 0.0, 0.0, 0.0, 0.0, -9.0, -9.0, -9.0, -2.0, -1.0, -3.0, -4.0],
        kinds: vec![2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1, 1],
        ..GgufVocabulary::default()
    }
}

fn bytes() -> GgufVocabulary {
    GgufVocabulary {
        model: "gpt2".into(),
        pre: Some("gpt-2".into()),
        tokens: texts(&["a", "b", "Ġ", "ab", "Ġab", "<|end|>", "<tool>", "1", "11", ""]),
        kinds: vec![1, 1, 1, 1, 1, 3, 4, 1, 1, 1],
        merges: texts(&["a b", "Ġ ab", "1 1"]),
        end: Some(5),
        ..GgufVocabulary::default()
    }
}

fn refusal(vocabulary: &GgufVocabulary) -> String {
    Tokenizer::from_gguf(vocabulary.clone()).err().expect("the vocabulary contradicts itself").to_string()
}

#[test]
fn the_highest_score_is_joined_first_and_bytes_stand_in() {
    let tokenizer = Tokenizer::from_gguf(pieces()).unwrap();
    // `ba` goes before `ab`, though it is further to the right; a letter that is no piece becomes its bytes.
    assert_eq!(tokenizer.encode("abab", 9), [1, 5, 11, 7]);
    assert_eq!(tokenizer.encode("ab ä", 9), [1, 10, 5, 3, 4]);
    assert_eq!(tokenizer.decode(&[1, 10, 5, 3, 4]), "ab ä");
    assert_eq!(tokenizer.encode("", 9), [1]);
    let special = tokenizer.special();
    assert_eq!((special.begin, special.end, special.unknown), (Some(1), Some(2), Some(0)));
}

#[test]
fn flags_are_followed() {
    let flags =
        GgufVocabulary { add_begin: Some(false), add_end: Some(true), add_space_prefix: Some(false), ..pieces() };
    let tokenizer = Tokenizer::from_gguf(flags.clone()).unwrap();
    assert_eq!(tokenizer.encode("ab", 9), [8, 2]);
    assert_eq!(tokenizer.decode(&[8, 5, 8]), "ab ab");
}

#[test]
fn bytes_are_joined_in_order_and_added_tokens_stay_whole() {
    let tokenizer = Tokenizer::from_gguf(bytes()).unwrap();
    assert_eq!(tokenizer.encode("ab ab<tool>111", 9), [3, 4, 6, 8, 7]);
    assert_eq!(tokenizer.special().end, Some(5));
    assert_eq!(tokenizer.id("[EMPTY_9]"), Some(9));
    let digits = Tokenizer::from_gguf(GgufVocabulary { pre: Some("smollm".into()), ..bytes() }).unwrap();
    assert_eq!(digits.encode("111", 9), [7, 7, 7]);
}

#[test]
fn digits_are_split_as_each_model_splits_them() {
    let vocabulary = |pre: &str| GgufVocabulary {
        model: "gpt2".into(),
        pre: Some(pre.into()),
        tokens: texts(&["1", "11", "111"]),
        merges: texts(&["1 1", "11 1"]),
        ..GgufVocabulary::default()
    };
    let one_word = &[1, 2][..];
    let threes = &[2, 1][..];
    let single = &[0; 5][..];
    let cases = [
        (one_word, &["gpt-2", "phi-2", "roberta-bpe", "mpt", "olmo", "jais", "gigachat", "deepseek-llm"][..]),
        (
            threes,
            &["default", "falcon", "llama-bpe", "llama3", "falcon3", "dbrx", "smaug-bpe", "chatglm-bpe", "deepseek-v3"],
        ),
        (single, &["starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"]),
        (single, &["qwen2", "stablelm2", "megrez", "deepseek-r1-qwen", "tekken", "deepseek-coder"]),
    ];
    for (expected, names) in cases {
        for name in names {
            let tokenizer = Tokenizer::from_gguf(vocabulary(name)).unwrap();
            assert_eq!(tokenizer.encode("11111", 9), expected, "{name}");
            // The name that is written may be another one, but it splits alike.
            let back = Tokenizer::from_gguf(tokenizer.to_gguf().unwrap()).unwrap();
            assert_eq!(back.encode("11111", 9), expected, "{name}, written and read");
        }
    }
}

#[test]
fn pieces_of_words_get_the_spelling_of_bert() {
    let vocabulary = GgufVocabulary {
        model: "bert".into(),
        tokens: texts(&["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁play", "ing", "▁[", "[unused0]"]),
        kinds: vec![3, 3, 3, 3, 1, 1, 1, 1],
        ..GgufVocabulary::default()
    };
    let tokenizer = Tokenizer::from_gguf(vocabulary.clone()).unwrap();
    assert_eq!(tokenizer.encode("Playing [ it", 9), [2, 4, 5, 6, 1, 3]);
    assert_eq!(tokenizer.token(5).as_deref(), Some("##ing"));
}

#[test]
fn contradictions_are_refused_by_key() {
    let cases = [
        (GgufVocabulary { model: "t5".into(), ..bytes() }, "tokenizer.ggml.model is \"t5\""),
        (GgufVocabulary { pre: Some("odd".into()), ..bytes() }, "tokenizer.ggml.pre is \"odd\""),
        (GgufVocabulary { tokens: Vec::new(), ..bytes() }, "tokens is missing"),
        (GgufVocabulary { kinds: vec![1], ..bytes() }, "token_type has 1 entries for 10"),
        (GgufVocabulary { scores: vec![f32::NAN; 12], ..pieces() }, "no number"),
        (GgufVocabulary { scores: Vec::new(), ..pieces() }, "scores is missing"),
        (GgufVocabulary { end: Some(99), ..bytes() }, "eos_token_id is 99"),
        (GgufVocabulary { merges: texts(&["ab"]), ..bytes() }, "\"ab\", which is no pair"),
        (GgufVocabulary { merges: texts(&["a c"]), ..bytes() }, "the pair \"a\" \"c\" makes no token"),
        (GgufVocabulary { tokens: vec!["x".repeat(5000)], kinds: Vec::new(), end: None, ..bytes() }, "5000 bytes"),
        (GgufVocabulary { tokens: texts(&["a", "a"]), kinds: Vec::new(), end: None, ..bytes() }, "both spelled \"a\""),
    ];
    for (vocabulary, expected) in cases {
        let error = refusal(&vocabulary);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn a_few_pieces_do_not_become_gigabytes_of_pairs() {
    let pieces: Vec<String> = ["<unk>".to_owned()].into_iter().chain((1..500).map(|count| "a".repeat(count))).collect();
    let bomb = GgufVocabulary { scores: vec![0.0; 500], tokens: pieces, kinds: Vec::new(), ..pieces_of_nothing() };
    assert!(refusal(&bomb).contains("too many ways"), "{}", refusal(&bomb));
}

fn pieces_of_nothing() -> GgufVocabulary {
    GgufVocabulary { model: "llama".into(), unknown: Some(0), ..GgufVocabulary::default() }
}

#[test]
fn what_is_described_reads_back() {
    for vocabulary in [pieces(), bytes()] {
        let tokenizer = Tokenizer::from_gguf(vocabulary.clone()).unwrap();
        let back = Tokenizer::from_gguf(tokenizer.to_gguf().unwrap()).unwrap();
        for text in ["aba", " abab<tool>", "11<s>111 ä"] {
            assert_eq!(back.encode(text, 99), tokenizer.encode(text, 99), "{text:?}");
        }
    }
    let all: Vec<f32> = Tokenizer::from_gguf(pieces()).unwrap().to_gguf().unwrap().scores;
    assert!(all[9] > all[8] && all[8] > all[10] && all[10] > all[11], "{all:?}");
}

#[test]
fn what_has_no_form_is_refused() {
    let train = |kind, options: TrainOptions| Tokenizer::train(kind, ["a bill for a bill"; 3], &options).unwrap();
    let error = |tokenizer: Tokenizer| tokenizer.to_gguf().expect_err("there is no form for it").to_string();
    let options = || TrainOptions { vocabulary: 300, special: SpecialTokens::decoder(), ..TrainOptions::default() };
    assert!(error(train(Kind::WordPiece, options())).contains("WordPiece"));
    assert!(error(train(Kind::Bpe, TrainOptions { lowercase: true, ..options() })).contains("Lowercase"));
    assert!(error(train(Kind::Bpe, TrainOptions { prefix_space: true, ..options() })).contains("prefix_space"));
    assert!(train(Kind::Bpe, options()).to_gguf().is_ok());
}
