//! Laws of tokenizers, over all three kinds: trained twice the same, saved and loaded the same, cut down without
//! changing what stays, and clear words for files that are none.

use std::collections::BTreeSet;

use bantam_tokens::{Error, Kind, Normalisation, Piece, SpecialTokens, Tokenizer, TrainOptions};

const KINDS: [Kind; 3] = [Kind::Bpe, Kind::WordPiece, Kind::Unigram];

/// Sentences from a small grammar, the same each time.
fn sentences(count: usize) -> Vec<String> {
    const OPENINGS: [&str; 6] =
        ["please", "could you", "I want to", "how do I", "what's the way to", "Übrigens, ich möchte"];
    const VERBS: [&str; 8] = ["cancel", "reset", "find", "transfer", "unlock", "report", "change", "activating"];
    const THINGS: [&str; 10] = [
        "my card",
        "the password",
        "a payment",
        "our booking",
        "flight 42",
        "the café order",
        "my account",
        "the pin",
        "an invoice",
        "the refund",
    ];
    let mut state = 1u64;
    let mut pick = |length: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % length
    };
    (0..count).map(|_| format!("{} {} {}?", OPENINGS[pick(6)], VERBS[pick(8)], THINGS[pick(10)])).collect()
}

fn options(vocabulary: usize) -> TrainOptions {
    TrainOptions { vocabulary, ..TrainOptions::default() }
}

fn train(kind: Kind) -> Tokenizer {
    Tokenizer::train(kind, sentences(400), &options(420)).expect("trains")
}

fn tokens(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
    ids.iter().map(|&id| tokenizer.token(id).expect("own id")).collect()
}

#[test]
fn training_twice_gives_the_same_bytes() {
    for kind in KINDS {
        // Reversed texts: the result depends on what is said, not on the order of hash maps or of texts.
        let forward = Tokenizer::train(kind, sentences(400), &options(420)).expect("trains");
        for _ in 0..3 {
            let backward = Tokenizer::train(kind, sentences(400).into_iter().rev(), &options(420)).expect("trains");
            assert!(forward.to_bytes() == backward.to_bytes(), "{kind:?} differs from run to run");
        }
    }
}

#[test]
fn special_tokens_come_first_and_stand_around_the_text() {
    for kind in KINDS {
        let tokenizer = train(kind);
        let special = tokenizer.special();
        assert_eq!(
            [special.pad, special.unknown, special.begin, special.end, special.mask],
            [Some(0), Some(1), Some(2), Some(3), Some(4)]
        );
        let ids = tokenizer.encode("cancel my card", 64);
        assert_eq!((ids.first(), ids.last()), (Some(&2), Some(&3)), "{kind:?}");
        assert_eq!(tokenizer.encode("", 64), [2, 3]);
        assert!(tokenizer.vocabulary_size() <= 420);
        let without =
            SpecialTokens { begin: None, end: None, extra: vec!["<|user|>".into()], ..SpecialTokens::decoder() };
        let plain = Tokenizer::train(kind, sentences(50), &TrainOptions { special: without, ..options(420) });
        let plain = plain.expect("trains");
        assert!(plain.encode("", 64).is_empty());
        assert_eq!(plain.encode("<|user|>", 64), [2], "an extra token is never split");
    }
}

#[test]
fn a_long_text_loses_its_end_but_not_the_closing_token() {
    let tokenizer = train(Kind::Bpe);
    let whole = tokenizer.encode("how do I cancel my card and the flight and the refund", 512);
    for limit in 2..whole.len() {
        let ids = tokenizer.encode("how do I cancel my card and the flight and the refund", limit);
        assert_eq!(ids.len(), limit);
        assert_eq!(ids[..limit - 1], whole[..limit - 1]);
        assert_eq!(ids[limit - 1], 3);
    }
    assert_eq!(tokenizer.encode("cancel", 1).len(), 1);
    assert_eq!(tokenizer.encode("cancel", 0).len(), 0);
}

