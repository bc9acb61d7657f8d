//! Writes the models that the tests in `clients/` serve: `cargo run --release --example tiny_models -- FOLDER` makes `FOLDER/tiny`, a
//! language model, and `FOLDER/sample.bantam`, a bundle.

#[path = "../tests/tiny/models.rs"]
mod models;

use std::path::PathBuf;

use bantam_runtime::sample;

fn main() {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("name the folder"));
    models::write_language_model(&folder.join("tiny"));
    sample::quantised_parts().write(&folder.join("sample.bantam")).expect("the file can be written");
}
