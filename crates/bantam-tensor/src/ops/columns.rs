//! Tensors side by side, and parts of their columns.

use crate::origin::Inputs;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::memory::Buffer;

impl Tensor {
    /// The rows of all `parts` side by side: `[.., a]`, `[.., b]`, .. become `[.., a + b + ..]`. Keeps nothing.
    pub fn concat(parts: &[&Tensor]) -> Tensor {
        let first = parts.first().expect("concat: there is a part at least");
        for part in parts {
            let (kept, width) = (first.shape().len() - 1, part.shape().len());
            let fits = width == kept + 1 && part.shape()[..kept] == first.shape()[..kept];
            assert!(fits, "concat: shapes {:?} and {:?} differ before the last size", first.shape(), part.shape());
        }
        let widths: Vec<usize> = parts.iter().map(|part| part.width()).collect();
        let width = widths.iter().sum();
        let shape = first.sizes().with_width(width);
        let mut out = Buffer::scratch(shape.length());
        let mut start = 0;
        for part in parts {
            copy_columns(part.data(), part.width(), 0, &mut out, width, start, part.width());
            start += part.width();
        }
        Tensor::from_op(shape, out, parts, |_| {
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                let mut start = 0;
                for (input, &part) in widths.iter().enumerate() {
                    if inputs.wants(input) {
                        let mut gradient = Buffer::scratch(upstream.len() / width.max(1) * part);
                        copy_columns(&upstream, width, start, &mut gradient, part, 0, part);
                        inputs.give(input, gradient);
                    }
                    start += part;
                }
            }
        })
    }

    /// The columns from `start` on, `count` of them: `[.., width]` becomes `[.., count]`. Keeps nothing.
    pub fn columns(&self, start: usize, count: usize) -> Tensor {
        let width = self.width();
        assert!(start + count <= width, "columns: {start}..{} are not in shape {:?}", start + count, self.shape());
        let shape = self.sizes().with_width(count);
        let mut out = Buffer::scratch(shape.length());
        copy_columns(self.data(), width, start, &mut out, count, 0, count);
        Tensor::from_op(shape, out, &[self], |_| {
            move |upstream: Shared, inputs: &mut Inputs<'_>| {
                inputs.add(0, |gradient| {
                    for (gradient, upstream) in
                        gradient.chunks_exact_mut(width).zip(upstream.chunks_exact(count.max(1)))
                    {
                        for (gradient, upstream) in gradient[start..][..count].iter_mut().zip(upstream) {
                            *gradient += upstream;
                        }
                    }
                });
            }
        })
    }
}

/// Copies `count` columns, from column `from_start` of rows of `from_width` to column `to_start` of rows of `to_width`.
fn copy_columns(
    from: &[f32],
    from_width: usize,
    from_start: usize,
    to: &mut [f32],
    to_width: usize,
    to_start: usize,
    count: usize,
) {
    if count == 0 {
        return;
    }
    for (from, to) in from.chunks_exact(from_width).zip(to.chunks_exact_mut(to_width)) {
        to[to_start..][..count].copy_from_slice(&from[from_start..][..count]);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Case;

    pub(crate) fn cases() -> Vec<Case> {
        vec![
            Case::new("concat", &[&[2, 2, 3], &[2, 2, 1], &[2, 2, 4]], |x| Tensor::concat(&[&x[0], &x[1], &x[2]])),
            Case::new("concat of a tensor with itself", &[&[3, 2]], |x| Tensor::concat(&[&x[0], &x[0]])),
            Case::new("columns", &[&[4, 7]], |x| x[0].columns(2, 3)),
            Case::new("columns that overlap", &[&[4, 7]], |x| x[0].columns(0, 5).multiply(&x[0].columns(2, 5))),
        ]
    }

    #[test]
    fn columns_undo_concat() {
        let (a, b) = (Tensor::from_vec([2, 1], &[1.0, 2.0]), Tensor::from_vec([2, 2], &[3.0, 4.0, 5.0, 6.0]));
        let both = Tensor::concat(&[&a, &b]);
        assert_eq!(both.data(), [1.0, 3.0, 4.0, 2.0, 5.0, 6.0]);
        assert_eq!((both.columns(0, 1).data(), both.columns(1, 2).data()), (a.data(), b.data()));
    }

    #[test]
    #[should_panic(expected = "concat: shapes [2, 3] and [3, 3] differ")]
    fn rows_must_agree() {
        Tensor::concat(&[&Tensor::zeros([2, 3]), &Tensor::zeros([3, 3])]);
    }

    #[test]
    #[should_panic(expected = "columns: 2..4 are not in shape [2, 3]")]
    fn columns_must_exist() {
        Tensor::zeros([2, 3]).columns(2, 2);
    }
}
