//! Supervised contrastive loss (Khosla et al., 2020): for each row i with others of its label, the positives P,
//! `-1/|P| Σ_{p in P} log(exp(z_i·z_p / T) / Σ_{a != i} exp(z_i·z_a / T))`, and the mean of these.

use super::loss::ready;
use crate::tensor::Tensor;
use bantam_kernels::gemm::{self, Epilogue, Operand, Precision};
use bantam_kernels::memory::Buffer;
use bantam_kernels::{loss, vector};

/// Takes a row's product with itself out of a softmax: far below any other, and still finite.
const EXCLUDED: f32 = -1e9;

impl Tensor {
    /// Pulls rows of one label together and others apart. `self` is `[n, width]` with rows of length 1 ([`Tensor::normalize_rows`]), `labels`
    /// has one number per row. 0 if no label occurs twice. Keeps its gradient.
    pub fn contrastive(&self, labels: &[u32], temperature: f32) -> Tensor {
        let (rows, width) = (self.rows(), self.width());
        assert_eq!(labels.len(), rows, "contrastive: shape {:?} with {} labels", self.shape(), labels.len());
        let features = Operand::new(self.data(), rows, width);
        let mut logs = Buffer::scratch(rows * rows);
        gemm::multiply(Precision::F32, features, features.t(), &mut logs, &Epilogue::default());
        vector::scale(&mut logs, 1.0 / temperature);
        (0..rows).for_each(|row| logs[row * rows + row] = EXCLUDED);
        loss::log_softmax_rows(&mut logs, rows);

        let positives = |row: usize| (0..rows).filter(move |&other| other != row && labels[other] == labels[row]);
        let counts: Vec<usize> = (0..rows).map(|row| positives(row).count()).collect();
        let anchors = counts.iter().filter(|&&count| count > 0).count();
        let mut total = 0.0;
        // The logarithms of a row give way to the gradient of its products.
        for (row, logs) in logs.chunks_exact_mut(rows.max(1)).enumerate() {
            if counts[row] == 0 {
                logs.fill(0.0);
                continue;
            }
            let share = 1.0 / (anchors as f64 * counts[row] as f64);
            total -= positives(row).map(|other| f64::from(logs[other])).sum::<f64>() * share;
            let factor = 1.0 / (anchors as f32 * temperature);
            logs.iter_mut().for_each(|log| *log = log.exp() * factor);
            positives(row).for_each(|other| logs[other] -= (share / f64::from(temperature)) as f32);
        }
        let gradient = self.is_tracked().then(|| {
            let mut gradient = self.scratch();
            let products = Operand::new(&logs, rows, rows);
            gemm::multiply(Precision::F32, products, features, &mut gradient, &Epilogue::default());
            let transposed = Epilogue { accumulate: true, ..Epilogue::default() };
            gemm::multiply(Precision::F32, products.t(), features, &mut gradient, &transposed);
            gradient
        });
        ready(total, [self], [gradient])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        vec![
            Case::new("contrastive", &[&[6, 3]], |x| x[0].contrastive(&[0, 1, 0, 2, 1, 0], 0.5)),
            Case::new("contrastive over rows of length one", &[&[5, 4]], |x| {
                x[0].normalize_rows().contrastive(&[7, 3, 7, 3, 3], 0.3).scale(2.0)
            }),
        ]
    }

    #[test]
    fn values_are_those_of_the_formula() {
        let x = Tensor::from_vec([3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        // Rows 0 and 2 are alike: each has the other at cosine 1 and row 1 at cosine 0.
        let expected = -(1f32.exp() / (1f32.exp() + 1.0)).ln();
        assert!((x.contrastive(&[4, 5, 4], 1.0).item() - expected).abs() < 1e-6);
        assert_eq!(x.contrastive(&[1, 2, 3], 1.0).item(), 0.0);
        let alone = Tensor::from_vec([1, 2], &[1.0, 0.0]).tracked();
        assert_eq!(alone.contrastive(&[1], 1.0).backward().get(&alone), Some(&[0.0, 0.0][..]));
    }

    #[test]
    #[should_panic(expected = "contrastive: shape [2, 3] with 3 labels")]
    fn every_row_has_a_label() {
        Tensor::zeros([2, 3]).contrastive(&[1, 2, 3], 1.0);
    }
}
