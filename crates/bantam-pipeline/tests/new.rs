//! A recipe drafted from somebody's files is one that a run reads: the same texts, labels and parts; and what cannot be used
//! is refused with the remedy before anything is written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::slice::from_ref;

use bantam_pipeline::new::{Draft, DraftOptions};
use bantam_pipeline::{DataSource, Recipe, Texts};

const TEAMS: [&str; 3] = ["billing", "Delivery & returns", "technical"];

/// A table of tickets as a help desk exports it.
fn tickets(rows: usize) -> String {
    let mut table = "id,created,subject,body,category\n".to_owned();
    for row in 0..rows {
        let team = TEAMS[row % 3];
        table +=
            &format!("{row},2024-05-{:02},Ticket {row},\"Hello, this is about {team}, case {row}\",{team}\n", row % 28);
    }
    table
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    fs::write(folder.join(name), text).unwrap();
    folder.join(name)
}

fn draft(folder: &Path, files: &[PathBuf]) -> Result<Draft, String> {
    Draft::of(folder, files, &DraftOptions::default()).map_err(|error| error.to_string())
}

/// The texts that a run of the written recipe reads.
fn read(folder: &Path) -> (Recipe, Texts) {
    let recipe = Recipe::read(folder).unwrap();
    let texts = DataSource::Recipe.read(&recipe).unwrap();
    (recipe, texts)
}

#[test]
fn a_run_reads_what_was_drafted() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("help desk");
    let files = [
        file(place.path(), "chats.txt", "is anyone there\nthank you\n"),
        file(place.path(), "tickets.csv", &tickets(60)),
        file(place.path(), "test_tickets.csv", &tickets(6)),
        file(place.path(), "dev.csv", &tickets(3)),
        file(place.path(), "out_of_scope.tsv", "body\twritten\ntell me a joke\ttoday\n"),
        file(place.path(), "background.txt", "the sun shines\n"),
    ];
    let drafted = draft(&folder, &files).unwrap();
    assert!(!folder.exists(), "a draft writes nothing");
    drafted.write().unwrap();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);

    let (recipe, texts) = read(&folder);
    assert_eq!((recipe.text.name.as_str(), recipe.text.teacher.model.layers), ("help-desk", 3));
    let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
    texts.train.iter().for_each(|document| *labels.entry(document.label.as_deref().unwrap()).or_default() += 1);
    assert_eq!(labels, BTreeMap::from([("Delivery & returns", 20), ("billing", 20), ("oos", 1), ("technical", 20)]));
    assert_eq!(texts.train[0].text, "Hello, this is about billing, case 0");
    let others = (texts.validation.len(), texts.unlabelled.len(), texts.background.len());
    assert_eq!((texts.test.len(), others), (6, (3, 2, 1)));
    let counts: BTreeMap<&str, usize> = drafted.files.iter().map(|file| (file.part, file.texts)).collect();
    let expected = [
        ("background", 1),
        ("out_of_scope_train", 1),
        ("test", 6),
        ("train", 60),
        ("unlabelled", 2),
        ("validation", 3),
    ];
    assert_eq!(counts, BTreeMap::from(expected));

    let replies: toml::Table = fs::read_to_string(folder.join("replies.toml")).unwrap().parse().unwrap();
    assert_eq!(
        replies["replies"].as_table().unwrap().keys().collect::<Vec<_>>(),
        ["Delivery & returns", "billing", "technical"]
    );
    let told = drafted.to_string();
    for part in ["tickets.csv: 60 texts, used as train", "`category`: a usual name", "20  billing", "R-Drop"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(drafted.next(), format!("bantam run \"{}\"", folder.display()));
}

#[test]
fn lines_of_json_and_named_columns_work_and_paths_inside_the_folder_are_relative() {
    let place = tempfile::tempdir().unwrap();
    let rows = (0..60).map(|n| {
        format!("{{\"utterance\": \"please do {n}\", \"reply\": \"it was done, {n}\", \"intent\": \"i{}\", \"team\": {}}}\n", n % 2, n % 3)
    });
    let rows: String = rows.collect();
    let data = file(place.path(), "data.jsonl", &rows);
    draft(place.path(), from_ref(&data)).unwrap().write().unwrap();
    let (recipe, texts) = read(place.path());
    assert_eq!(recipe.text.data.train, [Path::new("data.jsonl")]);
    assert_eq!((texts.train[1].text.as_str(), texts.train[1].label.as_deref()), ("please do 1", Some("i1")));

    let other = place.path().join("other");
    let options = DraftOptions { text: Some("reply".into()), label: Some("team".into()), name: Some("o".into()) };
    Draft::of(&other, &[data], &options).unwrap().write().unwrap();
    let (recipe, texts) = read(&other);
    assert_eq!((recipe.text.name.as_str(), recipe.text.data.train[0].is_absolute()), ("o", true));
    assert_eq!((texts.train[1].text.as_str(), texts.train[1].label.as_deref()), ("it was done, 1", Some("1")));
}

