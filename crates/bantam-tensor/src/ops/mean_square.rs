//! Mean square error: `mean((x - t)²)`.

use super::expect_same_shape;
use super::loss::ready;
use crate::tensor::Tensor;

impl Tensor {
    /// The mean of the squares of `self - target`, of one shape. The target takes no gradient. Keeps its gradient.
    pub fn mean_square(&self, target: &Tensor) -> Tensor {
        expect_same_shape("mean_square", self, target);
        let pairs = || self.data().iter().zip(target.data());
        let count = self.data().len() as f64;
        let squares: f64 = pairs().map(|(&x, &t)| (f64::from(x) - f64::from(t)).powi(2)).sum();
        let gradient = self.is_tracked().then(|| {
            let mut gradient = self.scratch();
            let factor = (2.0 / count) as f32;
            for (gradient, (x, t)) in gradient.iter_mut().zip(pairs()) {
                *gradient = factor * (x - t);
            }
            gradient
        });
        ready(squares / count, [self], [gradient])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Case, Random};

    pub(crate) fn cases() -> Vec<Case> {
        let target = Random::new(8).tensor(&[3, 5]);
        vec![Case::new("mean_square", &[&[3, 5]], move |x| x[0].mean_square(&target).scale(3.0))]
    }

    #[test]
    fn values_are_those_of_the_formula() {
        assert_eq!(Tensor::from_vec([2], &[1.0, 5.0]).mean_square(&Tensor::from_vec([2], &[2.0, 2.0])).item(), 5.0);
    }

    #[test]
    #[should_panic(expected = "mean_square: shapes [2] and [3] differ")]
    fn shapes_must_agree() {
        Tensor::zeros([2]).mean_square(&Tensor::zeros([3]));
    }
}