#[test]
fn saving_and_loading_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    for kind in KINDS {
        let tokenizer = train(kind);
        let path = folder.path().join("tokenizer.json");
        tokenizer.save(&path).expect("saves");
        let loaded = Tokenizer::load(&path).expect("loads");
        assert_eq!(loaded.to_bytes(), tokenizer.to_bytes());
        for text in sentences(100) {
            assert_eq!(loaded.encode(&text, 64), tokenizer.encode(&text, 64));
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1, "no temporary file stays");
    }
}

#[test]
fn byte_level_decodes_any_text_to_itself() {
    let tokenizer = Tokenizer::train(
        Kind::Bpe,
        sentences(100),
        &TrainOptions { normalisation: Normalisation::None, ..options(300) },
    )
    .expect("trains");
    for text in ["", " two  spaces\tand\n", "日本語 \u{1f9d1}\u{200d}\u{1f4bb}", "e\u{301}\u{0}\u{7f}", "crème brûlée"]
    {
        assert_eq!(tokenizer.decode(&tokenizer.encode(text, 512)), text);
    }
}

#[test]
fn normalisation_is_part_of_the_tokenizer() {
    for kind in KINDS {
        let wanted =
            TrainOptions { lowercase: true, strip_accents: true, normalisation: Normalisation::Nfkc, ..options(420) };
        let tokenizer = Tokenizer::train(kind, sentences(400), &wanted).expect("trains");
        let plain = tokenizer.encode("the cafe order", 64);
        for spelling in ["THE CAFÉ ORDER", "The cafe\u{301} Order", "ｔｈｅ ｃａｆｅ ｏｒｄｅｒ"] {
            assert_eq!(tokenizer.encode(spelling, 64), plain, "{kind:?} {spelling}");
        }
        let folded = TrainOptions { normalisation: Normalisation::Nfc, ..options(420) };
        let tokenizer = Tokenizer::train(kind, sentences(400), &folded).expect("trains");
        assert_eq!(tokenizer.encode("cafe\u{301}", 64), tokenizer.encode("café", 64));
        assert_ne!(tokenizer.encode("café", 64), tokenizer.encode("cafe", 64));
    }
}

#[test]
fn remembered_words_give_the_same_ids_as_the_engine() {
    let alphabet =
        ["a", "card", "'s", "my", " ", " ", " ", "[CLS]", "[", "?!", "42", "é", "\t", "  ", "reset", "-", "zq"];
    let mut state = 3u64;
    for kind in KINDS {
        for prefix_space in [false, true] {
            let wanted = TrainOptions { prefix_space, ..options(420) };
            let tokenizer = Tokenizer::train(kind, sentences(400), &wanted).expect("trains");
            let engine = tokenizers::Tokenizer::from_bytes(tokenizer.to_bytes()).expect("own output");
            for _ in 0..2_000 {
                let mut text = String::new();
                for _ in 0..8 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    text.push_str(alphabet[(state >> 33) as usize % alphabet.len()]);
                }
                let expected = engine.encode(text.as_str(), true).expect("encodes");
                assert_eq!(tokenizer.encode(&text, 512), expected.get_ids(), "{kind:?} {text:?}");
            }
        }
    }
}

#[test]
fn batches_are_the_single_texts_in_order() {
    let tokenizer = train(Kind::WordPiece);
    let texts = sentences(300);
    let single: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text, 12)).collect();
    assert_eq!(tokenizer.encode_batch(&texts, 12), single);
}

