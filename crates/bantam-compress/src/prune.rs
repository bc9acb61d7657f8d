//! Structured pruning by activation importance (Minitron, Muralidharan et al. 2024): what is used least on calibration
//! data goes first.

use bantam_model::architectures::{Classifier, Prunable, Sizes};
use bantam_model::arrays::Arrays;
use bantam_model::schema::Schema;
use bantam_model::{Activity, Batch, Pass, Weights};

use crate::cut::{Cut, cut};

/// How much of a model stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PruneTarget {
    /// Layers that stay.
    pub layers: usize,
    /// Heads that stay in each layer.
    pub heads: usize,
    /// Feed-forward channels that stay in each layer.
    pub channels: usize,
}

/// A pruned model: its architecture and the arrays that fit it.
pub struct Pruned {
    /// What is left of the architecture.
    pub architecture: Box<dyn Classifier>,
    /// What is left of the numbers.
    pub arrays: Arrays,
    /// Which layers stayed.
    pub layers: Vec<usize>,
}

/// Why a model cannot be cut to a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot prune to {wanted} {what}: the model has {has}; choose from 1 to {has}")]
pub struct PruneError {
    /// What is counted.
    pub what: &'static str,
    /// How many were to stay.
    pub wanted: usize,
    /// How many there are.
    pub has: usize,
}

/// Cuts `model` to `target`, keeping what `calibration` uses most.
///
/// # Errors
/// When the target asks for more than there is, or for nothing.
pub fn prune(
    model: &dyn Classifier,
    weights: &Weights,
    calibration: &[Batch],
    target: PruneTarget,
) -> Result<Pruned, PruneError> {
    let (activity, influence) = measure(model, weights, calibration);
    let parts = model.prunable();
    let columns = |layer: &Prunable, id| {
        activity.squares(id).map_or_else(|| panic!("{} never ran", layer.layer), <[f64]>::to_vec)
    };
    let heads: Vec<Vec<f64>> = parts
        .iter()
        .map(|part| columns(part, part.heads).chunks(part.head_dim).map(|head| head.iter().sum()).collect())
        .collect();
    let channels: Vec<Vec<f64>> = parts.iter().map(|part| columns(part, part.channels)).collect();
    let check = |what, wanted: usize, has: usize| {
        if (1..=has).contains(&wanted) { Ok(()) } else { Err(PruneError { what, wanted, has }) }
    };
    check("layers", target.layers, parts.len())?;
    check("heads", target.heads, heads.iter().map(Vec::len).min().unwrap_or(0))?;
    check("channels", target.channels, channels.iter().map(Vec::len).min().unwrap_or(0))?;

    // The first layer reads the embedding as no other does, and has no norm of its own: it always stays.
    let mut rank = influence;
    rank[0] = f64::INFINITY;
    let layers = strongest(&rank, target.layers);
    let mut kept = Cut::new();
    for (index, part) in parts.iter().enumerate() {
        let head_rows: Vec<usize> = strongest(&heads[index], target.heads)
            .into_iter()
            .flat_map(|head| head * part.head_dim..(head + 1) * part.head_dim)
            .collect();
        let all_rows = heads[index].len() * part.head_dim;
        let stacked = |rows: &[usize], total: usize, copies: usize| -> Vec<usize> {
            (0..copies).flat_map(|copy| rows.iter().map(move |row| copy * total + row)).collect()
        };
        let bent = strongest(&channels[index], target.channels);
        kept.insert(format!("{}.query_key_value", part.layer), stacked(&head_rows, all_rows, 3));
        kept.insert(format!("{}.kv_heads", part.layer), head_rows.clone());
        kept.insert(format!("{}.heads", part.layer), head_rows);
        kept.insert(format!("{}.gate_and_up", part.layer), stacked(&bent, channels[index].len(), 2));
        kept.insert(format!("{}.channels", part.layer), bent);
    }
    let arrays = keep_layers(&cut(model.schema(), &weights.to_arrays(), &kept), &layers);
    let sizes = Sizes {
        vocabulary: model.vocabulary(),
        layers: layers.clone(),
        heads: target.heads,
        channels: target.channels,
    };
    let architecture = model.resized(&sizes);
    debug_assert!(fits(architecture.schema(), &arrays), "pruned arrays must fit the pruned architecture");
    Ok(Pruned { architecture, arrays, layers })
}

/// How much each layer changes what passes through it: one minus the cosine between its input and its output, averaged
/// over the tokens of `calibration` (block influence of ShortGPT, Men et al. 2024).
pub fn importance_of_layers(model: &dyn Classifier, weights: &Weights, calibration: &[Batch]) -> Vec<f64> {
    measure(model, weights, calibration).1
}

fn measure(model: &dyn Classifier, weights: &Weights, calibration: &[Batch]) -> (Activity, Vec<f64>) {
    let count = model.prunable().len();
    let (mut activity, mut changes, mut tokens) = (Activity::default(), vec![0.0; count], 0);
    for batch in calibration {
        let mut pass = Pass::watched(activity);
        let states = model.classify(weights, batch, &mut pass).hidden;
        activity = pass.into_activity().expect("the pass was made to watch");
        for (change, pair) in changes.iter_mut().zip(states.windows(2)) {
            let width = pair[0].width();
            let rows = pair[0].data().chunks(width).zip(pair[1].data().chunks(width));
            *change += rows.map(|(before, after)| 1.0 - cosine(before, after)).sum::<f64>();
        }
        tokens += batch.tokens().len();
    }
    changes.iter_mut().for_each(|change| *change /= tokens.max(1) as f64);
    (activity, changes)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}

