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

/// Where the `most` largest numbers are, from the largest on; equal ones in their order.
pub(crate) fn descending(numbers: &[f32], most: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    let comparison = |a: &usize, b: &usize| numbers[*b].total_cmp(&numbers[*a]).then(a.cmp(b));
    if most < order.len() {
        order.select_nth_unstable_by(most, comparison);
        order.truncate(most);
    }
    order.sort_unstable_by(comparison);
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

#[cfg(test)]
mod tests {
    use bantam_model::Random;

    use super::*;

    #[test]
    fn the_largest_numbers_are_found_in_the_order_of_all() {
        let mut random = Random::new(1, 0);
        for count in [0, 1, 2, 7, 100] {
            // Few values, so that many are equal.
            let numbers: Vec<f32> = (0..count).map(|_| random.below(5) as f32 - 2.0).collect();
            let mut all: Vec<usize> = (0..count).collect();
            all.sort_by(|&a, &b| numbers[b].total_cmp(&numbers[a]));
            for most in [0, 1, 3, count, count + 1, usize::MAX] {
                assert_eq!(descending(&numbers, most), all[..most.min(count)], "{most} of {numbers:?}");
            }
        }
    }
}
