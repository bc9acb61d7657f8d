//! The main job on a tiny recipe: it ends with a bundle that answers, a second run is a lookup, a stopped run continues to the
//! same bytes, and whatever is wrong with a recipe or its data is told with its place.

use std::fs;
use std::path::{Path, PathBuf};

use bantam_pipeline::{DataSource, Error, Goal, Observer, Outcome, Recipe, RunOptions, Silent, clean, make, plan, run};
use bantam_runtime::Assistant;

const TOPICS: [(&str, [&str; 4]); 3] = [
    ("refund", ["money back", "refund", "reimburse me", "return the payment"]),
    ("delivery", ["parcel", "delivery", "courier", "where is my package"]),
    ("password", ["password", "log in", "locked out", "reset my login"]),
];

/// A recipe of three labels in a fresh folder.
fn recipe_in(folder: &Path) -> PathBuf {
    let mut train = String::from("label\ttext\n");
    let mut test = String::from("label\ttext\n");
    for (label, phrases) in TOPICS {
        for (index, phrase) in phrases.iter().enumerate() {
            for (place, frame) in
                ["please help with", "question about", "urgent:", "hello, I need", "problem:", "again about"]
                    .iter()
                    .enumerate()
            {
                let text = format!("{label}\t{frame} {phrase} number {index}{place}\n");
                if place == 5 { &mut test } else { &mut train }.push_str(&text);
            }
        }
    }
    let outside: String = (0..24).map(|index| format!("what is the weather on planet {index} like\n")).collect();
    fs::write(folder.join("train.tsv"), train).unwrap();
    fs::write(folder.join("test.tsv"), test).unwrap();
    fs::write(folder.join("outside.txt"), outside).unwrap();
    fs::write(folder.join("replies.toml"), "[replies]\nrefund = \"Money is on its way.\"\npassword = \"\"\n").unwrap();
    let model =
        "layers = 1\nwidth = 16\nheads = 2\nchannels = 16\nbuckets = 512\nfeature_width = 16\nmax_tokens = 16\n";
    let training = "learning_rate = 0.01\ntable_rate = 4.0\nweight_decay = 0.0\nwarmup = 0.1\naveraging = 0.9\nvalidate_every = 1.0\n";
    let text = format!(
        "name = \"tiny\"\nseed = 3\n[data]\ntrain = [\"train.tsv\"]\ntest = [\"test.tsv\"]\nout_of_scope_train = [\"outside.txt\"]\nreplies = \"replies.toml\"\nheld_out = 0.2\n\
         [tokenizer]\nkind = \"wordpiece\"\nvocabulary = 300\n\
         [teacher.model]\n{model}[teacher.pretraining]\nepochs = 1.0\n{training}[teacher.training]\nepochs = 8.0\n{training}\
         [student.model]\n{model}[student.training]\nepochs = 4.0\n{training}[student.prune]\nlayers = 1\nheads = 1\nchannels = 8\nleast_token_count = 1\n[student.prune.recovery]\nepochs = 2.0\n{training}\
         [evaluate.cost]\nseconds = 0.01\nleast_requests = 5\nwarm_up = 1\nbatch = 8\n"
    );
    fs::write(folder.join("recipe.toml"), text).unwrap();
    folder.join("recipe.toml")
}

fn run_in(folder: &Path, out: &str, observer: &mut dyn Observer) -> Result<Outcome, Error> {
    let recipe = Recipe::read(&folder.join("recipe.toml"))?;
    run(&recipe, &RunOptions { source: DataSource::Recipe, out: folder.join(out) }, observer)
}

/// Stops a run after so many steps of training.
struct StopAfter {
    steps: usize,
    stages: Vec<(String, bool)>,
}

impl Observer for StopAfter {
    fn stage(&mut self, name: &str, _: &str, is_done: bool) {
        self.stages.push((name.to_owned(), is_done));
    }
    fn progress(&mut self, _: f64, _: &str) {
        self.steps = self.steps.saturating_sub(1);
    }
    fn note(&mut self, _: &str) {}
    fn is_stopped(&self) -> bool {
        self.steps == 0
    }
}

