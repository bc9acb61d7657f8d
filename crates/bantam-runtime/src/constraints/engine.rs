//! The grammar engine, llguidance: which tokens may come next.

use std::sync::Arc;

use bantam_tokens::TokenBytes;
use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use super::Form;
use crate::sampling::{Constraint, TokenMask};

/// The longest token that the engine takes.
const MOST_TOKEN_BYTES: usize = 1000;
/// What may stand between the parts of JSON: without a bound, a model can go on with spaces for ever.
const WHITESPACE: &str = r"( |\r?\n[ \t]{0,60})";

pub(super) struct Engine {
    factory: ParserFactory,
    vocabulary: usize,
    drops_first_space: bool,
    never_first: Arc<[u32]>,
}

impl Engine {
    pub(super) fn new(
        bytes: TokenBytes,
        special: &[(String, u32)],
        ends: &[u32],
        vocabulary: usize,
    ) -> Result<Self, String> {
        // Bytes that are no text in any place are the engine's mark for special tokens.
        let is_text =
            |token: &Vec<u8>| token.len() <= MOST_TOKEN_BYTES && !token.contains(&TokTrie::SPECIAL_TOKEN_MARKER);
        let mut words: Vec<Vec<u8>> =
            bytes.tokens.into_iter().map(|token| token.filter(is_text).unwrap_or_default()).collect();
        words.resize(words.len().max(vocabulary), Vec::new());
        for (spelling, id) in special {
            words[*id as usize] = [&[TokTrie::SPECIAL_TOKEN_MARKER], spelling.as_bytes()].concat();
        }
        // The engine needs an end; where the model has none, this one is beyond all that can be chosen.
        let mut ends: Vec<u32> = ends.iter().copied().filter(|&end| (end as usize) < vocabulary).collect();
        if ends.is_empty() {
            ends.push(words.len() as u32);
            words.push(Vec::new());
        }
        let trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, ends[0]), &words).with_eos_tokens(&ends);
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new_simple(&environment).map_err(|error| format!("{error:#}"))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        let never_first = bytes.never_first.into();
        Ok(Self { factory, vocabulary, drops_first_space: bytes.drops_first_space, never_first })
    }

    /// Follows one answer of a form.
    pub(super) fn follow(&self, form: Form) -> Result<Box<dyn Constraint>, String> {
        let form = match form {
            Form::Schema(schema) => GrammarWithLexer::from_json_schema(with_whitespace(schema)),
            Form::Regex(expression) => GrammarWithLexer::from_regex(&expression),
            Form::Grammar(lark) => GrammarWithLexer::from_lark(lark),
        };
        let grammar = if self.drops_first_space {
            // The space that begins the first token is not part of the text.
            let spaced = GrammarWithLexer::from_lark("start: \" \"? @answer".to_owned());
            let form = GrammarWithLexer { name: Some("answer".to_owned()), ..form };
            TopLevelGrammar { grammars: vec![spaced, form], max_tokens: None }
        } else {
            TopLevelGrammar::from_grammar(form)
        };
        let parser = self.factory.create_parser(grammar).map_err(|error| told(&format!("{error:#}")))?;
        let mut followed = Followed {
            matcher: Matcher::new(Ok(parser)),
            mask: TokenMask::none(self.vocabulary),
            vocabulary: self.vocabulary,
            never_first: Some(Arc::clone(&self.never_first)),
            fault: None,
        };
        let is_empty = followed.mask().words().iter().all(|&word| word == 0);
        if let Some(fault) = followed.fault {
            return Err(fault);
        }
        if is_empty && !followed.matcher.is_accepting().unwrap_or(false) {
            return Err("no text that the model's tokens can spell meets it".to_owned());
        }
        Ok(Box::new(followed))
    }
}

/// A schema with what may stand between the parts of its JSON.
pub(super) fn with_whitespace(mut schema: Value) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("x-guidance".to_owned(), json!({"whitespace_pattern": WHITESPACE}));
    }
    schema
}

/// What the engine says, without its inner state.
fn told(error: &str) -> String {
    error.split("\n<").next().unwrap_or(error).trim().to_owned()
}

/// One answer and its form.
struct Followed {
    matcher: Matcher,
    mask: TokenMask,
    vocabulary: usize,
    /// Tokens that cannot begin an answer, until it has begun.
    never_first: Option<Arc<[u32]>>,
    fault: Option<String>,
}

impl Constraint for Followed {
    fn mask(&mut self) -> &TokenMask {
        let words = self.mask.words_mut();
        words.fill(0);
        match self.matcher.compute_mask_or_eos() {
            Ok(found) => {
                words.iter_mut().zip(found.as_slice()).for_each(|(word, found)| *word = *found);
                let beyond = self.vocabulary % 32;
                if let Some(last) = words.last_mut().filter(|_| beyond != 0) {
                    *last &= (1 << beyond) - 1;
                }
            }
            Err(error) => self.fault = Some(told(&error.to_string())),
        }
        for &token in self.never_first.iter().flat_map(|tokens| tokens.iter()) {
            self.mask.forbid(token);
        }
        &self.mask
    }

    fn accept(&mut self, token: u32) {
        self.never_first = None;
        if let Err(error) = self.matcher.consume_token(token) {
            self.fault = Some(told(&error.to_string()));
        }
    }

    fn is_done(&self) -> bool {
        self.matcher.is_stopped()
    }

    fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}
