//! How much each input column of each weight matters, measured on calibration text.

use std::collections::BTreeMap;

use bantam_model::architectures::TokenPredictor;
use bantam_model::{Activity, Batch, Pass, Weights};

/// Of the mean importance of a weight's columns, what each has at least: a column that calibration never used may be used later.
const LEAST: f32 = 1e-3;

/// Mean squares of what each column of a weight is multiplied by, by the weight's name in files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Importance {
    columns: BTreeMap<String, Vec<f32>>,
}

impl Importance {
    /// Lets a model read texts and notes what its matrices are multiplied by, the head included. `watch` is called after each text and says
    /// whether to go on.
    ///
    /// # Panics
    /// When a text is empty or has a token that is not in the vocabulary.
    pub fn measure(
        model: &dyn TokenPredictor,
        weights: &Weights,
        texts: impl IntoIterator<Item = Vec<u32>>,
        watch: &mut dyn FnMut() -> bool,
    ) -> Self {
        let head = model.head_entry();
        let width = head.shape()[1];
        let (mut activity, mut states, mut tokens) = (Activity::default(), vec![0.0f64; width], 0usize);
        for text in texts {
            let mut pass = Pass::watched(activity);
            let hidden = model.hidden(weights, &Batch::new([&text[..]]), &mut pass);
            let last = model.before_head(weights, hidden.last().expect("there is always the embedding"), &mut pass);
            for row in last.data().chunks_exact(width) {
                states.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(x));
            }
            tokens += text.len();
            activity = pass.into_activity().expect("the pass was made to watch");
            if !watch() {
                break;
            }
        }
        let measured = activity.iter().map(|(matrix, squares)| (weights.schema().matrix_entry(matrix), squares));
        let columns = measured.chain([(head, &states[..])]).flat_map(|(entry, squares)| {
            let means = floored(squares, tokens);
            entry.parts.iter().map(move |part| (part.name.clone(), means.clone()))
        });
        Self::from_columns(columns)
    }

    /// What was measured elsewhere: one positive number for each column of each weight named.
    pub fn from_columns(columns: impl IntoIterator<Item = (String, Vec<f32>)>) -> Self {
        Self { columns: columns.into_iter().collect() }
    }

    /// One number for each column of the weight `name`; `None` where it is only looked up, so that all columns count alike.
    pub fn of(&self, name: &str) -> Option<&[f32]> {
        self.columns.get(name).map(Vec::as_slice)
    }
}

fn floored(squares: &[f64], tokens: usize) -> Vec<f32> {
    let means: Vec<f32> = squares.iter().map(|sum| (sum / tokens.max(1) as f64) as f32).collect();
    let least = LEAST * means.iter().sum::<f32>() / means.len().max(1) as f32;
    means.into_iter().map(|mean| mean.max(least).max(f32::MIN_POSITIVE)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_kernels::gemm::Precision;
    use bantam_model::architectures::Architecture;
    use bantam_model::architectures::llama::{Llama, LlamaConfig};

    #[test]
    fn a_head_is_multiplied_by_the_last_states_and_every_matrix_is_measured() {
        let config = |tie_word_embeddings| LlamaConfig {
            vocab_size: 20,
            hidden_size: 8,
            intermediate_size: 12,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            num_key_value_heads: Some(1),
            head_dim: None,
            max_position_embeddings: 16,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            tie_word_embeddings,
            variant: Default::default(),
        };
        for is_tied in [false, true] {
            let model = Llama::new(config(is_tied));
            let weights = Weights::initialise(model.schema(), 3, Precision::F32);
            let texts = [vec![1, 2, 3], vec![9, 8, 7, 6]];
            let found = Importance::measure(&model, &weights, texts.clone(), &mut || true);
            let head = found.of(if is_tied { "model.embed_tokens.weight" } else { "lm_head.weight" }).unwrap();
            let mut sums = [0.0f64; 8];
            for text in &texts {
                let hidden = model.hidden(&weights, &Batch::new([&text[..]]), &mut Pass::plain());
                for (place, x) in hidden.last().unwrap().data().iter().enumerate() {
                    sums[place % 8] += f64::from(*x).powi(2);
                }
            }
            for (found, sum) in head.iter().zip(sums) {
                assert!((f64::from(*found) / (sum / 7.0) - 1.0).abs() < 1e-5, "{found} and {sum}");
            }
            for entry in model.schema().entries() {
                let is_measured = entry.columns.is_some() && (is_tied || entry.name() != "model.embed_tokens.weight");
                for part in &entry.parts {
                    let columns = found.of(&part.name).map(<[f32]>::len);
                    assert_eq!(columns, is_measured.then(|| entry.shape()[1]), "{}", part.name);
                }
            }
            let stopped = Importance::measure(&model, &weights, texts, &mut || false);
            assert_ne!(stopped, found);
        }
    }
}