#[test]
fn a_run_ends_with_a_bundle_that_answers_and_a_second_run_is_a_lookup() {
    let folder = tempfile::tempdir().unwrap();
    recipe_in(folder.path());
    let first = run_in(folder.path(), "out", &mut Silent).unwrap();
    assert!(!first.is_cached);
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("out/report.json")).unwrap()).unwrap();
    let roles: Vec<&str> = json["rows"].as_array().unwrap().iter().map(|row| row["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["baseline", "baseline", "teacher", "student", "student", "bundle"]);
    let assistant = Assistant::load(&first.bundle).unwrap();
    let answer = assistant.answer("I want my money back, please refund me");
    assert_eq!(answer.label, "refund");
    assert_eq!(assistant.replies().keys().collect::<Vec<_>>(), ["refund"], "an empty reply is none");
    assert!((0.0..=1.0).contains(&answer.confidence));

    let bytes = fs::read(&first.bundle).unwrap();
    let second = run_in(folder.path(), "out", &mut Silent).unwrap();
    assert!(second.is_cached);
    assert_eq!(fs::read(&second.bundle).unwrap(), bytes);
}

#[test]
fn changing_a_value_reruns_only_what_depends_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = recipe_in(folder.path());
    run_in(folder.path(), "out", &mut Silent).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("channels = 8\n", "channels = 4\n")).unwrap();
    let mut seen = StopAfter { steps: usize::MAX, stages: Vec::new() };
    run_in(folder.path(), "out", &mut seen).unwrap();
    let made: Vec<&str> = seen.stages.iter().filter(|(_, done)| !done).map(|(name, _)| name.as_str()).collect();
    assert_eq!(made, ["pruning", "bundle", "evaluation"]);

    // The earlier three can be taken away, and nothing is lost of what the recipe as it stands has made.
    let (recipe, out) = (Recipe::read(&file).unwrap(), folder.path().join("out"));
    let options = RunOptions { source: DataSource::Recipe, out: out.clone() };
    for only_tells in [true, false] {
        let leftovers = clean(&recipe, &options, only_tells).unwrap();
        let name = |folder: &Path| folder.file_name().unwrap().to_string_lossy().split('-').next().unwrap().to_owned();
        let stages: Vec<String> = leftovers.iter().map(|leftover| name(&leftover.folder)).collect();
        assert_eq!(stages, ["bundle", "evaluation", "pruning"]);
        assert!(leftovers.iter().all(|leftover| leftover.bytes > 0 && leftover.folder.exists() == only_tells));
    }
    assert!(clean(&recipe, &options, false).unwrap().is_empty());
    assert!(run_in(folder.path(), "out", &mut Silent).unwrap().is_cached);
    // A recipe of which nothing is there has no say over what is.
    fs::write(&file, text.replace("seed = ", "seed = 1")).unwrap();
    let told = clean(&Recipe::read(&file).unwrap(), &options, false).unwrap_err().to_string();
    assert!(told.contains("nothing in") && told.contains("run it first"), "{told}");
    fs::write(&file, text.replace("channels = 8\n", "channels = 4\n")).unwrap();
    assert!(run_in(folder.path(), "out", &mut Silent).unwrap().is_cached);
    let nothing = RunOptions { out: folder.path().join("none"), ..options };
    assert!(clean(&recipe, &nothing, false).unwrap().is_empty() && !nothing.out.exists());
}

#[test]
fn nothing_is_made_of_an_artifact_with_a_flipped_bit() {
    let folder = tempfile::tempdir().unwrap();
    let file = recipe_in(folder.path());
    run_in(folder.path(), "out", &mut Silent).unwrap();
    let artifacts = fs::read_dir(folder.path().join("out/artifacts")).unwrap().map(|entry| entry.unwrap().path());
    let is_teacher = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("teacher-");
    let weights = artifacts.into_iter().find(is_teacher).unwrap().join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("channels = 8\n", "channels = 4\n")).unwrap();
    let error = run_in(folder.path(), "out", &mut Silent).unwrap_err().to_string();
    assert!(error.contains("model.safetensors is not what was made") && error.contains("delete the folder"), "{error}");
}

#[test]
fn a_run_stopped_anywhere_continues_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    recipe_in(folder.path());
    let whole = fs::read(run_in(folder.path(), "whole", &mut Silent).unwrap().bundle).unwrap();
    let mut tries = 0;
    let broken = loop {
        let mut stop = StopAfter { steps: 9, stages: Vec::new() };
        match run_in(folder.path(), "broken", &mut stop) {
            Ok(outcome) => break outcome,
            Err(Error::Stopped) => tries += 1,
            Err(other) => panic!("{other}"),
        }
        assert!(tries < 500, "every try must get further");
    };
    assert!(tries > 3, "{tries}");
    assert_eq!(fs::read(broken.bundle).unwrap(), whole);
}

