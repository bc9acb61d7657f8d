//! How far a measured figure can be trusted: 95 % intervals, by formula where there is one and by resampling elsewhere.

use bantam_kernels::pool;
use bantam_model::Random;
use serde::{Deserialize, Serialize};

/// The normal quantile of a two-sided 95 % interval.
const Z: f64 = 1.959_963_984_540_054;
/// How many examples a resampling needs at least to say anything.
const LEAST_EXAMPLES: usize = 2;

/// Between `low` and `high` with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The interval of a share (Wilson 1927): `successes` of `trials`. Without a trial nothing is known: 0 to 1.
pub fn wilson(successes: usize, trials: usize) -> Interval {
    if trials == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let trials = trials as f64;
    let share = successes as f64 / trials;
    let scale = 1.0 + Z * Z / trials;
    let centre = (share + Z * Z / (2.0 * trials)) / scale;
    let half = Z / scale * (share * (1.0 - share) / trials + Z * Z / (4.0 * trials * trials)).sqrt();
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// The interval of any statistic (percentile bootstrap, Efron 1979): `statistic` is called with `rounds` resamples, each a list of
/// `examples` numbers below `examples`. The same seed gives the same interval on any number of threads. `None` where the
/// statistic is undefined in more than half of the rounds, or there are too few examples.
pub fn bootstrap(
    examples: usize,
    rounds: usize,
    seed: u64,
    statistic: impl Fn(&[usize]) -> Option<f64> + Sync,
) -> Option<Interval> {
    if examples < LEAST_EXAMPLES {
        return None;
    }
    let mut values = vec![None; rounds];
    pool::for_each_chunk(&mut values, 1, |round, value| {
        let mut random = Random::new(seed, round as u64);
        let sample: Vec<usize> = (0..examples).map(|_| random.below(examples)).collect();
        value[0] = statistic(&sample);
    });
    let mut values: Vec<f64> = values.into_iter().flatten().collect();
    if values.is_empty() || values.len() * 2 < rounds {
        return None;
    }
    values.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&values, 0.025), high: quantile(&values, 0.975) })
}

/// The value below which a share of the sorted values lies, linear between neighbours.
///
/// # Panics
/// When there is no value.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// The difference in accuracy of two models on the same texts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Accuracy of the first less that of the second.
    pub value: f64,
    /// Its interval.
    pub interval: Interval,
}

/// Compares two models on the same texts, pair by pair: far sharper than comparing their own intervals, because both find the same
/// texts hard. The interval is that of a difference of paired shares (Wald, from McNemar's counts).
///
/// # Panics
/// When the two differ in length.
pub fn paired_difference(first: &[bool], second: &[bool]) -> Difference {
    assert_eq!(first.len(), second.len(), "{} and {} answers", first.len(), second.len());
    let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count() as f64;
    let (gained, lost, count) = (only(first, second), only(second, first), first.len() as f64);
    if first.is_empty() {
        return Difference { value: 0.0, interval: Interval { low: -1.0, high: 1.0 } };
    }
    let value = (gained - lost) / count;
    let half = Z * (gained + lost - (gained - lost).powi(2) / count).max(0.0).sqrt() / count;
    Difference { value, interval: Interval { low: (value - half).max(-1.0), high: (value + half).min(1.0) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(interval: Interval, low: f64, high: f64, tolerance: f64) {
        assert!((interval.low - low).abs() < tolerance && (interval.high - high).abs() < tolerance, "{interval:?}");
    }

    #[test]
    fn wilson_agrees_with_published_cases() {
        // Newcombe 1998, table I, method 3.
        near(wilson(81, 263), 0.2553, 0.3662, 5e-5);
        near(wilson(15, 148), 0.0624, 0.1605, 5e-5);
        near(wilson(0, 20), 0.0, 0.1611, 5e-5);
        near(wilson(1, 29), 0.0061, 0.1718, 5e-5);
        near(wilson(0, 0), 0.0, 1.0, 1e-12);
        near(wilson(7, 7), 0.6457, 1.0, 5e-5);
    }

    #[test]
    fn a_bootstrapped_share_agrees_with_its_formula_and_repeats_itself() {
        let right: Vec<bool> = (0..400).map(|index| index % 5 != 0).collect();
        let share = |sample: &[usize]| Some(sample.iter().filter(|&&i| right[i]).count() as f64 / sample.len() as f64);
        let interval = bootstrap(400, 2_000, 7, share).unwrap();
        near(interval, 0.8 - Z * (0.16f64 / 400.0).sqrt(), 0.8 + Z * (0.16f64 / 400.0).sqrt(), 0.006);
        assert_eq!(pool::with_threads(1, || bootstrap(400, 2_000, 7, share)), Some(interval));
        assert_ne!(bootstrap(400, 2_000, 8, share), Some(interval));
        assert_eq!(bootstrap(400, 20, 7, |_| None), None);
        assert_eq!(bootstrap(0, 20, 7, share), None);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [1.0, 2.0, 4.0, 8.0];
        assert_eq!([0.0, 0.5, 1.0].map(|share| quantile(&values, share)), [1.0, 3.0, 8.0]);
    }

    #[test]
    fn paired_answers_are_compared_pair_by_pair() {
        // 100 texts: 12 only the first gets right, 4 only the second; se = sqrt(16 - 64/100) / 100.
        let first: Vec<bool> = (0..100).map(|i| i < 92).collect();
        let second: Vec<bool> = (0..100).map(|i| (12..96).contains(&i)).collect();
        let difference = paired_difference(&first, &second);
        assert!((difference.value - 0.08).abs() < 1e-12);
        near(difference.interval, 0.08 - Z * 0.039_191_84, 0.08 + Z * 0.039_191_84, 1e-6);
        assert_eq!(paired_difference(&first, &first).interval, Interval { low: 0.0, high: 0.0 });
    }
}
