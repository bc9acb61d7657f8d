//! The ids that llama.cpp's vocabulary files give to its own test texts.
//!
//! The files are not part of the project: `BANTAM_DATA` names a folder with `tok_ggml_vocab` in it (the folder `models`
//! of llama.cpp under that name). Each `ggml-vocab-*.gguf` has its texts in `.inp` and their ids in `.out`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bantam_model::gguf::{Gguf, vocabulary_of};
use bantam_tokens::Tokenizer;

const SEPARATOR: &str = "\n__ggml_vocab_test__\n";

fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("BANTAM_DATA")?).join("tok_ggml_vocab");
    folder.is_dir().then_some(folder)
}

fn tokenizer(path: &Path) -> Tokenizer {
    let bytes = fs::read(path).unwrap();
    let vocabulary = vocabulary_of(Gguf::parse(&bytes).unwrap().metadata()).unwrap();
    Tokenizer::from_gguf(&vocabulary).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
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
        let back = tokenizer.to_gguf().map(|vocabulary| Tokenizer::from_gguf(&vocabulary).unwrap());
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
