//! In what the families that are built like Llama differ from it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rotary_scaling::RotaryScaling;

/// A family of decoders that are built like Llama: `model_type` of `config.json`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LlamaFamily {
    /// Llama and what takes its name, such as SmolLM2 (Touvron et al. 2023).
    #[default]
    Llama,
    /// Llama with another tokenizer, and in its first version with a window (Jiang et al. 2023).
    Mistral,
    /// Qwen2 and Qwen2.5: queries, keys and values have biases (Yang et al. 2024).
    Qwen2,
    /// Qwen3: each head of queries and keys is normalised before it is turned (Yang et al. 2025).
    Qwen3,
}

impl LlamaFamily {
    const ALL: [Self; 4] = [Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3];

    /// The family that a `config.json` names, where it is one of these.
    pub fn of(config: &Value) -> Option<Self> {
        let name = config.get("model_type")?.as_str()?;
        Self::ALL.into_iter().find(|family| family.name() == name)
    }

    /// `model_type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// The class in `transformers`.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }

    /// Whether queries, keys and values have biases.
    pub(crate) fn has_biases(self) -> bool {
        self == Self::Qwen2
    }

    /// Whether each head of queries and keys is normalised.
    pub(crate) fn has_head_norms(self) -> bool {
        self == Self::Qwen3
    }
}

/// What a config says beyond the sizes of a Llama.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LlamaVariant {
    /// The family.
    #[serde(default, rename = "model_type")]
    pub family: LlamaFamily,
    /// How rotary positions are slowed down; plain ones when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RotaryScaling>,
    /// How many tokens a token sees, itself included; all when absent. Longer texts than that are not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding_window: Option<usize>,
}
