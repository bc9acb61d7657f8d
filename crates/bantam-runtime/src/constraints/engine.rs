//! The grammar engine, llguidance: which tokens may come next.

use std::sync::Arc;

use bantam_tokens::TokenBytes;
use llguidance::api::{GrammarWithLexer, StopReason, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory, TokenParser};
use serde_json::{Value, json};

use super::Form;
use crate::sampling::{Constraint, TokenMask};

/// The longest token that the engine takes.
const MOST_TOKEN_BYTES: usize = 1000;
/// What may stand between the parts of JSON: without a bound, a model can go on with spaces for ever.
const WHITESPACE: &str = r"( |\r?\n[ \t]{0,60})";
/// What may come next in one place: objects of thousands of properties that may be left out have as many.
const MOST_CHOICES: usize = 10_000;
/// The parts that the patterns of a form may have before any token, and the parts that one token may add to them. Their number does not
/// bound the time, since a part may be as long as the pattern: with these, a step of `a?a?a?...` takes 0.1 s at most, and a list of 3,000
/// words is taken. The engine's own bounds let it take minutes.
const MOST_PARTS: u64 = 30_000;
const MOST_STEP_PARTS: u64 = 100_000;
/// States that following patterns may come to, of 1 to 2 KB each.
const MOST_STATES: usize = 30_000;
/// Forms are compiled with a stack of their own: one call stands in another for each rule and each schema on the way from the first to the
/// last, and [`MOST_OBJECTS`](super::schema) and [`MOST_BYTES`](super) need a quarter of it at most.
const STACK_BYTES: usize = 256 << 20;

pub(super) struct Engine {
    factory: ParserFactory,
    vocabulary: usize,
    drops_first_space: bool,
    never_first: Arc<[u32]>,
    /// Tokens that are one space.
    spaces: Vec<u32>,
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
        let spaces = (0u32..).zip(&words).filter(|(_, word)| word.as_slice() == b" ").map(|(id, _)| id).collect();
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
        let limits = factory.limits_mut();
        limits.verbose_errors = false;
        limits.max_items_in_row = MOST_CHOICES;
        limits.initial_lexer_fuel = MOST_PARTS;
        limits.step_lexer_fuel = MOST_STEP_PARTS;
        limits.max_lexer_states = MOST_STATES;
        let never_first = bytes.never_first.into();
        Ok(Self { factory, vocabulary, drops_first_space: bytes.drops_first_space, never_first, spaces })
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
        let parser = self.compiled(grammar)?;
        let mut followed = Followed {
            matcher: Matcher::new(Ok(parser)),
            mask: TokenMask::none(self.vocabulary),
            vocabulary: self.vocabulary,
            never_first: Some(Arc::clone(&self.never_first)),
            fault: None,
        };
        self.expect_possible(&mut followed)?;
        Ok(Box::new(followed))
    }

    /// Refuses what no text can meet.
    fn expect_possible(&self, followed: &mut Followed) -> Result<(), String> {
        let mut first = followed.mask().clone();
        if let Some(fault) = &followed.fault {
            return Err(fault.clone());
        }
        // A space that is not part of the text can begin what nothing meets.
        let space = self.spaces.iter().copied().find(|&space| first.allows(space));
        self.spaces.iter().for_each(|&space| first.forbid(space));
        if first.words().iter().any(|&word| word != 0) || followed.matcher.is_accepting().unwrap_or(false) {
            return Ok(());
        }
        let mut after = followed.matcher.clone();
        let goes_on =
            space.is_some_and(|space| after.consume_token(space).and_then(|()| after.compute_mask_or_eos()).is_ok());
        if goes_on { Ok(()) } else { Err(NOTHING_MEETS.to_owned()) }
    }

    fn compiled(&self, grammar: TopLevelGrammar) -> Result<TokenParser, String> {
        let compile = || self.factory.create_parser(grammar).map_err(|error| told(&format!("{error:#}")));
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().name("bantam-form".to_owned()).stack_size(STACK_BYTES);
            let thread = builder
                .spawn_scoped(scope, compile)
                .map_err(|error| format!("the system gives no thread to read it: {error}"))?;
            thread.join().unwrap_or_else(|_| Err("it cannot be read".to_owned()))
        })
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
    let told = error.split("\n<").next().unwrap_or(error);
    let told = told.split("; either increase").next().unwrap_or(told).trim();
    if told == StopReason::NoExtensionBias.to_string() {
        return NOTHING_MEETS.to_owned();
    }
    // It repeats expressions as a whole.
    match told.char_indices().nth(MOST_TOLD) {
        None => told.to_owned(),
        Some((end, _)) => format!("{}...", &told[..end]),
    }
}

/// Characters of what the engine says.
const MOST_TOLD: usize = 300;

const NOTHING_MEETS: &str = "no text that the model's tokens can spell meets it";

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
        // The engine also stops where it has broken, with a text that is not whole.
        matches!(self.matcher.stop_reason(), StopReason::NoExtension | StopReason::EndOfSentence)
    }

    fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}
