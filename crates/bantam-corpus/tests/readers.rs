//! Readers: each format gives the same documents, and each fault is named with its place.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bantam_corpus::readers::{Benchmark, Plain, ReadOptions, import, open, read, sample};
use bantam_corpus::{Document, Split, load, save};

fn file(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn pairs(documents: &[Document]) -> Vec<(&str, Option<&str>)> {
    documents.iter().map(|document| (document.text.as_str(), document.label.as_deref())).collect()
}

fn refused(path: &Path, options: &ReadOptions) -> String {
    read(path, options).unwrap_err().to_string()
}

#[test]
fn all_formats_give_the_same_documents() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = [("Where, \"exactly\"?", Some("place")), ("Größe\t?", None), ("no", Some("deny"))];
    let jsonl = "{\"utterance\": \"Where, \\\"exactly\\\"?\", \"intent\": \"place\"}\n\n{\"utterance\": \"Größe\\t?\", \"intent\": null}\r\n{\"intent\": \"deny\", \"utterance\": \"no\"}";
    let csv = "\u{feff}Text,Category\n\"Where, \"\"exactly\"\"?\",place\nGröße\t?,\r\nno,deny\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(jsonl.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let options = ReadOptions::default();
    for path in [
        file(folder.path(), "a.jsonl", jsonl),
        file(folder.path(), "a.csv", csv),
        file(folder.path(), "b.JSONL.gz", &gzip),
        file(folder.path(), "a.csv.zst", zstd::encode_all(csv.as_bytes(), 1).unwrap()),
    ] {
        let documents = read(&path, &options).unwrap();
        assert_eq!(pairs(&documents), wanted, "{}", path.display());
    }
    let lines: Vec<u64> =
        read(folder.path().join("a.jsonl"), &options).unwrap().iter().map(|document| document.source.line).collect();
    assert_eq!(lines, [1, 3, 4]);
    let tsv = file(folder.path(), "a.tsv", "label\tid\tquestion\nplace\tq1\t\"Where\" is it?\n");
    let documents = read(&tsv, &options).unwrap();
    assert_eq!((pairs(&documents), documents[0].id.as_str()), (vec![("\"Where\" is it?", Some("place"))], "q1"));
    assert!(gzip.len() > 30 && read(file(folder.path(), "cut.jsonl.gz", &gzip[..30]), &options).is_err());
}

#[test]
fn plain_text_is_lines_or_files_and_folders_are_walked() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "b.txt", "one\n\n two\r\n");
    fs::create_dir(folder.path().join("a")).unwrap();
    file(&folder.path().join("a"), "c.txt", "three");
    file(folder.path(), "README.md", "not data");
    file(folder.path(), ".hidden.txt", "not data");
    file(folder.path(), "picture.png", "not data");
    let lines = read(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(pairs(&lines), [("three", None), ("one", None), (" two", None)]);
    let whole = read(folder.path(), &ReadOptions { plain: Plain::Files, ..ReadOptions::default() }).unwrap();
    assert_eq!(pairs(&whole), [("three", None), ("one\n\n two", None)]);
    assert_eq!(whole[1].source.to_string(), format!("{}:1", folder.path().join("b.txt").display()));
}

#[test]
fn fields_can_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.jsonl", "{\"text\": \"a\", \"subject\": \"b\", \"team\": 7}\n");
    let options = ReadOptions { text: Some("subject".into()), label: Some("team".into()), ..ReadOptions::default() };
    assert_eq!(pairs(&read(&path, &options).unwrap()), [("b", Some("7"))]);
    let missing = refused(&path, &ReadOptions { label: Some("queue".into()), ..ReadOptions::default() });
    assert!(missing.contains("a.jsonl, line 1: no field \"queue\"; there are: text, subject, team"), "{missing}");
    assert!(missing.contains("--label NAME") && missing.contains("`label = \"NAME\"` under [data.read]"), "{missing}");
    let unusual = refused(&file(folder.path(), "b.jsonl", "{\"phrase\": \"a\"}\n"), &ReadOptions::default());
    assert!(unusual.contains("(text, utterance, question, sentence, ...); there are: phrase; "), "{unusual}");
    assert!(unusual.contains("--text NAME"), "{unusual}");
}