#[test]
fn rows_without_a_label_in_one_export_with_labelled_ones_are_unlabelled_texts() {
    let place = tempfile::tempdir().unwrap();
    let open = (0..40).map(|n| format!("{},2024-06-01,Ticket,Nobody has sorted case {n} yet,\n", 100 + n));
    let data = file(place.path(), "export.csv", &(tickets(60) + &open.collect::<String>()));
    let folder = place.path().join("desk");
    let drafted = draft(&folder, &[data]).unwrap();
    drafted.write().unwrap();
    let told = drafted.to_string();
    assert!(told.contains("100 texts, used as train") && told.contains("3 in 60 training texts"), "{told}");
    assert!(told.contains("40 of 100 texts to learn from have no label"), "{told}");
    let (recipe, texts) = read(&folder);
    assert_eq!((texts.train.len(), texts.unlabelled.len()), (60, 40));
    assert_eq!(texts.unlabelled[0].text, "Nobody has sorted case 0 yet");
    // Somebody who wants to know of them is told where they are.
    let path = folder.join("recipe.toml");
    let strict = fs::read_to_string(&path).unwrap().replace("empty_labels = \"unlabelled\"", "");
    fs::write(&path, strict).unwrap();
    assert_eq!(read(&folder).1.train.len(), 100);
    assert_ne!(Recipe::read(&folder).unwrap(), recipe);
}

#[test]
fn what_is_there_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let data = file(place.path(), "tickets.csv", &tickets(60));
    let folder = place.path().join("desk");
    fs::create_dir(&folder).unwrap();
    file(&folder, "replies.toml", "[replies]\nbilling = \"Mine.\"\n");
    let drafted = draft(&folder, from_ref(&data)).unwrap();
    assert!(drafted.warnings.iter().any(|warning| warning.contains("kept")), "{:?}", drafted.warnings);
    drafted.write().unwrap();
    assert!(fs::read_to_string(folder.join("replies.toml")).unwrap().contains("Mine."));
    let recipe = fs::read(folder.join("recipe.toml")).unwrap();
    assert!(draft(&folder, &[data]).unwrap_err().contains("choose another folder"));
    assert!(drafted.write().unwrap_err().to_string().contains("choose another folder"));
    assert_eq!(fs::read(folder.join("recipe.toml")).unwrap(), recipe);
}

#[test]
fn what_cannot_be_used_is_refused_with_the_remedy() {
    let place = tempfile::tempdir().unwrap();
    let one = "text,label\nfirst text,only\nsecond text,only\n";
    let cases = [
        ("one.csv", one.to_owned(), "at least 2 labels"),
        ("bare.csv", tickets(60).split_once('\n').unwrap().1.to_owned(), "should name the columns"),
        ("several.jsonl", "{\"text\": \"a b\", \"labels\": [\"x\", \"y\"]}\n".to_owned(), "no list of several"),
        ("semicolons.tsv", "text;label\na;b\n".to_owned(), "parted by ';'"),
        ("test.csv", tickets(60), "no other file"),
        ("unlabelled-all.csv", tickets(60), "no column of labels"),
        ("stars.csv", "comment,stars\nvery good,5\nvery bad,1\n".to_owned(), "there are `comment`, `stars`"),
        ("notes.txt", "a note\n".to_owned(), "plain text has no labels"),
        ("test-of.txt", "a note\n".to_owned(), "its name says test"),
        ("empty.csv", String::new(), "holds no documents"),
        ("text.csv", "text,label\n".to_owned(), "holds no documents"),
        ("sheet.xlsx", "PK".to_owned(), "of no known kind"),
    ];
    let folder = place.path().join("new");
    for (name, text, wanted) in cases {
        let told = draft(&folder, &[file(place.path(), name, &text)]).unwrap_err();
        assert!(told.contains(wanted), "{name}: {told}");
    }
    let good = file(place.path(), "good.csv", &tickets(60));
    let other = file(place.path(), "other.csv", &tickets(60).replace("body,category", "story,team"));
    for (files, wanted) in [
        (vec![good.clone(), good.clone()], "named twice"),
        (vec![place.path().to_owned()], "is a folder"),
        (vec![good.clone(), file(place.path(), "test.csv", &tickets(9).replace("i", "y"))], "no test text has a label"),
        (vec![good.clone(), other], "give both columns one name"),
        (vec![place.path().join("nowhere.csv")], "nowhere.csv"),
    ] {
        let told = draft(&folder, &files).unwrap_err();
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    let absent = DraftOptions { label: Some("queue".into()), ..DraftOptions::default() };
    let told = Draft::of(&folder, from_ref(&good), &absent).unwrap_err().to_string();
    assert!(told.contains("named `queue`") && told.contains("`category`"), "{told}");
    let misnamed = DraftOptions { name: Some("a b".into()), ..DraftOptions::default() };
    assert!(Draft::of(&folder, from_ref(&good), &misnamed).unwrap_err().to_string().contains("letters"));
    assert!(draft(&good, from_ref(&good)).unwrap_err().contains("is a file"));
    assert!(!folder.exists());
}
