//! Notices a run that no longer learns but explodes.

/// The recent course of the loss.
#[derive(Debug, Clone, Default)]
pub(crate) struct Divergence {
    average: Option<f64>,
    high: usize,
}

/// A loss this many times its average counts as high.
const FACTOR: f64 = 3.0;
/// High losses in a row that mean divergence: one bad batch does not.
const PATIENCE: usize = 20;

impl Divergence {
    /// What is wrong after a step with this loss and gradient norm, if anything.
    pub(crate) fn judge(&mut self, loss: f64, norm: f64) -> Option<String> {
        if !loss.is_finite() {
            return Some(format!("the loss is {loss}"));
        }
        if !norm.is_finite() {
            return Some(format!("the gradient's norm is {norm}"));
        }
        let average = *self.average.get_or_insert(loss);
        if loss > FACTOR * average + 1.0 {
            self.high += 1;
            return (self.high >= PATIENCE).then(|| format!("the loss went from {average:.2} to {loss:.2}"));
        }
        self.high = 0;
        self.average = Some(0.98 * average + 0.02 * loss);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_batch_is_forgiven_and_an_explosion_is_not() {
        let mut divergence = Divergence::default();
        assert_eq!(divergence.judge(4.0, 1.0), None);
        assert_eq!(divergence.judge(40.0, 1.0), None);
        assert_eq!(divergence.judge(3.9, 1.0), None);
        let found = (0..PATIENCE).find_map(|_| divergence.judge(40.0, 1.0));
        assert!(found.unwrap().contains("40.00"));
        assert!(Divergence::default().judge(f64::NAN, 1.0).unwrap().contains("NaN"));
        assert!(Divergence::default().judge(1.0, f64::INFINITY).unwrap().contains("inf"));
    }
}
