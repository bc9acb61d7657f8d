//! A small language model as files, for tests that serve it: it chats, calls tools, and knows nothing.

use std::path::Path;

use bantam_kernels::gemm::Precision;
use bantam_model::Weights;
use bantam_model::architectures::Architecture;
use bantam_model::architectures::llama::{Llama, LlamaConfig};
use bantam_model::folder::write_predictor;
use bantam_runtime::sample;
use bantam_tensor::Tensor;
use bantam_tokens::{Kind, SpecialTokens, Tokenizer, TrainOptions};

/// Positions of the language model.
pub(crate) const POSITIONS: usize = 32_768;

const END: &str = "<|im_end|>";
const TEMPLATE: &str = r#"{%- if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}Call one as <tool_call>{"name": ..., "arguments": ...}</tool_call>.<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"#;

/// Writes a Hugging Face folder. Its weights are random, and large enough that each token depends on all before it; it hardly ever ends
/// an answer by itself.
pub(crate) fn write_language_model(folder: &Path) {
    let extra = ["<|im_start|>", END].map(str::to_owned).to_vec();
    let special = SpecialTokens { extra, ..SpecialTokens::decoder() };
    let options = TrainOptions { vocabulary: 330, min_frequency: 1, special, ..TrainOptions::default() };
    let tokenizer = Tokenizer::train(Kind::Bpe, sample::TEXTS, &options).expect("the texts train a tokenizer");
    let llama = Llama::new(LlamaConfig {
        vocab_size: tokenizer.vocabulary_size(),
        hidden_size: 64,
        intermediate_size: 96,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        head_dim: None,
        max_position_embeddings: POSITIONS,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: false,
        variant: Default::default(),
    });
    let mut weights = Weights::initialise(llama.schema(), 3, Precision::F32);
    let added = tokenizer.added_tokens();
    for (entry, tensor) in weights.tensors_mut().filter(|(entry, _)| !entry.name().contains("norm")) {
        let is_head = entry.name() == "lm_head.weight";
        let mut numbers = tensor.scale(if is_head { 16.0 } else { 8.0 }).data().to_vec();
        if is_head {
            // The scores of special tokens are 0, far below the highest.
            let width = tensor.width();
            added.iter().for_each(|token| numbers[token.id as usize * width..][..width].fill(0.0));
        }
        *tensor = Tensor::from_vec(tensor.shape(), &numbers);
    }
    let end = added.iter().find(|token| token.spelling == END).expect("it was named").id;
    write_predictor(folder, &llama.config(), &weights.to_arrays(), &tokenizer, Some(TEMPLATE), &[end])
        .expect("the folder can be written");
}