#[test]
fn a_list_with_one_label_is_that_label_and_one_with_more_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "{\"text\": \"a\", \"labels\": [\"x\"]}\n{\"text\": \"b\", \"labels\": []}\n{\"text\": \"c\", \"labels\": \"y\"}\n";
    let path = file(folder.path(), "a.jsonl", rows);
    assert_eq!(
        pairs(&read(&path, &ReadOptions::default()).unwrap()),
        [("a", Some("x")), ("b", None), ("c", Some("y"))]
    );
    let labels = sample(&path, 1000, 9).unwrap().into_iter().find(|field| field.name == "labels").unwrap();
    assert_eq!(labels.values, [Some("x".to_owned()), None, Some("y".to_owned())]);
    let two = file(folder.path(), "b.jsonl", "{\"text\": \"a\", \"labels\": [\"x\", \"y\"]}\n");
    let told = refused(&two, &ReadOptions::default());
    assert!(told.contains("line 1: field \"labels\" is a list, but a single word or number is wanted"), "{told}");
}

#[test]
fn a_sample_has_all_fields_of_the_first_records() {
    let folder = tempfile::tempdir().unwrap();
    let told = |name: &str, bytes: &str, most: usize| -> Vec<(String, Vec<Option<String>>)> {
        let fields = sample(file(folder.path(), name, bytes), 1000, most).unwrap();
        fields.into_iter().map(|field| (field.name, field.values)).collect()
    };
    let some = |word: &str| Some(word.to_owned());
    let wanted = vec![
        ("id".to_owned(), vec![some("1"), some("2")]),
        ("body".to_owned(), vec![some("a, b"), None]),
        ("team".to_owned(), vec![None, some("x")]),
    ];
    assert_eq!(told("a.csv", "id,body,team\n1,\"a, b\",\n2, ,x\n3,c,y\n", 2), wanted);
    let json = "{\"id\": 1, \"body\": \"a, b\"}\n\n{\"id\": 2, \"team\": \"x\", \"body\": [1]}\nnot read";
    assert_eq!(told("a.jsonl", json, 2), wanted);
    assert_eq!(told("a.txt", "id\n", 2), []);
    let refused = |name: &str, bytes: &str| sample(file(folder.path(), name, bytes), 1000, 9).unwrap_err().to_string();
    assert!(refused("b.csv", "a,b\nc\n").contains("line 2: 1 fields"));
    assert!(refused("b.jsonl", "{}\n{\n").contains("line 2"));
}

#[test]
fn lines_of_a_table_are_those_that_an_editor_shows() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "text,label\none,a\n\n\"two\nlines, and\na third\",b\n\n\n\"\",b\nseven\"s,a\n\"last\nof all\",b";
    let lines = |name: &str, text: &str| -> Vec<u64> {
        let documents = read(file(folder.path(), name, text), &ReadOptions::default()).unwrap();
        documents.iter().map(|document| document.source.line).collect()
    };
    let wanted = [2, 4, 9, 10, 11];
    for (name, text) in [
        ("lf.csv", rows.to_owned()),
        ("crlf.csv", rows.replace('\n', "\r\n")),
        ("cr.csv", rows.replace('\n', "\r")),
        ("ended.csv", rows.replace('\n', "\r\n") + "\r\n\r\n"),
        ("marked.csv", format!("\u{feff}{}", rows.replace('\n', "\r\n"))),
    ] {
        assert_eq!(lines(name, &text), wanted, "{name}");
    }
    assert_eq!(lines("crlf.tsv", "text\tlabel\r\na\tx\r\n\r\nb\ty\r\n"), [2, 4]);
    // More lines than are read ahead, so that counting goes on from block to block.
    let many = "text,label\r\n".to_owned() + &"\"a\r\nb\",x\r\n".repeat(40_000);
    assert_eq!(lines("many.csv", &many), (0..40_000).map(|row| 2 + 2 * row).collect::<Vec<u64>>());
    let short = refused(&file(folder.path(), "short.csv", "text,label\r\na,b\r\nc\r\n"), &ReadOptions::default());
    assert!(short.contains("line 3: 1 fields"), "{short}");
    let foreign = file(folder.path(), "foreign.csv", b"text,label\r\n\r\na,b\r\nc\xe9d,e\r\n");
    assert!(refused(&foreign, &ReadOptions::default()).contains("line 4, byte column 2"));
}