/// The `count` highest, in their old order; the earlier wins a tie.
fn strongest(scores: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    order.truncate(count);
    order.sort_unstable();
    order
}

/// Drops the arrays of other layers and renumbers what is left.
fn keep_layers(arrays: &Arrays, layers: &[usize]) -> Arrays {
    let renamed = |name: &str| -> Option<String> {
        let mut parts: Vec<&str> = name.split('.').collect();
        let Some(place) = parts.iter().position(|&part| part == "layers" || part == "layer") else {
            return Some(name.to_owned());
        };
        let old: usize = parts.get(place + 1)?.parse().ok()?;
        let new = layers.iter().position(|&layer| layer == old)?.to_string();
        parts[place + 1] = &new;
        Some(parts.join("."))
    };
    arrays.iter().filter_map(|(name, array)| Some((renamed(name)?, array.clone()))).collect()
}

fn fits(schema: &Schema, arrays: &Arrays) -> bool {
    schema.entries().iter().all(|entry| {
        entry.parts.iter().all(|part| arrays.get(&part.name).is_some_and(|array| array.shape == entry.part_shape(part)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_kernels::gemm::Precision;
    use bantam_model::architectures::Architecture;
    use bantam_model::architectures::encoder::{Encoder, EncoderConfig};
    use bantam_model::layers::Pooling;

    fn encoder() -> Encoder {
        Encoder::new(EncoderConfig {
            vocab_size: 20,
            hidden_size: 16,
            intermediate_size: 12,
            num_hidden_layers: 3,
            num_attention_heads: 4,
            head_dim: None,
            max_position_embeddings: 8,
            global_rope_theta: 10_000.0,
            norm_eps: 1e-5,
            classifier_pooling: Pooling::Mean,
            num_labels: 3,
            features: None,
            windows: None,
        })
    }

    fn batch() -> Batch {
        Batch::new([&[1, 2, 3, 4][..], &[5, 6], &[7, 8, 9]])
    }

    fn logits(model: &dyn Classifier, weights: &Weights) -> Vec<f32> {
        model.classify(weights, &batch(), &mut Pass::plain()).logits.data().to_vec()
    }

    /// Heads and channels whose outgoing weights are zero change nothing, so cutting exactly them must change nothing.
    #[test]
    fn cutting_what_is_never_used_leaves_the_answers_alone() {
        let model = encoder();
        let mut arrays = Weights::initialise(model.schema(), 5, Precision::F32).to_arrays();
        for layer in 0..3 {
            // Silence the values of head 2 and the gate of channels 3 and 7: then nothing leaves them.
            let qkv = arrays.get_mut(&format!("model.layers.{layer}.attn.Wqkv.weight")).unwrap();
            let bantam_model::arrays::Values::F32(values) = &mut qkv.values else { unreachable!() };
            values[(32 + 8) * 16..(32 + 12) * 16].fill(0.0);
            let wide = arrays.get_mut(&format!("model.layers.{layer}.mlp.Wi.weight")).unwrap();
            let bantam_model::arrays::Values::F32(values) = &mut wide.values else { unreachable!() };
            for channel in [3, 7] {
                values[channel * 16..(channel + 1) * 16].fill(0.0);
            }
        }
        let weights = Weights::from_arrays(model.schema(), &arrays, Precision::F32).unwrap();
        let target = PruneTarget { layers: 3, heads: 3, channels: 10 };
        let pruned = prune(&model, &weights, &[batch()], target).unwrap();
        let left = Weights::from_arrays(pruned.architecture.schema(), &pruned.arrays, Precision::F32).unwrap();
        assert!(left.schema().parameters() < weights.schema().parameters());
        for (before, after) in logits(&model, &weights).iter().zip(logits(pruned.architecture.as_ref(), &left)) {
            assert!((before - after).abs() < 1e-5, "{before} became {after}");
        }
    }

    #[test]
    fn layers_are_dropped_and_renumbered_and_the_first_stays() {
        let model = encoder();
        let weights = Weights::initialise(model.schema(), 5, Precision::F32);
        let pruned = prune(&model, &weights, &[batch()], PruneTarget { layers: 1, heads: 4, channels: 12 }).unwrap();
        assert_eq!(pruned.layers, [0]);
        let pruned = prune(&model, &weights, &[batch()], PruneTarget { layers: 2, heads: 4, channels: 12 }).unwrap();
        assert!(Weights::from_arrays(pruned.architecture.schema(), &pruned.arrays, Precision::F32).is_ok());
        let error =
            prune(&model, &weights, &[batch()], PruneTarget { layers: 4, heads: 4, channels: 12 }).err().unwrap();
        assert!(error.to_string().contains("from 1 to 3"), "{error}");
    }
}
