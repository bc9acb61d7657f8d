//! From values to places on an axis, with ticks at numbers that a person would choose.

/// An axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_log: bool,
    step: f64,
}

impl Scale {
    /// An even axis over `values` (those that are finite), widened to round numbers, with about `ticks` ticks.
    pub(super) fn linear(values: impl IntoIterator<Item = f64>, ticks: usize, places: (f64, f64)) -> Self {
        let (mut low, mut high) = extent(values).unwrap_or((0.0, 1.0));
        if high - low < 1e-9 * high.abs().max(1e-3) {
            let half = (high.abs() * 0.05).max(0.01);
            (low, high) = (low - half, high + half);
        }
        let step = round_step((high - low) / ticks.max(1) as f64);
        let (low, high) = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        Self { low, high, from: places.0, to: places.1, is_log: false, step }
    }

    /// An axis on which equal ratios are equal distances, over the positive `values`, with room at both ends.
    pub(super) fn log(values: impl IntoIterator<Item = f64>, places: (f64, f64)) -> Self {
        let positive = values.into_iter().filter(|value| *value > 0.0);
        let (low, high) = extent(positive).unwrap_or((1.0, 10.0));
        let room = (high / low).powf(0.12).max(1.6);
        Self { low: low / room, high: high * room, from: places.0, to: places.1, is_log: true, step: 0.0 }
    }

    /// Where a value stands.
    pub(super) fn place(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share.clamp(-0.02, 1.02) * (self.to - self.from)
    }

    /// The values to mark.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if !self.is_log {
            let count = ((self.high - self.low) / self.step).round().clamp(1.0, 50.0) as usize;
            let at = |index: usize| self.low + index as f64 * self.step;
            return (0..=count).map(at).map(|value| if value.abs() < self.step * 1e-6 { 0.0 } else { value }).collect();
        }
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let with = |parts: &[f64]| -> Vec<f64> {
            let all = decades.clone().flat_map(|decade| parts.iter().map(move |part| part * 10f64.powi(decade)));
            all.filter(|value| (self.low..=self.high).contains(value)).collect()
        };
        let all = [with(&[1.0, 2.0, 5.0]), with(&[1.0, 3.0]), with(&[1.0])];
        match all.into_iter().find(|ticks| ticks.len() <= 6) {
            Some(ticks) => ticks,
            None => with(&[1.0]).into_iter().step_by(2).collect(),
        }
    }

    /// Decimal places that tell neighbouring ticks of an even axis apart, for values shown times `factor`.
    pub(super) fn decimals(&self, factor: f64) -> usize {
        let step = self.step * factor;
        (0..6).find(|places| ((step * 10f64.powi(*places)).fract() + 1e-9).fract() < 1e-6).unwrap_or(6) as usize
    }
}

/// The least and the greatest of the finite values.
fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite.fold(None, |extent, value| match extent {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// 1, 2 or 5 times a power of ten, not below `step` by much.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let part = [1.0, 2.0, 5.0, 10.0].into_iter().find(|part| step / power <= part * 1.001).unwrap_or(10.0);
    part * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_hold_the_values() {
        let scale = Scale::linear([0.912, 0.948, f64::NAN], 5, (0.0, 100.0));
        let ticks: Vec<String> = scale.ticks().iter().map(|tick| format!("{:.0}", tick * 100.0)).collect();
        assert_eq!(ticks, ["91", "92", "93", "94", "95"]);
        assert_eq!(scale.decimals(100.0), 0);
        assert_eq!(Scale::linear([0.0, 1.0], 5, (0.0, 1.0)).decimals(1.0), 1);
        assert!((scale.place(0.93) - 50.0).abs() < 1e-6);
        let scale = Scale::log([1.2e6, 5.5e7, 0.0], (0.0, 1.0));
        assert_eq!(scale.ticks(), [1e6, 2e6, 5e6, 1e7, 2e7, 5e7]);
    }

    #[test]
    fn no_values_and_equal_values_make_an_axis_too() {
        for values in [vec![], vec![f64::NAN], vec![0.5], vec![0.0, 0.0], vec![1e-30], vec![f64::INFINITY, 3.0]] {
            for scale in [Scale::linear(values.clone(), 5, (0.0, 9.0)), Scale::log(values, (0.0, 9.0))] {
                let ticks = scale.ticks();
                assert!(!ticks.is_empty() && ticks.len() < 50, "{scale:?}: {ticks:?}");
                assert!(ticks.iter().all(|tick| scale.place(*tick).is_finite()), "{scale:?}");
            }
        }
    }
}
