//! The tokens and pairs of a BPE, given to the engine as they are: as JSON they would take several times their memory, and most of the time that
//! a model takes to load.

use serde_json::{Value, json};
use tokenizers::AddedToken;
use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::tokenizer::Tokenizer as Engine;

/// What a BPE joins.
pub(crate) struct Pairs {
    /// Ids by spelling.
    pub(crate) vocabulary: Vocab,
    /// Pairs of tokens that are joined, the earliest first.
    pub(crate) merges: Vec<(String, String)>,
}

impl Pairs {
    /// Ids by place; an error where a spelling is there twice.
    pub(crate) fn new(tokens: Vec<String>, merges: Vec<(String, String)>) -> Result<Self, String> {
        let mut vocabulary = Vocab::with_capacity(tokens.len());
        for (id, token) in tokens.into_iter().enumerate() {
            if let Some(before) = vocabulary.get(&token) {
                return Err(format!("tokens {before} and {id} are both spelled {token:?}"));
            }
            vocabulary.insert(token, id as u32);
        }
        let unknown = merges.iter().find(|(left, right)| !vocabulary.contains_key(&format!("{left}{right}")));
        match unknown {
            Some((left, right)) => Err(format!("the pair {left:?} {right:?} makes no token of the vocabulary")),
            None => Ok(Self { vocabulary, merges }),
        }
    }

    /// The engine that `frame`, a `tokenizer.json` whose BPE has neither tokens nor pairs, describes with these.
    pub(crate) fn into_engine(self, frame: &Value) -> Result<Engine, String> {
        let mut frame = frame.clone();
        // Added tokens are counted from the end of a vocabulary, which is not there yet.
        let added = std::mem::replace(&mut frame["added_tokens"], json!([]));
        let bytes = serde_json::to_vec(&frame).map_err(|fault| fault.to_string())?;
        let mut engine = Engine::from_bytes(bytes).map_err(|fault| fault.to_string())?;
        let ModelWrapper::BPE(empty) = engine.get_model() else { return Err("model.type is not BPE".into()) };
        let mut builder = BPE::builder()
            .vocab_and_merges(self.vocabulary, self.merges)
            .fuse_unk(empty.fuse_unk)
            .byte_fallback(empty.byte_fallback)
            .ignore_merges(empty.ignore_merges);
        if let Some(unknown) = &empty.unk_token {
            builder = builder.unk_token(unknown.clone());
        }
        let model = builder.build().map_err(|fault| fault.to_string())?;
        engine.with_model(model);
        let added: Vec<AddedToken> = match added {
            Value::Null => Vec::new(),
            added => serde_json::from_value(added).map_err(|fault| fault.to_string())?,
        };
        engine.add_tokens(added).map_err(|fault| fault.to_string())?;
        Ok(engine)
    }
}
