//! Scores to probabilities, and how near two texts are.

/// Probabilities of scores; all 0 where a score is no number.
pub(crate) fn softmax(scores: &[f32]) -> Vec<f32> {
    if !scores.iter().all(|score| score.is_finite()) {
        return vec![0.0; scores.len()];
    }
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| (score - top).exp()).collect();
    let sum: f32 = powers.iter().map(|&power| f64::from(power)).sum::<f64>() as f32;
    powers.iter().map(|power| power / sum).collect()
}

/// A score as a probability of its own.
pub(crate) fn sigmoid(score: f32) -> f32 {
    1.0 / (1.0 + (-score).exp())
}

/// Where the largest number is, the first of equal ones.
pub(crate) fn largest(numbers: &[f32]) -> usize {
    let better = |best: usize, index: usize| if numbers[index] > numbers[best] { index } else { best };
    (1..numbers.len()).fold(0, better)
}

/// The order of numbers from the largest.
pub(crate) fn descending(numbers: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[b].total_cmp(&numbers[a]));
    order
}

/// A vector at the length of 1; one of zeros stays what it is.
pub fn unit(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|&number| f64::from(number).powi(2)).sum::<f64>().sqrt();
    if length == 0.0 {
        return vector.to_vec();
    }
    vector.iter().map(|&number| (f64::from(number) / length) as f32).collect()
}

/// The cosine between two vectors of one width; 0 where one has no length.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let length = (product(a, a) * product(b, b)).sqrt();
    if length == 0.0 { 0.0 } else { (product(a, b) / length) as f32 }
}