#[test]
fn tables_of_spreadsheets_are_read_as_they_are_exported() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = [("where, please?", Some("place")), ("no; never", Some("deny"))];
    let semicolons = "text;label\r\nwhere, please?;place\r\n\"no; never\";deny\r\n";
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(bytes).collect()
    };
    let tabs = semicolons.replace(';', "\t").replace("no\t", "no;");
    for (name, bytes, first_line) in [
        ("european.csv", semicolons.as_bytes().to_vec(), 2),
        ("excel.csv", format!("sep=;\r\n{semicolons}").into_bytes(), 3),
        ("marked.csv", format!("\u{feff}SEP=;\r\n{semicolons}").into_bytes(), 3),
        ("tabs.csv", tabs.clone().into_bytes(), 2),
        ("unicode.csv", utf16(&tabs, u16::to_le_bytes), 2),
        ("big.csv", utf16(&format!("sep=;\n{semicolons}"), u16::to_be_bytes), 3),
    ] {
        let documents = read(file(folder.path(), name, bytes), &ReadOptions::default()).unwrap();
        assert_eq!((pairs(&documents).as_slice(), documents[0].source.line), (&wanted[..], first_line), "{name}");
    }
    for (name, text) in [
        ("marked.tsv", "\u{feff}text\tlabel\na\tb\n"),
        ("marked.jsonl", "\u{feff}{\"text\": \"a\", \"label\": \" b \"}\n"),
    ] {
        let documents = read(file(folder.path(), name, text), &ReadOptions::default()).unwrap();
        assert_eq!(pairs(&documents), [("a", Some("b"))], "{name}");
    }
    let blank = file(folder.path(), "blank.jsonl", "{\"text\": \"a\", \"label\": \" \"}\n");
    assert_eq!(pairs(&read(blank, &ReadOptions::default()).unwrap()), [("a", None)]);
    let tags = file(folder.path(), "tags.jsonl", "{\"text\": \"a\", \"label\": [\"b\", \"c\"]}\n");
    let ignoring = ReadOptions { ignores_labels: true, label: Some("none".into()), ..ReadOptions::default() };
    assert_eq!(pairs(&read(tags, &ignoring).unwrap()), [("a", None)]);
    let path = file(folder.path(), "a.jsonl", utf16("{\"text\": \"größer\"}\r\n", u16::to_le_bytes));
    assert_eq!(pairs(&read(path, &ReadOptions::default()).unwrap()), [("größer", None)]);
    let cut = refused(&file(folder.path(), "cut.txt", b"\xff\xfea"), &ReadOptions::default());
    assert!(cut.contains("cut.txt") && cut.contains("UTF-16") && cut.contains("whole"), "{cut}");
    // A comma in a name does not make commas the separator, nor do semicolons within quotes.
    let names = file(folder.path(), "names.csv", "\"a;b;c\",text\n1,hello\n");
    assert_eq!(pairs(&read(names, &ReadOptions::default()).unwrap()), [("hello", None)]);
}

#[test]
fn faults_are_named_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let usual = ReadOptions::default();
    let cases: [(&str, &[u8], &str); 10] = [
        ("a.jsonl", b"{\"text\": \"a\"}\n{\"text\": }\n", "line 2, column 10"),
        ("b.jsonl", b"[1, 2]\n", "line 1, column"),
        ("c.jsonl", b"{\"text\": \"a\"}\n{\"text\": \"\xff\"}\n", "line 2, byte column 11"),
        ("d.jsonl", b"{\"body_text\": \"a\", \"n\": 1}\n", "there are: body_text, n"),
        ("e.jsonl", b"{\"text\": [1]}\n", "field \"text\" is a list"),
        ("f.csv", b"text,label\na,b\nc\n", "line 3: 1 fields, but the header has 2"),
        ("g.csv", b"text,label\na,b\nc\xe9d,e\n", "line 3, byte column 2"),
        ("h.csv", b"words,n\na,b\n", "there are: words, n"),
        ("i.txt", b"fine\nbro\xc3\n", "line 2, byte column 4"),
        ("j.txt", b"\n\n", "holds no documents"),
    ];
    for (name, bytes, wanted) in cases {
        let message = refused(&file(folder.path(), name, bytes), &usual);
        assert!(message.contains(wanted) && message.contains(name), "{message}");
    }
    assert!(refused(&file(folder.path(), "k.docx", "x"), &usual).contains(".jsonl"));
    assert!(refused(Path::new("/nowhere/at/all.csv"), &usual).contains("/nowhere/at/all.csv"));
    let after = open(folder.path().join("a.jsonl"), &usual).unwrap().collect::<Vec<_>>();
    assert!(after.len() == 2 && after[0].is_ok() && after[1].is_err(), "reading ends at the first fault");
}