#[test]
fn what_is_wrong_with_a_recipe_or_its_data_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = recipe_in(folder.path());
    let good = fs::read_to_string(&file).unwrap();
    let message = |folder: &Path| run_in(folder, "out", &mut Silent).unwrap_err().to_string();
    let cases = [
        (good.replace("seed = 3", "sede = 3"), "sede"),
        (good.replace("seed = 3", "seed = \"three\""), "seed"),
        (good.replace("name = \"tiny\"", "name = \"../tiny\""), "name"),
        (good.replace("held_out = 0.2", "held_out = 2.0"), "held_out"),
        (good.replace("train.tsv", "missing.tsv"), "missing.tsv"),
        (good.replace("replies.toml", "no-replies.toml"), "no-replies.toml"),
        (good.replace("heads = 1\n", "heads = 9\n"), "heads"),
        ("name = ".to_owned(), "recipe.toml"),
    ];
    for (text, place) in cases {
        fs::write(&file, text).unwrap();
        let told = message(folder.path());
        assert!(told.contains(place), "{place}: {told}");
    }
    fs::write(&file, &good).unwrap();
    let long = format!("label\ttext\nrefund\t{}\n", "a".repeat(10_000_000));
    let data: [(&[u8], &str); 4] = [
        (b"label\ttext\nonly\tone label\nonly\tand no other\n", "label"),
        (b"label\ttext\nrefund\tcaf\xe9 bill\n", "UTF-8"),
        (b"something\telse\nrefund\tmoney\n", "text"),
        (long.as_bytes(), "line 2"),
    ];
    for (bytes, place) in data {
        fs::write(folder.path().join("train.tsv"), bytes).unwrap();
        let told = message(folder.path());
        assert!(told.contains(place), "{place}: {told}");
    }
    assert!(!folder.path().join("out/report.json").exists() && !folder.path().join("out/tiny.bantam").exists());
}

#[test]
fn cheap_mistakes_are_told_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let file = recipe_in(folder.path());
    let good = fs::read_to_string(&file).unwrap();
    let told = || {
        let mut seen = StopAfter { steps: usize::MAX, stages: Vec::new() };
        let told = run_in(folder.path(), "out", &mut seen).unwrap_err().to_string();
        assert!(seen.stages.iter().all(|(name, _)| name == "corpus"), "{told}: {:?}", seen.stages);
        told
    };
    let replies = [
        ("[replies]\nrefund = 3\n", ["replies.toml", "line 2"]),
        ("[answers]\nrefund = \"yes\"\n", ["replies.toml", "answers"]),
        ("[replies]\nrefunds = \"yes\"\n", ["`refunds`", "did you mean `refund`?"]),
        ("[replies]\noos = \"no\"\n", ["`oos`", "[hand_over]"]),
    ];
    for (text, places) in replies {
        fs::write(folder.path().join("replies.toml"), text).unwrap();
        let told = told();
        assert!(places.iter().all(|place| told.contains(place)), "{text}: {told}");
    }
    fs::write(folder.path().join("replies.toml"), "").unwrap();
    fs::write(&file, good.replace("[teacher.model]", "[teacher]\nfolder = \"nowhere\"\n[teacher.model]")).unwrap();
    let missing = told();
    assert!(missing.contains("nowhere/config.json") && missing.contains("teacher.folder"), "{missing}");
}

#[test]
fn a_finished_teacher_must_fit_the_texts_and_the_student() {
    let folder = tempfile::tempdir().unwrap();
    let file = recipe_in(folder.path());
    let good = fs::read_to_string(&file).unwrap();
    let options = RunOptions { source: DataSource::Recipe, out: folder.path().join("first") };
    make(&Recipe::read(&file).unwrap(), &options, Goal::Teacher, &mut Silent).unwrap();

    let taught = good.replace("[teacher.model]", "[teacher]\nfolder = \"first/teacher\"\n[teacher.model]");
    let states = format!("{taught}[student.objective]\nstates = 1.0\n");
    fs::write(&file, &states).unwrap();
    run_in(folder.path(), "fits", &mut Silent).unwrap();
    let widths = states.rfind("\nwidth = 16\n").unwrap();
    let (before, after) = states.split_at(widths);
    let shorter = format!("{before}{}", after.replacen("max_tokens = 16", "max_tokens = 8", 1));
    let wider = format!("{before}{}", after.replacen("\nwidth = 16", "\nwidth = 32", 1));
    let other = states.replace("wordpiece", "bpe");
    for (text, place) in
        [(&wider, "32 numbers wide"), (&shorter, "up to 8 tokens"), (&other, "another tokenizer than the student")]
    {
        fs::write(&file, text).unwrap();
        let told = run_in(folder.path(), "out", &mut Silent).unwrap_err().to_string();
        assert!(told.contains("student.objective.states") && told.contains(place), "{told}");
    }
    fs::write(&file, &taught).unwrap();
    fs::write(folder.path().join("replies.toml"), "").unwrap();
    let train = fs::read_to_string(folder.path().join("train.tsv")).unwrap();
    fs::write(folder.path().join("train.tsv"), train.replace("refund\t", "refunds\t")).unwrap();
    let mut seen = StopAfter { steps: usize::MAX, stages: Vec::new() };
    let told = run_in(folder.path(), "out", &mut seen).unwrap_err().to_string();
    assert!(told.contains("labels are not the corpus's"), "{told}");
    assert_eq!(seen.stages.len(), 1, "nothing but the texts was read");
}

