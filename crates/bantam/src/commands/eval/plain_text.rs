//! The text that a language model is measured on.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use bantam_eval::language::Windows;
use bantam_kernels::pool;
use bantam_pipeline::Observer;
use bantam_runtime::generation::LanguageModel;
use bantam_tokens::Tokenizer;

use crate::commands::language_model::{Format, PastKind, open};
use crate::screen::Screen;

/// A language model that is measured on a text, and how.
#[derive(clap::Args)]
pub(super) struct Measured {
    /// The model: a Hugging Face folder, a GGUF file, or a llama2.c file beside its tokenizer
    model: PathBuf,
    #[command(flatten)]
    pub(super) text: PlainText,
    /// What the model's weights are held as: f32 measures them as they are, int8 and int4 as a model answers with them
    #[arg(long, value_enum, default_value_t = Format::F32)]
    format: Format,
    /// What the keys and values of what was read are kept as; int8 takes about half the memory
    #[arg(long, value_enum, default_value_t = PastKind::Half)]
    past: PastKind,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

impl Measured {
    /// The model, from here on with the threads that it may use.
    pub(super) fn open(&self) -> anyhow::Result<LanguageModel> {
        pool::set_threads(self.threads);
        Ok(self.past.of(open(&self.model, self.format)?))
    }
}

/// The text, and how it is cut.
#[derive(clap::Args)]
pub(super) struct PlainText {
    /// A file of plain text
    #[arg(long, required_unless_present = "ids", conflicts_with = "ids")]
    text: Option<PathBuf>,
    /// A file of token ids instead, as `bantam tokenize` writes them, for models without a tokenizer
    #[arg(long)]
    ids: Option<PathBuf>,
    /// Tokens in a window; 512, or what the model reads where that is less, when absent
    #[arg(long)]
    context: Option<usize>,
    /// The most windows; 0 for all
    #[arg(long, default_value_t = 0)]
    windows: usize,
}

/// Runs `measure`, which is given what tells of the windows that are done and whether to go on.
pub(crate) fn watched<R>(
    screen: &mut Screen,
    stage: &str,
    windows: &Windows,
    measure: impl FnOnce(&mut dyn FnMut(f64) -> bool) -> R,
) -> R {
    screen.stage(stage, &format!("{} windows of {} tokens", windows.count(), windows.context()), false);
    measure(&mut |share| {
        screen.progress(share, "");
        !screen.is_stopped()
    })
}

/// Tokens in a window, as llama.cpp has it.
const CONTEXT: usize = 512;

impl PlainText {
    /// The text in windows of tokens. Where the tokenizer of `other` splits it differently, the two cannot be compared.
    pub(super) fn windows(&self, model: &LanguageModel, other: Option<&LanguageModel>) -> anyhow::Result<Windows> {
        let context = self.context.unwrap_or(CONTEXT.min(model.max_tokens()));
        let windows = match (&self.text, &self.ids) {
            (_, Some(path)) => Windows::of_ids(ids(path)?, context).with_context(|| path.display().to_string())?,
            (Some(path), None) => {
                let tokenizers = [Some(model), other].map(|model| model.and_then(LanguageModel::tokenizer));
                if let [Some(one), Some(two)] = tokenizers {
                    ensure_alike(path, one, two)?;
                }
                windows_of(path, Some(context), tokenizers.into_iter().flatten().next(), model.max_tokens())?
            }
            (None, None) => bail!("name a text with --text, or token ids with --ids"),
        };
        Ok(if self.windows == 0 { windows } else { windows.first(self.windows) })
    }
}

/// The windows of a file of text, by default as large as is usual or as a model of `max_tokens` can read.
pub(crate) fn windows_of(
    path: &Path,
    context: Option<usize>,
    tokenizer: Option<&Tokenizer>,
    max_tokens: usize,
) -> anyhow::Result<Windows> {
    let tokenizer =
        tokenizer.context("a model without tokenizer cannot read a text; take one that has its vocabulary")?;
    let context = context.unwrap_or(CONTEXT.min(max_tokens));
    Windows::of_text(tokenizer, &text(path)?, context).with_context(|| path.display().to_string())
}

fn ensure_alike(path: &Path, one: &Tokenizer, two: &Tokenizer) -> anyhow::Result<()> {
    let text = text(path)?;
    ensure!(
        one.encode_beginning(&text) == two.encode_beginning(&text),
        "{}: the two models split this text into different tokens; only models with one tokenizer can be compared",
        path.display()
    );
    Ok(())
}

fn text(path: &Path) -> anyhow::Result<String> {
    let bytes = bantam_artifact::read(path)?;
    String::from_utf8(bytes).with_context(|| format!("{}: not UTF-8; convert it", path.display()))
}

/// All ids of a file of lists, one list a line.
fn ids(path: &Path) -> anyhow::Result<Vec<u32>> {
    let text = text(path)?;
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let list: Vec<u32> = serde_json::from_str(line).with_context(|| {
            format!("{} line {}: no list of token ids; write it with `bantam tokenize`", path.display(), number + 1)
        })?;
        all.extend(list);
    }
    Ok(all)
}
