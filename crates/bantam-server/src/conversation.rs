//! A conversation that is to be gone on with: what chats and responses have in common.

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use bantam_runtime::chat::{Message, Tool};
use bantam_runtime::generation::engine::Finished;
use bantam_runtime::generation::{Finish, GenerateOptions};

use crate::answers::{Answers, Asked, Names, ended, expect_fitting, late};
use crate::failure::Failure;
use crate::forms::{Form, ToolUse};
use crate::keys::Caller;
use crate::sampling::of_answer;
use crate::service::{Language, Service};

/// A conversation and how it goes on.
pub(crate) struct Conversation {
    /// What the request calls its parts.
    pub(crate) names: Names,
    pub(crate) messages: Vec<Message>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_use: ToolUse,
    pub(crate) form: Option<Form>,
    pub(crate) options: GenerateOptions,
    /// How many likely tokens are told beside each.
    pub(crate) top: usize,
    /// How many answers are made.
    pub(crate) count: usize,
}

impl Conversation {
    /// Whether an answer calls tools.
    pub(crate) fn tool_use(&self) -> ToolUse {
        if self.tools.is_empty() { ToolUse::Never } else { self.tool_use.clone() }
    }

    /// Asks the model to go on.
    pub(crate) async fn ask(
        mut self,
        service: &Service,
        language: &Arc<Language>,
        caller: Caller,
        deadline: Option<Instant>,
    ) -> Result<Answers, Failure> {
        if let ToolUse::Must(choice) = &self.tool_use {
            self.form = Some(Form::Calls(choice.clone()));
        }
        let (owner, names) = (Arc::clone(language), self.names);
        let asked = service.compute(move || self.asked(&owner)).await??;
        Answers::submit(service, language, asked, names, caller, deadline)
    }

    /// The tokens that the model reads. Long conversations take a while.
    pub(crate) fn prompt(&self, language: &Language) -> Result<Vec<u32>, Failure> {
        let tools: &[Tool] = if self.tool_use() == ToolUse::Never { &[] } else { &self.tools };
        language
            .chat()
            .render(language.tokenizer()?, &self.messages, tools, true)
            .map_err(|error| Failure::field(self.names.text, error.to_string(), "change the messages"))
    }

    fn asked(mut self, language: &Language) -> Result<Vec<Asked>, Failure> {
        let prompt = self.prompt(language)?;
        expect_fitting(&prompt, language, self.names)?;
        self.options.stop.extend(language.chat().stops());
        let asked = |index| {
            let constraint = self.form.as_ref().map(|form| form.constraint(language, &self.tools)).transpose()?;
            Ok(Asked { prompt: prompt.clone(), options: of_answer(&self.options, index), top: self.top, constraint })
        };
        (0..self.count).map(asked).collect()
    }
}

/// Why an answer ended, in OpenAI's words.
///
/// # Errors
/// Where the deadline came before the first token (later it cuts the answer, as a limit of tokens does), and where the
/// answer could not be made.
pub(crate) fn finish_reason(finished: &Finished, calls: bool) -> Result<&'static str, Failure> {
    match finished.finish {
        Finish::Deadline if finished.answer_tokens == 0 => Err(late()),
        Finish::Deadline => Ok("length"),
        Finish::Stopped => Err(ended()),
        Finish::Failed => {
            let message =
                finished.fault.as_deref().unwrap_or("no token can be chosen: the model's scores are no numbers");
            let remedy = "send it again; if that does not help, change the form, or check the model's file";
            Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message, remedy))
        }
        Finish::End | Finish::Stop(_) if calls => Ok("tool_calls"),
        finish => Ok(finish.name()),
    }
}