#[test]
fn a_line_of_ten_megabytes_is_refused_without_reading_on() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(10_000_000);
    for (name, text) in [
        ("a.jsonl", format!("{{\"text\": \"ok\"}}\n{{\"text\": \"{long}\"}}\n")),
        ("a.txt", format!("ok\n{long}\n")),
        ("a.csv", format!("text,label\n\"{long}\",b\n")),
        ("b.csv", format!("text,label\n\"unclosed,b\n{}", "c,d\n".repeat(2_000_000))),
    ] {
        let message = refused(&file(folder.path(), name, text), &ReadOptions::default());
        assert!(message.contains("line 2: longer than 1000000 bytes"), "{message}");
    }
    let small = ReadOptions { max_bytes: 5, ..ReadOptions::default() };
    assert_eq!(read(file(folder.path(), "b.txt", "12345\r\n"), &small).unwrap().len(), 1);
    assert!(read(file(folder.path(), "c.txt", "123456\n"), &small).is_err());
}

#[test]
fn benchmarks_come_with_their_splits() {
    let folder = tempfile::tempdir().unwrap();
    let clinc = file(
        folder.path(),
        "data_full.json",
        r#"{"oos_val": [["q", "oos"]], "val": [["b", "x"]], "train": [["a", "x"], ["c", "y"]], "oos_train": [],
           "test": [["d", "y"]], "oos_test": [["e", "oos"], ["f", "oos"]]}"#,
    );
    let imported = import(Benchmark::Clinc150, &clinc).unwrap();
    let parts: Vec<(Split, &str)> = imported.iter().map(|(split, document)| (*split, document.id.as_str())).collect();
    let (train, validation, test) = (Split::Train, Split::Validation, Split::Test);
    assert_eq!(
        parts,
        [
            (train, "train:1"),
            (train, "train:2"),
            (validation, "val:1"),
            (validation, "oos_val:1"),
            (test, "test:1"),
            (test, "oos_test:1"),
            (test, "oos_test:2")
        ]
    );
    for (bad, wanted) in [("{}", "no part \"train\""), ("[]", "CLINC150"), ("{\"train\": [[1, 2]]}", "CLINC150")] {
        let message = import(Benchmark::Clinc150, file(folder.path(), "x.json", bad)).unwrap_err().to_string();
        assert!(message.contains(wanted), "{message}");
    }
    file(folder.path(), "train.csv", "text,category\n\"a, b\",x\n");
    file(folder.path(), "test.csv", "text,category\nc,y\n");
    let imported = import(Benchmark::Banking77, folder.path()).unwrap();
    assert_eq!(imported.iter().map(|(split, _)| *split).collect::<Vec<_>>(), [Split::Train, Split::Test]);
    assert_eq!(imported[0].1.text, "a, b");
}

#[test]
fn a_saved_corpus_is_loaded_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let documents = read(file(folder.path(), "a.csv", "text,label,id\n\"a\nb\",x,1\nc,,\n"), &ReadOptions::default());
    let documents = documents.unwrap();
    let path = folder.path().join("corpus.jsonl");
    save(&path, &documents).unwrap();
    assert_eq!(load(&path).unwrap(), documents);
    assert!(load(file(folder.path(), "bad.jsonl", "{}\n")).unwrap_err().to_string().contains("line 1"));
}