#[test]
fn restricting_keeps_the_encoding_of_what_stays() {
    for kind in KINDS {
        let tokenizer = train(kind);
        let texts: Vec<String> = sentences(400).into_iter().filter(|text| text.contains("card")).take(12).collect();
        let keep: BTreeSet<u32> = texts.iter().flat_map(|text| tokenizer.encode(text, 64)).collect();
        let keep: Vec<u32> = keep.into_iter().collect();
        let restricted = tokenizer.restrict(&keep).expect("restricts");
        let small = &restricted.tokenizer;
        assert!(small.vocabulary_size() < tokenizer.vocabulary_size(), "{kind:?} became smaller");
        assert_eq!(small.vocabulary_size(), restricted.kept.len(), "{kind:?} has no holes");
        for (new, &old) in restricted.kept.iter().enumerate() {
            assert_eq!(small.token(new as u32), tokenizer.token(old), "{kind:?} id {new} is what {old} was");
            assert_eq!(restricted.new_id(old), Some(new as u32));
        }
        // Every text of the big tokenizer that needs only kept tokens, not just those that chose them.
        let mut agreeing = 0;
        for text in sentences(400) {
            let before = tokenizer.encode(&text, 64);
            if before.iter().all(|id| keep.contains(id)) {
                let after: Vec<u32> = small.encode(&text, 64).iter().map(|&id| restricted.kept[id as usize]).collect();
                assert_eq!(after, before, "{kind:?} {text:?}");
                agreeing += 1;
            }
        }
        assert!(agreeing >= 12);
        assert_eq!(small.special(), tokenizer.special(), "special tokens keep the first ids");
        assert!(Tokenizer::from_bytes(&small.to_bytes()).is_ok());
        if kind == Kind::Bpe {
            for text in ["unlock THE zebra \u{1f993}", "日本", "\u{0}\n x"] {
                assert_eq!(small.decode(&small.encode(text, 512)), text, "any text still decodes to itself");
            }
        }
    }
    let tokenizer = train(Kind::Bpe);
    let error = tokenizer.restrict(&[999_999]).err().expect("refused");
    assert!(error.to_string().contains("999999"), "{error}");
}