#[test]
fn every_folder_of_a_teacher_is_told_with_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = recipe_in(folder.path());
    let text = fs::read_to_string(&file).unwrap();
    let several = text.replace("[teacher.model]", "[teacher]\nmembers = 2\nwith_linear = true\n[teacher.model]");
    fs::write(&file, several).unwrap();
    let out = folder.path().join("out");
    let options = RunOptions { source: DataSource::Recipe, out: out.clone() };
    let teacher = make(&Recipe::read(&file).unwrap(), &options, Goal::Teacher, &mut Silent).unwrap();
    let parts: Vec<_> = teacher.parts.iter().map(|part| (part.name.as_str(), part.path.clone())).collect();
    let expected = [
        ("member 1 of 2", out.join("teacher")),
        ("member 2 of 2", out.join("teacher-2")),
        ("linear model", out.join("teacher-linear")),
    ];
    assert_eq!(parts, expected);
    for part in &teacher.parts {
        let files = fs::read_dir(&part.path).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
        assert_eq!(part.bytes, files.sum::<u64>(), "{}: the size is that of the folder", part.name);
        assert!(part.validation_accuracy > 0.5, "{}: {}", part.name, part.validation_accuracy);
    }
    assert_eq!(teacher.bytes, teacher.parts.iter().map(|part| part.bytes).sum::<u64>());
    assert_eq!(teacher.parameters, teacher.parts.iter().map(|part| part.parameters).sum::<u64>());

    // Named in another recipe, the folders answer together just so.
    let again = text.replace(
        "[teacher.model]",
        "[teacher]\nfolder = [\"out/teacher\", \"out/teacher-2\"]\nwith_linear = true\n[teacher.model]",
    );
    fs::write(&file, again).unwrap();
    let options = RunOptions { source: DataSource::Recipe, out: folder.path().join("again") };
    let finished = make(&Recipe::read(&file).unwrap(), &options, Goal::Teacher, &mut Silent).unwrap();
    assert_eq!((finished.parameters, finished.bytes), (teacher.parameters, teacher.bytes));
    assert_eq!(finished.validation_accuracy, teacher.validation_accuracy);
}

#[test]
fn a_plan_tells_what_a_run_then_does_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = recipe_in(folder.path());
    let good = fs::read_to_string(&file)
        .unwrap()
        .replace("[teacher.model]", "[teacher]\nmembers = 2\nwith_linear = true\n[teacher.model]");
    let options = RunOptions { source: DataSource::Recipe, out: folder.path().join("out") };
    // What is planned is what a run comes to, stage by stage.
    let follow = |text: &str| {
        fs::write(&file, text).unwrap();
        let planned = plan(&Recipe::read(&file).unwrap(), &options).unwrap();
        let mut seen = StopAfter { steps: usize::MAX, stages: Vec::new() };
        run_in(folder.path(), "out", &mut seen).unwrap();
        let told: Vec<(String, bool)> =
            planned.iter().map(|stage| (stage.name.to_owned(), stage.why.is_none())).collect();
        assert_eq!(told, seen.stages);
        planned.into_iter().filter_map(|stage| Some((stage.name, stage.why?))).collect::<Vec<_>>()
    };
    let first = follow(&good);
    assert!(first.len() == 12 && first.iter().all(|(_, why)| why == "not made yet"), "{first:?}");
    assert!(follow(&good).is_empty());
    let pruned = follow(&good.replace("channels = 8\n", "channels = 4\n"));
    assert!(pruned[0].0 == "pruning" && pruned[0].1.contains("[student.prune]"), "{pruned:?}");
    assert!(pruned[1].0 == "bundle" && pruned[1].1.contains("pruning"), "{pruned:?}");
    let train = fs::read_to_string(folder.path().join("train.tsv")).unwrap();
    fs::write(folder.path().join("train.tsv"), format!("{train}refund\tmy money should come back\n")).unwrap();
    let all = follow(&good);
    assert!(all.len() == 12 && all[0].1.contains("a file"), "{all:?}");
}

