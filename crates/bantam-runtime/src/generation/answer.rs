//! One answer under way: how its tokens are chosen, which text became certain, and when it is over.

use super::form::Form;
use super::{Finish, GenerateOptions, LanguageModel};
use crate::sampling::{
    Constraint, LookupOptions, PromptLookup, Sampler, StopStrings, TextStream, TokenMask, top_log_probabilities,
};

/// Tokens that are guessed ahead at most. With the token before them they are multiplied with the weights at once.
pub(super) const DRAFT: usize = 5;

/// What an answer needs from one token to the next. Its past is the caller's.
pub(super) struct Answer {
    sampler: Sampler,
    lookup: PromptLookup,
    stream: TextStream,
    stops: StopStrings,
    form: Option<Form>,
    mask: Option<TokenMask>,
    top_log_probabilities: usize,
    ignores_end: bool,
    /// Tokens so far.
    tokens: usize,
    /// As many as were asked for.
    most: usize,
    /// As many as the model has positions for.
    room: usize,
}

/// A token of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerToken {
    /// Its id.
    pub token: u32,
    /// The text that became certain with it; may be empty.
    pub text: String,
    /// The logarithm of its probability, at most 0.
    pub log_probability: f32,
    /// The likeliest tokens in its place with the logarithms of their probabilities, likeliest first; as many as were asked for.
    pub top: Vec<(u32, f32)>,
}

/// What came next in an answer.
pub(super) struct Next {
    /// `None` where the answer ended without one more.
    pub(super) token: Option<AnswerToken>,
    /// Why it is over, if it is.
    pub(super) finish: Option<Finish>,
}

impl Answer {
    /// The answer to a prompt that was [checked](super::generate::check).
    pub(super) fn new(model: &LanguageModel, prompt: &[u32], options: &GenerateOptions) -> Self {
        let mut sampler = Sampler::new(options.sampling.clone(), options.sampling.seed.unwrap_or(0));
        sampler.see_prompt(prompt);
        let mut lookup = PromptLookup::new(LookupOptions { most_tokens: DRAFT, ..LookupOptions::default() });
        lookup.extend(prompt);
        let stream = match model.tokenizer().filter(|_| options.continues) {
            Some(tokenizer) => TextStream::after(tokenizer, prompt),
            None => TextStream::new(),
        };
        Self {
            sampler,
            lookup,
            stream,
            stops: StopStrings::new(&options.stop),
            form: None,
            mask: None,
            top_log_probabilities: 0,
            ignores_end: options.ignores_end,
            tokens: 0,
            most: options.tokens,
            room: model.max_tokens() - prompt.len(),
        }
    }

    /// The same with a form that it must have, which says how its text begins.
    pub(super) fn constrained(self, constraint: Option<Box<dyn Constraint>>) -> Self {
        match constraint {
            None => self,
            Some(constraint) => Self { form: Some(Form::new(constraint)), stream: TextStream::new(), ..self },
        }
    }

    /// The same with so many of the likeliest tokens told in each place.
    pub(super) fn with_top(self, top_log_probabilities: usize) -> Self {
        Self { top_log_probabilities, ..self }
    }

    /// Tokens so far.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Whether it must have a form.
    pub(super) fn is_constrained(&self) -> bool {
        self.form.is_some()
    }

    /// Why its form lets no token follow.
    pub(super) fn fault(&mut self) -> Option<String> {
        self.form.as_mut().map(Form::fault)
    }

    /// Finds out which tokens the form allows next. That depends on the tokens so far only, so it can be done while the model computes.
    pub(super) fn prepare(&mut self) {
        self.mask = self.form.as_mut().and_then(Form::mask);
    }

    /// Guesses tokens to come, `most` at most, for the model to read in one pass with the last one. What is chosen does not depend on them.
    pub(super) fn draft(&mut self, most: usize) -> Vec<u32> {
        // The answer's last token need not be read.
        let left = self.most.min(self.room).saturating_sub(self.tokens + 1);
        self.lookup.draft(most.min(left)).to_vec()
    }

    /// Chooses tokens by the model's scores after the last token and after each of a draft, `[1 + draft][vocabulary]`, as far as the draft was
    /// right: at least one, and one more than was guessed.
    pub(super) fn choose_all(&mut self, model: &LanguageModel, scores: &[f32], draft: &[u32]) -> Vec<Next> {
        let mut chosen = Vec::new();
        for (index, logits) in scores.chunks_exact(model.vocabulary()).enumerate() {
            let next = self.choose(model, logits);
            let token = next.token.as_ref().map(|token| token.token);
            let goes_on = next.finish.is_none() && token.is_some() && draft.get(index).copied() == token;
            chosen.push(next);
            if !goes_on {
                break;
            }
        }
        if !draft.is_empty() {
            self.lookup.verified(chosen.len() - 1);
        }
        chosen
    }

    /// Chooses the next token by the model's scores, `[vocabulary]`.
    fn choose(&mut self, model: &LanguageModel, logits: &[f32]) -> Next {
        if self.tokens == self.most {
            return Next { token: None, finish: Some(Finish::Length) };
        }
        if self.mask.is_none() {
            self.prepare();
        }
        let mask = self.mask.take();
        let is_broken = mask.is_none() && self.is_constrained();
        let Some(choice) = self.sampler.choose(logits, mask.as_ref()).filter(|_| !is_broken) else {
            return Next { token: None, finish: Some(Finish::Failed) };
        };
        if !self.ignores_end && model.is_end(choice.token) {
            return Next { token: None, finish: Some(Finish::End) };
        }
        let top = match self.top_log_probabilities {
            0 => Vec::new(),
            count => top_log_probabilities(logits, count),
        };
        self.sampler.accept(choice.token);
        self.lookup.extend(&[choice.token]);
        self.tokens += 1;
        let piece = model.tokenizer().map(|tokenizer| self.stream.push(tokenizer, choice.token)).unwrap_or_default();
        let shown = self.stops.push(&piece);
        let is_whole = self.form.as_mut().map_or(Some(false), |form| form.accept(choice.token));
        let finish = match shown.stop {
            Some(stop) => Some(Finish::Stop(stop.index)),
            None if is_whole.is_none() => Some(Finish::Failed),
            None if is_whole == Some(true) => Some(Finish::End),
            None if self.tokens == self.room => Some(Finish::Context),
            None if self.tokens == self.most => Some(Finish::Length),
            None => None,
        };
        let token = AnswerToken { token: choice.token, text: shown.text, log_probability: choice.log_probability, top };
        Next { token: Some(token), finish }
    }

    /// The text that was held back till the end.
    pub(super) fn rest(&mut self, model: &LanguageModel, finish: Finish) -> String {
        if matches!(finish, Finish::Stop(_)) {
            return String::new();
        }
        let rest = model.tokenizer().map(|tokenizer| self.stream.finish(tokenizer)).unwrap_or_default();
        let mut rest = self.stops.push(&rest).text;
        rest.push_str(&self.stops.finish());
        rest
    }
}
