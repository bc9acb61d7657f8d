//! Sum and mean of all numbers.

use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::memory::Buffer;

impl Tensor {
    /// The sum of all numbers, added up in f64. Keeps nothing.
    pub fn sum(&self) -> Tensor {
        self.total(1.0)
    }

    /// The mean of all numbers, added up in f64. Keeps nothing.
    pub fn mean(&self) -> Tensor {
        self.total(1.0 / self.data().len() as f64)
    }

    fn total(&self, factor: f64) -> Tensor {
        let sum: f64 = self.data().iter().map(|&value| f64::from(value)).sum();
        Tensor::from_op([1], Buffer::from_slice(&[(sum * factor) as f32]), &[self], |_| {
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let gradient = upstream[0] * factor as f32;
                inputs.add(0, |sums| sums.iter_mut().for_each(|sum| *sum += gradient));
            }
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        vec![Case::new("sum", &[&[3, 5]], |x| x[0].sum()), Case::new("mean", &[&[3, 5]], |x| x[0].mean())]
    }

    #[test]
    fn a_sum_loses_no_small_numbers() {
        let mut numbers = vec![1.0; 1 << 12];
        numbers[0] = (1u64 << 24) as f32;
        let tensor = Tensor::from_vec([numbers.len()], &numbers);
        assert_eq!(tensor.sum().item(), ((1u64 << 24) + (1 << 12)) as f32);
        assert_eq!(Tensor::from_vec([4], &[1.0, 2.0, 3.0, 6.0]).mean().item(), 3.0);
    }
}
