//! Cosine distance: `mean(1 - x·t / (|x| |t|))` over rows.

use super::expect_same_shape;
use super::loss::ready;
use crate::tensor::Tensor;
use bantam_kernels::vector;

/// Below this length a row has no direction, and is pulled nowhere.
const SHORTEST: f64 = 1e-12;

impl Tensor {
    /// The mean over rows of one minus the cosine between `self` and `target`, of one shape. The target takes no gradient. Keeps its
    /// gradient.
    pub fn cosine_distance(&self, target: &Tensor) -> Tensor {
        expect_same_shape("cosine_distance", self, target);
        let (rows, width) = (self.rows(), self.width());
        let mut gradient = self.is_tracked().then(|| self.scratch());
        let mut distances = 0.0;
        for row in 0..rows {
            let span = row * width..(row + 1) * width;
            let (x, t) = (&self.data()[span.clone()], &target.data()[span.clone()]);
            let (x_length, t_length) =
                (vector::sum_squares(x).sqrt().max(SHORTEST), vector::sum_squares(t).sqrt().max(SHORTEST));
            let cosine = vector::dot(x, t) / (x_length * t_length);
            distances += 1.0 - cosine;
            if let Some(gradient) = &mut gradient {
                let toward_t = (-1.0 / (x_length * t_length * rows as f64)) as f32;
                let along_x = (cosine / (x_length * x_length * rows as f64)) as f32;
                for (gradient, (x, t)) in gradient[span].iter_mut().zip(x.iter().zip(t)) {
                    *gradient = toward_t * t + along_x * x;
                }
            }
        }
        ready(distances / rows as f64, [self], [gradient])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Case, Random};

    pub(crate) fn cases() -> Vec<Case> {
        let target = Random::new(8).tensor(&[4, 5]);
        vec![Case::new("cosine_distance", &[&[4, 5]], move |x| x[0].cosine_distance(&target).scale(3.0))]
    }

    #[test]
    fn values_are_those_of_the_formula() {
        let x = Tensor::from_vec([3, 2], &[1.0, 0.0, 2.0, 2.0, 0.0, 0.0]);
        let t = Tensor::from_vec([3, 2], &[0.0, 3.0, 1.0, 1.0, 1.0, 0.0]);
        assert!((x.cosine_distance(&t).item() - 2.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    #[should_panic(expected = "cosine_distance: shapes [2, 3] and [3, 2] differ")]
    fn shapes_must_agree() {
        Tensor::zeros([2, 3]).cosine_distance(&Tensor::zeros([3, 2]));
    }
}
