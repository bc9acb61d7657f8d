//! The ids that llama.cpp's vocabulary files give to its own test texts.
//!
//! The files are not part of the project: `BANTAM_DATA` names a folder with `tok_ggml_vocab` in it (the folder `models`
//! of llama.cpp under that name). Each `ggml-vocab-*.gguf` has its texts in `.inp` and their ids in `.out`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use bantam_model::Random;
use bantam_model::gguf::{Gguf, vocabulary_of};
use bantam_tokens::{GgufVocabulary, Tokenizer};

const SEPARATOR: &str = "\n__ggml_vocab_test__\n";

fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("BANTAM_DATA")?).join("tok_ggml_vocab");
    folder.is_dir().then_some(folder)
}

fn tokenizer(path: &Path) -> Tokenizer {
    let bytes = fs::read(path).unwrap();
    let vocabulary = vocabulary_of(Gguf::parse(&bytes).unwrap().into_metadata()).unwrap();
    Tokenizer::from_gguf(vocabulary).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// SentencePiece's joining of pieces as it is defined: the neighbours whose joint piece has the highest score, of equal
/// ones the leftmost, until no neighbours make a piece.
fn joined(vocabulary: &GgufVocabulary, text: &str) -> Vec<String> {
    let scores: HashMap<&str, f32> =
        vocabulary.tokens.iter().map(String::as_str).zip(vocabulary.scores.iter().copied()).collect();
    let mut pieces: Vec<String> = format!(" {text}").replace(' ', "▁").chars().map(String::from).collect();
    loop {
        let mut best: Option<(f32, usize)> = None;
        for at in 1..pieces.len() {
            let joint = format!("{}{}", pieces[at - 1], pieces[at]);
            if let Some(&score) = scores.get(joint.as_str())
                && best.is_none_or(|(highest, _)| score > highest)
            {
                best = Some((score, at));
            }
        }
        let Some((_, at)) = best else { return pieces };
        let right = pieces.remove(at);
        pieces[at - 1].push_str(&right);
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test is told to whoever runs it")]
fn scored_pieces_are_joined_as_sentencepiece_defines_it() {
    let Some(folder) = folder() else {
        eprintln!("skipped: BANTAM_DATA names no folder that contains tok_ggml_vocab");
        return;
    };
    let path = folder.join("ggml-vocab-llama-spm.gguf");
    let vocabulary = vocabulary_of(Gguf::parse(&fs::read(&path).unwrap()).unwrap().into_metadata()).unwrap();
    let tokenizer = tokenizer(&path);
    // Runs of one letter are where equal scores compete.
    let letters = ["a", "e", "s", "t", " ", "=", "-", "o", "th", "in", ".", "l", "0"];
    let mut random = Random::new(5, 0);
    let mut different = Vec::new();
    for round in 0..2_000 {
        let (kinds, length) = (1 + round % 4, 1 + random.below(24));
        let few: Vec<&str> = (0..kinds).map(|_| letters[random.below(letters.len())]).collect();
        let text: String = (0..length).map(|_| few[random.below(kinds)]).collect();
        let ours: Vec<String> =
            tokenizer.encode_content(&text).into_iter().filter_map(|id| tokenizer.token(id)).collect();
        let expected = joined(&vocabulary, &text);
        if ours != expected {
            different.push((text, ours, expected));
        }
    }
    assert!(different.is_empty(), "{} differ: {:?}", different.len(), &different[..different.len().min(9)]);
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test and the counts are told to whoever runs it")]
fn texts_get_the_ids_of_llama_cpp() {
    let Some(folder) = folder() else {
        eprintln!("skipped: BANTAM_DATA names no folder that contains tok_ggml_vocab");
        return;
    };
    let mut different = BTreeMap::new();
    let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "gguf")) {
        let tokenizer = tokenizer(&path);
        let beside = |extension: &str| fs::read_to_string(format!("{}.{extension}", path.display())).unwrap();
        let (texts, answers) = (beside("inp"), beside("out"));
        let expected: Vec<Vec<u32>> = answers
            .trim_end_matches('\n')
            .split('\n')
            .map(|line| line.split_whitespace().map(|id| id.parse().unwrap()).collect())
            .collect();
        // The last separator ends the last text.
        let texts: Vec<&str> = texts.split(SEPARATOR).take(expected.len()).collect();
        assert_eq!(texts.len(), expected.len(), "{}", path.display());
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // Llamas are all that is written, and pieces of words are not among their tokenizers.
        let back = tokenizer.to_gguf().map(|vocabulary| Tokenizer::from_gguf(vocabulary).unwrap());
        assert_eq!(back.is_err(), name.contains("bert"), "{name}");
        let mut equal = 0;
        for (text, expected) in texts.iter().zip(&expected) {
            let found = tokenizer.encode_content(text);
            if let Ok(back) = &back {
                assert_eq!(back.encode(text, 999), tokenizer.encode(text, 999), "{name}, written and read: {text:?}");
            }
            if found == *expected {
                equal += 1;
            } else {
                let spelled = |ids: &[u32]| ids.iter().filter_map(|&id| tokenizer.token(id)).collect::<Vec<_>>();
                let (ours, theirs) = (spelled(&found), spelled(expected));
                different
                    .entry(name.clone())
                    .or_insert_with(Vec::new)
                    .push(format!("{text:?}: {ours:?}, not {theirs:?}"));
            }
        }
        eprintln!("{name}: {equal} of {} texts equal", expected.len());
    }
    assert!(different.is_empty(), "{different:#?}");
}
