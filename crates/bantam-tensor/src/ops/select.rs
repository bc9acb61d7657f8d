//! Some rows of a tensor: `y[i] = x[ids[i]]`.

use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::embedding;
use bantam_kernels::memory::Buffer;

impl Tensor {
    /// The rows numbered `ids`, in that order, perhaps several times: `[ids, width]`. Keeps the numbers.
    pub fn select_rows(&self, ids: &[u32]) -> Tensor {
        let (rows, width) = (self.rows(), self.width());
        if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
            panic!("select_rows: row {id} is outside of shape {:?}", self.shape());
        }
        let mut out = Buffer::scratch(ids.len() * width);
        embedding::gather(self.data(), width, ids, &mut out);
        Tensor::from_op([ids.len(), width], out, &[self], |_| {
            let ids = ids.to_vec();
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                inputs.add(0, |gradient| embedding::scatter_add(&upstream, width, &ids, gradient));
            }
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        vec![Case::new("select_rows", &[&[6, 3]], |x| x[0].select_rows(&[5, 1, 1]))]
    }

    #[test]
    #[should_panic(expected = "select_rows: row 2 is outside of shape [2, 2]")]
    fn rows_must_exist() {
        Tensor::zeros([2, 2]).select_rows(&[2]);
    }
}