/// A BPE vocabulary with two merges for one token: both ways must survive.
#[test]
fn restricting_keeps_every_way_to_a_token() {
    let json = r####"{"version":"1.0","truncation":{"max_length":2,"strategy":"LongestFirst","stride":0,"direction":"Right"},
        "padding":null,"added_tokens":[{"id":9,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
        "normalizer":null,"pre_tokenizer":{"type":"Whitespace"},"post_processor":null,"decoder":null,
        "model":{"type":"BPE","dropout":null,"unk_token":"?","vocab":{"?":0,"a":1,"b":2,"c":3,"ab":4,"bc":5,"abc":6,"x":7,"ax":8},
        "merges":["b c","a b","a bc","ab c","a x"]}}"####;
    let tokenizer = Tokenizer::from_bytes(json.as_bytes()).expect("loads");
    assert_eq!(tokenizer.encode("abc ab ax q", 64), [6, 4, 8, 0], "the stored limit of 2 tokens is not applied");
    let restricted = tokenizer.restrict(&[6]).expect("restricts");
    assert_eq!(restricted.kept, [0, 1, 2, 3, 4, 5, 6, 9]);
    assert_eq!(tokens(&restricted.tokenizer, &restricted.tokenizer.encode("abc ax <s>", 64)), ["abc", "a", "?", "<s>"]);
}

#[test]
fn impossible_training_is_refused_with_a_number() {
    for kind in KINDS {
        let error = Tokenizer::train(kind, sentences(100), &options(20)).err().expect("refused");
        let Error::VocabularyTooSmall { wanted: 20, least } = error else { panic!("{kind:?}: {error}") };
        assert!(Tokenizer::train(kind, sentences(100), &options(least)).is_ok(), "{kind:?}: {least} is enough");
        assert!(matches!(Tokenizer::train(kind, [""; 3], &options(420)), Err(Error::NoText)), "{kind:?}");
        assert!(Tokenizer::train(kind, ["one"], &options(420)).is_ok(), "{kind:?}: one word is enough");
    }
    let twice = SpecialTokens { extra: vec!["[CLS]".into()], ..SpecialTokens::encoder() };
    let error = Tokenizer::train(Kind::Bpe, ["a"], &TrainOptions { special: twice, ..options(420) });
    assert!(matches!(error, Err(Error::RepeatedSpecial { .. })));
}

#[test]
fn hostile_texts_neither_panic_nor_hang() {
    let endless = "x".repeat(200_000);
    let blanks = " ".repeat(200_000);
    let mixed = "\u{0}\u{301}\u{feff}ﷺ".repeat(2_000);
    let mut texts = sentences(50);
    texts.extend([endless.clone(), blanks.clone(), mixed.clone()]);
    for kind in KINDS {
        let tokenizer = Tokenizer::train(kind, &texts, &options(420)).expect("trains");
        for text in [&endless, &blanks, &mixed] {
            assert!(tokenizer.encode(text, 128).len() <= 128);
        }
        assert_eq!(tokenizer.decode(&[u32::MAX, 1_000_000]), "");
    }
}

#[test]
fn files_that_are_no_tokenizer_are_named() {
    let refused = |bytes: &[u8]| Tokenizer::from_bytes(bytes).err().expect("refused").to_string();
    let own = String::from_utf8(train(Kind::WordPiece).to_bytes()).expect("JSON is text");
    assert!(refused(&own.as_bytes()[..own.len() / 2]).contains("line"), "a cut file names the line");
    assert!(refused(b"").contains("not JSON"));
    assert!(refused(b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0").contains("SentencePiece"));
    assert!(refused(br#"{"the": 0, "a": 1}"#).contains("vocab.json"));
    assert!(refused(br#"{"model_type": "bert"}"#).contains("configuration"));
    assert!(refused(b"[]").contains("tokenizer.json"));
    let far = br#"{"model": {"type": "WordPiece", "unk_token": "a", "vocab": {"a": 0, "b": 4379258}}}"#;
    assert!(refused(far).contains("the id 4379258; of 2 tokens"), "an id far beyond the tokens");
    assert!(
        refused(own.replace("\"type\": \"WordPiece\",\n    \"unk", "\"type\": \"Magic\",\n    \"unk").as_bytes())
            .contains("cannot be used")
    );
    let error = refused(own.replace("\"unk_token\": \"[UNK]\"", "\"unk_token\": \"[NONE]\"").as_bytes());
    assert!(error.contains("[NONE]"), "{error}");
    let missing = Tokenizer::load("/nowhere/tokenizer.json").err().expect("refused").to_string();
    assert!(missing.contains("/nowhere/tokenizer.json"), "{missing}");
}

#[test]
fn the_bytes_of_tokens_are_the_text() {
    let texts = ["where is my order", "naïve café, 東京!", "it's  two\nlines"];
    for kind in [Kind::Bpe, Kind::Unigram, Kind::WordPiece] {
        let options = TrainOptions { vocabulary: 400, min_frequency: 1, ..TrainOptions::default() };
        let tokenizer = Tokenizer::train(kind, texts, &options).unwrap();
        let bytes = tokenizer.token_bytes().unwrap();
        assert_eq!(bytes.tokens.len(), tokenizer.vocabulary_size());
        for text in texts {
            let ids = tokenizer.encode_content(text);
            let joined: Vec<u8> = ids.iter().flat_map(|&id| bytes.tokens[id as usize].clone().unwrap()).collect();
            let joined = String::from_utf8(joined).unwrap();
            let joined = if bytes.drops_first_space { joined.strip_prefix(' ').unwrap_or(&joined) } else { &joined };
            assert_eq!(joined, tokenizer.decode(&ids), "{kind:?}");
            assert!(!bytes.never_first.contains(&ids[0]));
        }
        let special = tokenizer.special();
        assert!([special.pad, special.begin].iter().flatten().all(|&id| bytes.tokens[id as usize].is_none()));
    }
}

#[test]
fn marks_come_from_their_pieces_alone() {
    let options = TrainOptions { vocabulary: 300, min_frequency: 1, ..TrainOptions::default() };
    for kind in [Kind::Bpe, Kind::Unigram, Kind::WordPiece] {
        let tokenizer = Tokenizer::train(kind, ["a [SEP] b [CLS] [ ] S E P"; 3], &options).unwrap();
        let special = tokenizer.special();
        let (begin, end) = (special.begin.unwrap(), special.end.unwrap());
        let is_mark = |id| id == begin || id == end;
        let encode =
            |text| tokenizer.encode_pieces(&[Piece::Mark(begin), Piece::Text(text), Piece::Mark(end)], &is_mark);
        assert_eq!(encode("a b"), tokenizer.encode("a b", 99), "{kind:?}");
        let spelled = encode("a [SEP] b[CLS]");
        assert_eq!(spelled.iter().filter(|&&id| is_mark(id)).count(), 2, "{kind:?}");
        let letters: String = tokenizer.decode(&spelled).chars().filter(|c| !c.is_whitespace()).collect();
        assert!(letters.to_lowercase().contains("[sep]b[cls]"), "{kind:?}: {letters}");
    }
}
