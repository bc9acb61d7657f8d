//! A conversation with a language model: what was said, and what the model has read of it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bantam_model::Past;
use bantam_runtime::chat::Message;
use bantam_runtime::generation::{Finish, GenerateOptions, Generated, LanguageModel, generate_after};
use bantam_tokens::Tokenizer;

/// A conversation, and the means to go on with it.
pub(super) struct Conversation<'a> {
    model: &'a LanguageModel,
    tokenizer: &'a Tokenizer,
    pub(super) messages: Vec<Message>,
    pub(super) options: GenerateOptions,
    /// What the model has read, and its tokens.
    past: Past,
    read: Vec<u32>,
    /// Answers made again, each with a seed of its own.
    again: u64,
}

/// An answer, and what it took.
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) finish: Finish,
    pub(super) prompt_tokens: usize,
    /// Tokens of the prompt that the model had read before.
    pub(super) read_before: usize,
    pub(super) tokens: usize,
    pub(super) time: Duration,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(
        model: &'a LanguageModel,
        system: Option<&str>,
        options: GenerateOptions,
        path: &Path,
    ) -> anyhow::Result<Self> {
        let Some(tokenizer) = model.tokenizer() else {
            bail!("{}: a model without tokenizer cannot talk; take one that has its vocabulary", path.display());
        };
        let messages = system.map(|system| Message::new("system", system)).into_iter().collect();
        Ok(Self { model, tokenizer, messages, options, past: model.past(), read: Vec::new(), again: 0 })
    }

    pub(super) fn model(&self) -> &LanguageModel {
        self.model
    }

    /// Takes a message and answers it. Where that fails, or is stopped before the first token, the message is taken
    /// back.
    pub(super) fn ask(
        &mut self,
        message: Message,
        is_stopped: &dyn Fn() -> bool,
        show: &mut dyn FnMut(&str) -> bool,
    ) -> anyhow::Result<Option<Answer>> {
        self.messages.push(message);
        let answer = self.answer(is_stopped, show);
        if !matches!(answer, Ok(Some(_))) {
            self.messages.pop();
        }
        answer
    }

    /// Takes a message that needs no answer.
    ///
    /// # Errors
    /// One that the conversation's form has no place for; it is not taken then.
    pub(super) fn add(&mut self, message: Message) -> anyhow::Result<()> {
        self.messages.push(message);
        if let Err(error) = self.tokens() {
            self.messages.pop();
            return Err(error);
        }
        Ok(())
    }

    /// Answers the last message another time.
    pub(super) fn retry(
        &mut self,
        is_stopped: &dyn Fn() -> bool,
        show: &mut dyn FnMut(&str) -> bool,
    ) -> anyhow::Result<Option<Answer>> {
        let Some(before) = self.messages.pop_if(|message| message.role == "assistant") else {
            bail!("there is no answer to make again");
        };
        self.again += 1;
        let answer = self.answer(is_stopped, show);
        if !matches!(answer, Ok(Some(_))) {
            self.messages.push(before);
        }
        answer
    }

    /// Takes the last message and its answer back.
    pub(super) fn undo(&mut self) -> bool {
        let Some(last) = self.messages.iter().rposition(|message| message.role == "user") else { return false };
        self.messages.truncate(last);
        true
    }

    /// Drops the oldest message and its answer.
    pub(super) fn forget(&mut self) -> bool {
        let Some(first) = self.messages.iter().position(|message| message.role == "user") else { return false };
        let next = self.messages[first + 1..].iter().position(|message| message.role == "user");
        let end = next.map_or(self.messages.len(), |next| first + 1 + next);
        self.messages.drain(first..end);
        true
    }

    /// Tells the model something before the conversation; nothing for an empty text.
    pub(super) fn set_system(&mut self, text: &str) {
        self.messages.retain(|message| message.role != "system");
        if !text.is_empty() {
            self.messages.insert(0, Message::new("system", text));
        }
    }

    /// Forgets all but what the system says.
    pub(super) fn clear(&mut self) {
        self.messages.retain(|message| message.role == "system");
    }

    /// The tokens of the conversation.
    pub(super) fn tokens(&self) -> anyhow::Result<usize> {
        if self.messages.is_empty() {
            return Ok(0);
        }
        Ok(self.model.chat_format().render(self.tokenizer, &self.messages, &[], false)?.len())
    }

    fn answer(
        &mut self,
        is_stopped: &dyn Fn() -> bool,
        show: &mut dyn FnMut(&str) -> bool,
    ) -> anyhow::Result<Option<Answer>> {
        let prompt = self.model.chat_format().render(self.tokenizer, &self.messages, &[], true)?;
        let most = self.model.max_tokens();
        if prompt.len() >= most {
            bail!(
                "with this message the conversation has {} tokens, and the model reads {most} with the answer; drop the \
                 oldest turn with /forget, or begin anew with /clear",
                prompt.len()
            );
        }
        let read_before = self.keep_common(&prompt);
        // All but the last token, so that a long prompt can be stopped, too.
        let (unread, past) = (&prompt[read_before..prompt.len() - 1], std::mem::take(&mut self.past));
        let begun =
            if unread.is_empty() { Some(past) } else { self.model.read(past, unread, is_stopped).map(|read| read.1) };
        let Some(begun) = begun.filter(|_| !is_stopped()) else {
            self.read.clear();
            return Ok(None);
        };
        self.past = begun;
        let mut options = self.options.clone();
        options.sampling.seed = options.sampling.seed.map(|seed| seed.wrapping_add(self.again));
        let mut show = |piece: &str| show(piece) && !is_stopped();
        let generated = generate_after(self.model, &mut self.past, &prompt, &options, None, &mut show);
        let Generated { tokens, text, finish, answer_time, .. } = generated.inspect_err(|_| self.read.clear())?;
        self.read = [&prompt[..], &tokens].concat();
        self.read.truncate(self.past.tokens());
        let text = text.trim().to_owned();
        self.messages.push(Message::new("assistant", text.clone()));
        let prompt_tokens = prompt.len();
        Ok(Some(Answer { text, finish, prompt_tokens, read_before, tokens: tokens.len(), time: answer_time }))
    }

    /// Keeps of what was read the beginning that the prompt has, too, and not the whole prompt; answers how much.
    fn keep_common(&mut self, prompt: &[u32]) -> usize {
        let common = self.read.iter().zip(prompt).take_while(|(read, prompt)| read == prompt).count();
        let common = common.min(prompt.len().saturating_sub(1));
        self.past.truncate(common);
        self.read.truncate(common);
        self.past.tokens()
    }

    /// Writes the conversation as JSON.
    pub(super) fn save(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(&serde_json::json!({"messages": self.messages}))?;
        std::fs::write(path, text + "\n").map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
    }

    /// Goes on with a conversation that was saved.
    pub(super) fn load(&mut self, path: &Path) -> anyhow::Result<()> {
        #[derive(serde::Deserialize)]
        struct Saved {
            messages: Vec<Message>,
        }
        let text = std::fs::read(path).map_err(|error| anyhow!("cannot read {}: {error}", path.display()))?;
        let saved: Saved = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no saved conversation; /save writes one", path.display()))?;
        self.messages = saved.messages;
        Ok(())
    }
}
