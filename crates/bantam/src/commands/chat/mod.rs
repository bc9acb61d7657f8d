//! `bantam chat`: talk to a bundle, or to a language model.

mod bundle;
mod conversation;
mod dialogue;
mod input;
mod interrupt;
mod slash;

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::PathBuf;

use bantam_kernels::pool;
use bantam_model::folder::is_folder;
use bantam_runtime::Assistant;
use bantam_runtime::generation::GenerateOptions;

use self::conversation::Conversation;
use super::language_model::{Format, PastKind, open};
use super::sampling::Sampling;

/// The arguments of `bantam chat`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bantam chat runs/support/support.bantam
  echo 'where is my order?' | bantam chat runs/support/support.bantam --json
  bantam chat model.gguf --system 'Answer in one sentence.'

With a language model on a terminal, /help lists the commands, and Ctrl-C stops an answer. A conversation that has become too long for
the model is not cut silently: the next message is refused until /forget has dropped the oldest turn.
With --json each line of input is a message, or an object {\"role\": ..., \"content\": ...}, and each answer one object. What the
system, the assistant or a tool said is taken into the conversation without an answer.")]
pub(crate) struct Arguments {
    /// A bundle (a .bantam file), or a language model: a Hugging Face folder, a GGUF file, or a llama2.c file beside its tokenizer
    model: PathBuf,
    /// What a language model is told before the conversation
    #[arg(long)]
    system: Option<String>,
    /// The most tokens of an answer of a language model
    #[arg(long, default_value_t = 1024)]
    tokens: usize,
    #[command(flatten)]
    sampling: Sampling,
    /// What the weights of a language model are held as
    #[arg(long, value_enum, default_value_t = Format::Int8)]
    format: Format,
    /// What the keys and values of what was read are kept as; int8 takes about half the memory
    #[arg(long, value_enum, default_value_t = PastKind::Half)]
    past: PastKind,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print each answer as one line of JSON
    #[arg(long)]
    json: bool,
}

/// How the conversation looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// With a greeting, a prompt and commands.
    Terminal,
    /// One answer per line of input.
    Plain,
    /// One JSON object per line of input.
    Json,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        pool::set_threads(self.threads);
        let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let style = match (self.json, is_terminal) {
            (true, _) => Style::Json,
            (false, true) => Style::Terminal,
            (false, false) => Style::Plain,
        };
        let is_model =
            is_folder(&self.model) || matches!(self.model.extension().and_then(OsStr::to_str), Some("gguf" | "bin"));
        if !is_model {
            let assistant = Assistant::load(&self.model)?;
            return bundle::chat(&assistant, std::io::stdin().lock(), &mut std::io::stdout().lock(), style);
        }
        let model = self.past.of(open(&self.model, self.format)?);
        let sampling = self.sampling.options();
        sampling.validate(model.vocabulary())?;
        let stop = model.chat_format().stops();
        let options = GenerateOptions { tokens: self.tokens, sampling, stop, ignores_end: false, continues: false };
        let conversation = Conversation::new(&model, self.system.as_deref(), options, &self.model)?;
        let interrupt = interrupt::listen();
        let mut lines = input::lines(style)?;
        dialogue::hold(conversation, lines.as_mut(), &mut std::io::stdout().lock(), style, &interrupt)
    }
}

/// Without what could steer a terminal: a model may come from anywhere.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
