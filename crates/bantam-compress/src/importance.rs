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
        Self { columns: columns.collect() }
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
