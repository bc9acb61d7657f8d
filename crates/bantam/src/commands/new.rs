//! `bantam new`: a recipe from somebody's own files.

use std::io::Write;
use std::path::PathBuf;

use bantam_pipeline::new::{Draft, DraftOptions};

use super::print_json;

/// The arguments of `bantam new`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bantam new my-assistant tickets.csv
  bantam new my-assistant train.csv test.csv chats.txt --text body --label queue

Files whose names begin with train, test, validation, unlabelled, background or out_of_scope (_train, _validation, _test)
are used as their names say; of the others, those with labels are learnt from, and those without are unlabelled texts.")]
pub(crate) struct Arguments {
    /// The folder of the new recipe
    folder: PathBuf,
    /// Files of texts: .csv, .tsv, .jsonl or .txt, each also .gz or .zst
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// The column that holds the text
    #[arg(long, value_name = "COLUMN")]
    text: Option<String>,
    /// The column that holds the label
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// The recipe's name; the folder's when absent
    #[arg(long)]
    name: Option<String>,
    /// Print what was found as one JSON object
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let options = DraftOptions { text: self.text, label: self.label, name: self.name };
        let draft = Draft::of(&self.folder, &self.data, &options)?;
        draft.write()?;
        if self.json {
            let mut told = serde_json::to_value(&draft)?;
            told["next"] = draft.next().into();
            return Ok(print_json(&told)?);
        }
        let mut output = std::io::stdout().lock();
        writeln!(output, "{draft}\nFill in replies.toml if the model should answer, then:\n  {}", draft.next())?;
        Ok(())
    }
}
