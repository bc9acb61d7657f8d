//! A recipe that trains in seconds, for tests of the program.

use std::fs;
use std::path::{Path, PathBuf};

const TOPICS: [(&str, [&str; 4]); 3] = [
    ("refund", ["money back", "refund", "reimburse me", "return the payment"]),
    ("delivery", ["parcel", "delivery", "courier", "where is my package"]),
    ("password", ["password", "log in", "locked out", "reset my login"]),
];
const FRAMES: [&str; 6] = ["please help with", "question about", "urgent:", "hello, I need", "problem:", "again about"];

/// Writes the recipe and its texts into a folder, and answers where the recipe is.
pub(crate) fn recipe_in(folder: &Path) -> PathBuf {
    let mut train = String::from("label\ttext\n");
    let mut test = train.clone();
    for (label, phrases) in TOPICS {
        for (index, phrase) in phrases.iter().enumerate() {
            for (place, frame) in FRAMES.iter().enumerate() {
                let line = format!("{label}\t{frame} {phrase} number {index}{place}\n");
                if place == 5 { &mut test } else { &mut train }.push_str(&line);
            }
        }
    }
    fs::write(folder.join("train.tsv"), train).unwrap();
    fs::write(folder.join("test.tsv"), test).unwrap();
    let model =
        "layers = 1\nwidth = 16\nheads = 2\nchannels = 16\nbuckets = 512\nfeature_width = 16\nmax_tokens = 16\n";
    let training = "learning_rate = 0.01\ntable_rate = 4.0\nweight_decay = 0.0\nwarmup = 0.1\naveraging = 0.9\nvalidate_every = 20.0\n";
    let text = format!(
        "name = \"tiny\"\nseed = 3\n[data]\ntrain = [\"train.tsv\"]\ntest = [\"test.tsv\"]\nheld_out = 0.2\n\
         [tokenizer]\nkind = \"wordpiece\"\nvocabulary = 300\n\
         [teacher.model]\n{model}[teacher.pretraining]\nepochs = 300.0\n{training}\
         [teacher.training]\nepochs = 400.0\n{training}\
         [student.model]\n{model}[student.training]\nepochs = 300.0\n{training}\
         [student.prune]\nlayers = 1\nheads = 1\nchannels = 8\nleast_token_count = 1\n\
         [student.prune.recovery]\nepochs = 300.0\n{training}\
         [evaluate.cost]\nseconds = 0.01\nleast_requests = 5\nwarm_up = 1\nbatch = 8\n"
    );
    let recipe = folder.join("recipe.toml");
    fs::write(&recipe, text).unwrap();
    recipe
}
