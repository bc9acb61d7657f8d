//! A decoder that is ready to answer.

use std::ops::Range;

use bantam_kernels::attention::PastFormat;
use bantam_kernels::gemm::PackedFormat;
use bantam_kernels::gemm::grouped::Bits;
use bantam_model::architectures::TokenPredictor;
use bantam_model::schema::{Entry, Kind};
use bantam_model::{Batch, Pass, Past, Weights};
use bantam_tensor::{Matrix, Tensor};
use bantam_tokens::Tokenizer;

use crate::chat::{ChatFormat, ENDS};

/// Tokens of a prompt that are read at once: enough to use each weight many times, few enough for the caches.
pub(super) const CHUNK: usize = 512;

/// What the weights are held as while a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFormat {
    /// 32 bits: as exact as it gets.
    F32,
    /// 16 bits.
    Bf16,
    /// 8 bits in groups of 32 with a scale each: 8.5 bits per weight.
    Int8,
    /// 4 bits in groups of 32 with a scale each: 4.5 bits per weight.
    Int4,
}

/// A decoder, its weights, and its tokenizer where it has one.
pub struct LanguageModel {
    architecture: Box<dyn TokenPredictor>,
    weights: Weights,
    head: Matrix,
    past_format: PastFormat,
    reads_prompts_apart: bool,
    tokenizer: Option<Tokenizer>,
    ends: Vec<u32>,
    chat_format: ChatFormat,
}

impl LanguageModel {
    /// Puts the weights into a format. A head that is tied to the token table shares its numbers.
    pub fn new(
        architecture: Box<dyn TokenPredictor>,
        weights: &Weights,
        tokenizer: Option<Tokenizer>,
        format: WeightFormat,
    ) -> Self {
        // Weights that are not rounded deserve a past that is rounded less.
        let past_format = if format == WeightFormat::F32 { PastFormat::F16 } else { PastFormat::fastest() };
        let weights = match format {
            WeightFormat::F32 => weights.packed(PackedFormat::F32),
            WeightFormat::Bf16 => weights.packed(PackedFormat::Bf16),
            WeightFormat::Int8 => weights.grouped(Bits::Eight),
            WeightFormat::Int4 => weights.grouped(Bits::Four),
        };
        let head = architecture.head(&weights);
        let ends = tokenizer.as_ref().map(usual_ends).unwrap_or_default();
        Self {
            architecture,
            head,
            past_format,
            reads_prompts_apart: weights.reads_prompts_apart(),
            weights,
            tokenizer,
            ends,
            chat_format: ChatFormat::plain(),
        }
    }

    /// The model with what its files say about conversations: the chat template, and tokens that end answers beside
    /// those that are known by their spelling. A broken template shows when it is used.
    #[must_use]
    pub fn with_chat(mut self, template: Option<&str>, ends: &[u32]) -> Self {
        self.ends.extend(ends.iter().copied().filter(|&end| (end as usize) < self.architecture.vocabulary()));
        self.ends.sort_unstable();
        self.ends.dedup();
        if let (Some(template), Some(tokenizer)) = (template, &self.tokenizer) {
            self.chat_format = ChatFormat::new(template, tokenizer).unwrap_or_else(ChatFormat::broken);
        }
        self
    }

    /// The model with pasts in this format, whatever suits its weights.
    #[must_use]
    pub fn with_past(self, past_format: PastFormat) -> Self {
        Self { past_format, ..self }
    }

    /// How conversations are put into tokens.
    pub fn chat_format(&self) -> &ChatFormat {
        &self.chat_format
    }

    /// The tokens that end an answer, by rising id.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// Whether a token ends an answer.
    pub fn is_end(&self, token: u32) -> bool {
        self.ends.binary_search(&token).is_ok()
    }

