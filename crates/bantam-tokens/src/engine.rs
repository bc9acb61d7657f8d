//! The library's tokenizer around a model of ours: it normalises, splits, finds added tokens and decodes; words become tokens by one of its
//! own models or by [`Pairs`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::{
    AddedToken, DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Result,
    Token, TokenizerImpl,
};

use crate::pairs::Pairs;

/// What encodes and decodes.
pub(crate) type Engine =
    TokenizerImpl<Model, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// What turns words into tokens.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "a tokenizer has one")]
pub(crate) enum Model {
    /// One of the library's.
    Library(ModelWrapper),
    /// Pairs of tokens, in little memory.
    Pairs(Arc<Pairs>),
}

/// The engine that `frame`, a `tokenizer.json` whose BPE has neither tokens nor pairs, describes with these.
pub(crate) fn engine_of_pairs(pairs: Pairs, frame: &Value) -> std::result::Result<Engine, String> {
    let mut frame = frame.clone();
    // Added tokens are counted from the end of a vocabulary, which is not there yet.
    let added = std::mem::replace(&mut frame["added_tokens"], json!([]));
    let mut engine: Engine = serde_json::from_value(frame).map_err(|fault| fault.to_string())?;
    engine.with_model(Model::Pairs(Arc::new(pairs)));
    let added: Vec<AddedToken> = match added {
        Value::Null => Vec::new(),
        added => serde_json::from_value(added).map_err(|fault| fault.to_string())?,
    };
    engine.add_tokens(added).map_err(|fault| fault.to_string())?;
    Ok(engine)
}

impl Model {
    /// In the library's form.
    fn to_library(&self) -> ModelWrapper {
        match self {
            Model::Library(model) => model.clone(),
            Model::Pairs(pairs) => pairs.to_library().into(),
        }
    }
}

impl tokenizers::Model for Model {
    type Trainer = TrainerWrapper;

    fn tokenize(&self, sequence: &str) -> Result<Vec<Token>> {
        match self {
            Model::Library(model) => model.tokenize(sequence),
            Model::Pairs(pairs) => Ok(pairs.encode(sequence)),
        }
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        match self {
            Model::Library(model) => model.token_to_id(token),
            Model::Pairs(pairs) => pairs.id(token),
        }
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        match self {
            Model::Library(model) => model.id_to_token(id),
            Model::Pairs(pairs) => pairs.spelling(id).map(str::to_owned),
        }
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        match self {
            Model::Library(model) => model.get_vocab(),
            Model::Pairs(pairs) => pairs.to_library().get_vocab(),
        }
    }

    fn get_vocab_size(&self) -> usize {
        match self {
            Model::Library(model) => model.get_vocab_size(),
            Model::Pairs(pairs) => pairs.len(),
        }
    }

    fn save(&self, folder: &Path, prefix: Option<&str>) -> Result<Vec<PathBuf>> {
        self.to_library().save(folder, prefix)
    }

    fn get_trainer(&self) -> TrainerWrapper {
        self.to_library().get_trainer()
    }
}

impl Serialize for Model {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Model::Library(model) => model.serialize(serializer),
            Model::Pairs(pairs) => pairs.to_library().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        ModelWrapper::deserialize(deserializer).map(Model::Library)
    }
}