#[test]
fn a_corpus_is_known_by_what_it_holds_and_not_by_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = recipe_in(folder.path());
    let text = fs::read_to_string(&file).unwrap();
    let planned = |text: &str, source: DataSource| -> String {
        fs::write(&file, text).unwrap();
        let options = RunOptions { source, out: folder.path().join("out") };
        plan(&Recipe::read(&file).unwrap(), &options).unwrap().remove(0).artifact
    };
    let test = planned(&text, DataSource::Recipe);
    assert_eq!(planned(&text, DataSource::Recipe), test);
    let validation = planned(&text.replace("test = [", "validation = ["), DataSource::Recipe);
    assert_ne!(validation, test, "a file that moved from one part to another");
    fs::copy(folder.path().join("test.tsv"), folder.path().join("test.txt")).unwrap();
    assert_ne!(planned(&text.replace("test.tsv", "test.txt"), DataSource::Recipe), test, "read in another way");
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    for name in ["train.tsv", "test.tsv"] {
        fs::copy(folder.path().join(name), other.join(name)).unwrap();
    }
    let spelled = |spelling: &str| planned(&text, DataSource::of_folder(&folder.path().join(spelling)).unwrap());
    assert_eq!(spelled("other/"), spelled("other"));
    assert_eq!(spelled("./other"), spelled("other"));
    fs::rename(other.join("test.tsv"), other.join("validation.tsv")).unwrap();
    let moved = spelled("other");
    fs::rename(other.join("validation.tsv"), other.join("test.tsv")).unwrap();
    assert_ne!(spelled("other"), moved);
}

/// Remembers what it was told beside progress.
#[derive(Default)]
struct Notes(Vec<String>);

impl Observer for Notes {
    fn stage(&mut self, _: &str, _: &str, _: bool) {}
    fn progress(&mut self, _: f64, _: &str) {}
    fn note(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
    fn is_stopped(&self) -> bool {
        false
    }
}

#[test]
fn background_texts_are_for_the_teacher_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = recipe_in(folder.path());
    let text = fs::read_to_string(&file).unwrap();
    let everyday =
        "a zebra walks home\nmy zebra likes soft grass\nno zebra ever sings at night\nthe old zebra sleeps outside\n";
    fs::write(folder.path().join("everyday.txt"), everyday).unwrap();
    let with = text
        .replace("[tokenizer]", "background = [\"everyday.txt\"]\n[tokenizer]")
        .replace("[teacher.model]", "[teacher]\nwith_linear = true\n[teacher.model]");
    fs::write(&file, &with).unwrap();
    let mut notes = Notes::default();
    let outcome = run_in(folder.path(), "out", &mut notes).unwrap();
    assert!(notes.0.iter().any(|note| note.starts_with("word vectors are ")), "{:?}", notes.0);
    assert_eq!((outcome.report.data.background, outcome.report.data.unlabelled), (4, 0));
    let artifact = |stage: &str, name: &str| {
        let mut folders = fs::read_dir(folder.path().join("out/artifacts")).unwrap().map(|entry| entry.unwrap());
        let found = folders.find(|entry| entry.file_name().to_string_lossy().starts_with(stage)).unwrap();
        fs::read_to_string(found.path().join(name)).unwrap()
    };
    assert!(artifact("tokenizer", "tokenizer.json").contains("zebra"));
    assert!(!artifact("transfer", "lessons.jsonl").contains("zebra"));

    // Beside a benchmark, too.
    let benchmark = folder.path().join("clinc");
    fs::create_dir(&benchmark).unwrap();
    fs::write(benchmark.join("data_full.json"), r#"{"train": [["a", "b"]], "val": [], "test": []}"#).unwrap();
    fs::write(benchmark.join("background.txt"), everyday).unwrap();
    let source = DataSource::of_folder(&benchmark).unwrap();
    assert!(matches!(source, DataSource::Benchmark(..)));
    let recipe = Recipe::read(&file).unwrap();
    assert_eq!(source.read(&recipe).unwrap().background.len(), 4);
    let before = source.keys(&recipe).unwrap();
    fs::remove_file(benchmark.join("background.txt")).unwrap();
    assert_ne!(source.keys(&recipe).unwrap(), before, "a corpus with other texts is another corpus");
}