    /// The tokenizer, which a file of bare weights lacks.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_ref()
    }

    /// Rows of the token table.
    pub fn vocabulary(&self) -> usize {
        self.architecture.vocabulary()
    }

    /// The most tokens of a text, prompt and answer together.
    pub fn max_tokens(&self) -> usize {
        self.architecture.max_tokens()
    }

    /// Bytes of weights that one token reads: all, but of the token table one row where that is not the head too.
    pub fn bytes(&self) -> usize {
        self.weights.bytes()
    }

    /// What the numbers of its matrices are stored as; see [`Matrix::number_type`].
    pub fn number_type(&self) -> &'static str {
        self.weights.number_type()
    }

    /// Numbers that were learnt.
    pub fn parameters(&self) -> usize {
        self.architecture.schema().entries().iter().map(Entry::len).sum()
    }

    /// Multiply-adds with weights for a token that is read, and how many more for one whose followers are scored: by the head, which is the
    /// table of tokens where there is no matrix for it.
    pub fn products(&self) -> [usize; 2] {
        let entries = self.architecture.schema().entries();
        let table = entries.iter().find(|entry| entry.kind == Kind::Table);
        let is_head = |entry: &Entry| table.is_some_and(|table| table.parts[0].rows == entry.parts[0].rows);
        let matrices = entries.iter().filter(|entry| entry.kind == Kind::Matrix);
        let (heads, layers): (Vec<&Entry>, Vec<&Entry>) = matrices.partition(|entry| is_head(entry));
        let head = heads.first().copied().or(table);
        [layers.into_iter().map(Entry::len).sum(), head.map_or(0, Entry::len)]
    }

    /// A past of no tokens, in the format that suits the weights, or that was asked for.
    pub fn past(&self) -> Past {
        Past::in_format(self.past_format)
    }

    /// Bytes of past that each [`Past::BLOCK`] tokens of a text take; one token is read to see it.
    pub fn past_block_bytes(&self) -> usize {
        self.advance(vec![self.past()], &[&[0]], &[0], 0).1.iter().map(Past::bytes).sum()
    }

    /// Whether prompts are read by faster products than answers, with other bits: then a past that is shared ends with its prompt.
    pub fn reads_prompts_apart(&self) -> bool {
        self.reads_prompts_apart
    }

    /// A pass whose tokens are of prompts from a row on.
    fn pass(&self, pasts: Vec<Past>, first_prompt_row: usize) -> Pass {
        let pass = Pass::continuing(pasts);
        if self.reads_prompts_apart { pass.reading_from(first_prompt_row) } else { pass }
    }

    /// Reads the next tokens of each answer and scores what may follow the last: `[texts, vocabulary]`.
    ///
    /// # Panics
    /// When a text has no new token, or one that is not in the vocabulary.
    pub fn next(&self, pasts: Vec<Past>, texts: &[&[u32]]) -> (Tensor, Vec<Past>) {
        self.advance(pasts, texts, &vec![1; texts.len()], 0)
    }

    /// Reads the next tokens of each text and scores what may follow the last of them, as many as `scored` says of each text, in their order:
    /// `[scored tokens, vocabulary]`. The tokens of the last `prompts` texts are of prompts, the others' of answers. A text's numbers do not depend
    /// on the texts beside it, nor on the pieces that it is read in.
    ///
    /// # Panics
    /// As [`LanguageModel::next`], and when more tokens of a text are scored than are read.
    pub fn advance(&self, pasts: Vec<Past>, texts: &[&[u32]], scored: &[usize], prompts: usize) -> (Tensor, Vec<Past>) {
        let batch = Batch::continuing(pasts.iter().map(Past::tokens).zip(texts.iter().copied()));
        let mut pass = self.pass(pasts, batch.starts()[texts.len() - prompts]);
        let states = self.architecture.hidden(&self.weights, &batch, &mut pass);
        let states = states.last().expect("there is always the embedding");
        let (width, count) = (states.width(), scored.iter().sum());
        if count == 0 {
            return (Tensor::from_vec([0, self.vocabulary()], &[]), pass.into_pasts());
        }
        let ends = batch.starts()[1..].iter().zip(scored);
        let rows = ends.flat_map(|(end, scored)| &states.data()[(end - scored) * width..end * width]);
        let last = Tensor::from_vec([count, width], &rows.copied().collect::<Vec<_>>());
        let last = self.architecture.before_head(&self.weights, &last, &mut pass);
        (last.linear(&self.head, None), pass.into_pasts())
    }

    /// Reads a prompt in pieces and scores what may follow: `[vocabulary]`. `None` when `is_stopped` says so between two pieces.
    ///
    /// # Panics
    /// As [`LanguageModel::next`].
    pub fn read(&self, past: Past, text: &[u32], is_stopped: &dyn Fn() -> bool) -> Option<(Vec<f32>, Past)> {
        let mut pasts = vec![past];
        let (first, rest) = text.split_at((text.len() - 1) / CHUNK * CHUNK);
        for piece in first.chunks(CHUNK) {
            pasts = self.advance(pasts, &[piece], &[0], 1).1;
            if is_stopped() {
                return None;
            }
        }
        let (logits, mut pasts) = self.advance(pasts, &[rest], &[1], 1);
        Some((logits.data().to_vec(), pasts.remove(0)))
    }

    /// The mean of the states that the head would multiply, over all tokens of a text, `[width]`: what the model makes of the text as a
    /// whole. The text is read in pieces.
    ///
    /// # Panics
    /// As [`LanguageModel::next`], and for a text without token.
    pub fn mean_state(&self, text: &[u32]) -> Vec<f32> {
        let (mut pasts, mut sum) = (vec![self.past()], Vec::new());
        for piece in text.chunks(CHUNK) {
            let batch = Batch::continuing(pasts.iter().map(Past::tokens).zip([piece]));
            let mut pass = self.pass(pasts, 0);
            let states = self.architecture.hidden(&self.weights, &batch, &mut pass);
            let states = states.last().expect("there is always the embedding");
            sum.resize(states.width(), 0.0);
            for row in states.data().chunks(states.width()) {
                sum.iter_mut().zip(row).for_each(|(sum, state)| *sum += state);
            }
            pasts = pass.into_pasts();
        }
        sum.iter().map(|sum| sum / text.len() as f32).collect()
    }

    /// Reads a text anew, as an answer: the state of each token that [`LanguageModel::scores`] takes, `[tokens, width]`. Keys and values are rounded to half
    /// precision on every machine, so that what is measured with them can be compared, unless they are kept in 8 bits.
    ///
    /// # Panics
    /// As [`LanguageModel::next`].
    pub fn states(&self, text: &[u32]) -> Tensor {
        let format = if self.past_format == PastFormat::Int8 { PastFormat::Int8 } else { PastFormat::F16 };
        let mut pass = Pass::continuing(vec![Past::in_format(format)]);
        let states = self.architecture.hidden(&self.weights, &Batch::new([text]), &mut pass);
        let last = states.last().expect("there is always the embedding");
        self.architecture.before_head(&self.weights, last, &mut pass)
    }

    /// Scores what may follow some of the tokens that [`LanguageModel::states`] read: `[tokens, vocabulary]`.
    pub fn scores(&self, states: &Tensor, tokens: Range<usize>) -> Tensor {
        let width = states.width();
        let rows = &states.data()[tokens.start * width..tokens.end * width];
        Tensor::from_vec([tokens.len(), width], rows).linear(&self.head, None)
    }
}

/// The tokenizer's own end, and special tokens with spellings that end answers everywhere.
fn usual_ends(tokenizer: &Tokenizer) -> Vec<u32> {
    let spelled = tokenizer.added_tokens().into_iter().filter(|token| token.is_special);
    let spelled = spelled.filter(|token| ENDS.contains(&token.spelling.as_str())).map(|token| token.id);
    let mut ends: Vec<u32> = tokenizer.special().end.into_iter().chain(spelled).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

#[cfg(test)]
mod tests {
    use bantam_kernels::gemm::Precision;
    use bantam_model::architectures::Architecture;
    use bantam_model::architectures::llama::{Llama, LlamaConfig};

    use super::*;

    #[test]
    fn products_are_those_counted_by_hand() {
        for tie_word_embeddings in [false, true] {
            let llama = Llama::new(LlamaConfig {
                vocab_size: 500,
                hidden_size: 96,
                intermediate_size: 200,
                num_hidden_layers: 3,
                num_attention_heads: 6,
                num_key_value_heads: Some(2),
                head_dim: None,
                max_position_embeddings: 8,
                rms_norm_eps: 1e-5,
                rope_theta: 10_000.0,
                tie_word_embeddings,
                variant: Default::default(),
            });
            let weights = Weights::initialise(llama.schema(), 3, Precision::F32);
            let model = LanguageModel::new(Box::new(llama), &weights, None, WeightFormat::F32);
            // Queries and output of 6 heads, keys and values of 2, and three matrices of 200 channels.
            let layer = 96 * 16 * (6 + 2 + 2 + 6) + 3 * 96 * 200;
            assert_eq!(model.products(), [3 * layer, 96 * 500]);
        }
    }
}
