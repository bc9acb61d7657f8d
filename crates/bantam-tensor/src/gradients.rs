//! The gradients of leaves, and the backward pass that collects them.

use crate::origin::Origin;
use crate::shared::Shared;
use crate::tensor::Tensor;
use bantam_kernels::memory::Buffer;
use bantam_kernels::vector;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The gradient of each tracked leaf that a backward pass reached.
#[derive(Default)]
pub struct Gradients {
    leaves: BTreeMap<u64, Shared>,
    /// Results of ops whose gradient is not complete yet; empty between passes.
    pending: BTreeMap<u64, (Arc<Origin>, Shared)>,
}

impl Gradients {
    /// The gradient of a leaf (or of a clone of it), in its shape; `None` if the pass did not reach it.
    pub fn get(&self, leaf: &Tensor) -> Option<&[f32]> {
        leaf.origin().and_then(|origin| self.leaves.get(&origin.number())).map(|gradient| &**gradient)
    }

    /// The gradient of a leaf, to be changed in place.
    pub fn get_mut(&mut self, leaf: &Tensor) -> Option<&mut [f32]> {
        leaf.origin().and_then(|origin| self.leaves.get_mut(&origin.number())).map(Shared::make_mut)
    }

    /// Takes the gradient of a leaf out, so that its memory is free after use.
    pub fn take(&mut self, leaf: &Tensor) -> Option<Buffer> {
        leaf.origin().and_then(|origin| self.leaves.remove(&origin.number())).map(Shared::into_owned)
    }

    /// The sum of the squares of all gradients, for clipping.
    pub fn sum_squares(&self) -> f64 {
        self.leaves.values().map(|gradient| vector::sum_squares(gradient)).sum()
    }

    /// How many leaves have a gradient.
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Whether no leaf has a gradient.
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    pub(crate) fn take_pending(&mut self, origin: &Origin) -> Option<Shared> {
        if origin.is_leaf() {
            self.leaves.remove(&origin.number())
        } else {
            self.pending.remove(&origin.number()).map(|(_, gradient)| gradient)
        }
    }

    pub(crate) fn set_pending(&mut self, origin: &Arc<Origin>, gradient: Shared) {
        if origin.is_leaf() {
            self.leaves.insert(origin.number(), gradient);
        } else {
            self.pending.insert(origin.number(), (origin.clone(), gradient));
        }
    }

    /// Follows the records from `origin` down. A result has a higher number than its inputs, so the highest one waiting is complete.
    pub(crate) fn run(&mut self, origin: Arc<Origin>, upstream: Shared) {
        let upstream = match self.take_pending(&origin) {
            Some(mut before) => {
                vector::add_assign(before.make_mut(), &upstream);
                before
            }
            None => upstream,
        };
        self.set_pending(&origin, upstream);
        drop(origin);
        while let Some((_, (origin, upstream))) = self.pending.pop_last() {
            origin.backward(upstream, self);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept::Keep;
    use crate::maker::Maker;
    use crate::origin::Inputs;
    use crate::testing::{Random, assert_near};
    use bantam_kernels::gemm::Precision;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn branches_meet_before_the_pass_goes_on() {
        let x = Tensor::from_vec([1], &[3.0]).tracked();
        let square = x.multiply(&x);
        // (x² + x) x²: 4x³ + 3x².
        let gradients = square.add(&x).multiply(&square).backward();
        assert_eq!(gradients.get(&x), Some(&[135.0][..]));
        assert_eq!((gradients.len(), gradients.sum_squares()), (1, 135.0 * 135.0));
    }

    #[test]
    fn gradients_belong_to_the_leaf_and_its_clones() {
        let (mut x, other) = (Tensor::from_vec([2], &[1.0, 2.0]).tracked(), Tensor::zeros([2]).tracked());
        let clone = x.clone();
        let mut gradients = x.scale(3.0).sum().backward();
        assert_eq!(gradients.get(&clone), Some(&[3.0, 3.0][..]));
        assert!(gradients.get(&other).is_none() && gradients.get(&x.detach()).is_none());
        drop(clone);
        // An optimiser changes the numbers; the leaf stays the one that the gradient belongs to.
        x.data_mut()[0] = 9.0;
        x.scale(1.0).sum().backward_into(&mut gradients);
        assert_eq!(gradients.take(&x).expect("tracked")[..], [4.0, 4.0]);
        assert!(gradients.is_empty());
    }

    #[test]
    fn untracked_tensors_have_no_gradient() {
        let x = Tensor::from_vec([1], &[2.0]);
        assert!(x.multiply(&x).backward().is_empty());
        assert!(x.clone().tracked().scale(2.0).detach().backward().is_empty());
    }

    #[test]
    fn a_leaf_is_its_own_gradient() {
        let x = Tensor::from_vec([1], &[2.0]).tracked();
        let mut gradients = x.backward();
        x.backward_into(&mut gradients);
        assert_eq!(gradients.get(&x), Some(&[2.0][..]));
    }

    #[test]
    fn a_gradient_passes_through_a_sum_without_a_copy() {
        let (x, y) = (Tensor::zeros([3]).tracked(), Tensor::zeros([3]).tracked());
        let upstream = Buffer::from_slice(&[1.0, 2.0, 3.0]);
        let address = upstream.as_ptr();
        let mut gradients = Gradients::default();
        x.add(&y).backward_from(upstream, &mut gradients);
        for leaf in [&x, &y] {
            assert_eq!(gradients.get(leaf).expect("tracked").as_ptr(), address);
        }
        // Changing one leaf's gradient leaves the other's.
        gradients.get_mut(&x).expect("tracked")[0] = 7.0;
        assert_eq!(gradients.get(&y).expect("tracked")[0], 1.0);
    }

    #[test]
    #[should_panic(expected = "run the forward pass again")]
    fn a_record_is_used_once() {
        let y = Tensor::zeros([1]).tracked().scale(2.0);
        y.backward();
        y.backward();
    }

    #[test]
    fn a_long_chain_is_freed_and_followed_without_recursion() {
        let x = Tensor::from_vec([1], &[1.0]).tracked();
        let chain = || (0..200_000).fold(x.clone(), |y, _| y.scale(1.0));
        drop(chain());
        assert_eq!(chain().backward().get(&x), Some(&[1.0][..]));
    }

    #[test]
    fn what_an_op_keeps_is_freed_when_its_backward_half_has_run() {
        static LIVE: AtomicUsize = AtomicUsize::new(0);
        struct Counted;
        impl Drop for Counted {
            fn drop(&mut self) {
                LIVE.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let step = |x: &Tensor, expected: usize| {
            LIVE.fetch_add(1, Ordering::Relaxed);
            let kept = Counted;
            Tensor::from_op([1], Buffer::from_slice(x.data()), &[x], |_| {
                move |upstream: Shared, inputs: &mut Inputs<'_>| {
                    assert_eq!(LIVE.load(Ordering::Relaxed), expected);
                    drop(kept);
                    inputs.give(0, upstream);
                }
            })
        };
        let x = Tensor::zeros([1]).tracked();
        let y = step(&step(&step(&x, 1), 2), 3);
        y.backward();
        assert_eq!(LIVE.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_norm_and_the_product_after_it_keep_the_norm_s_input_only() {
        let mut random = Random::new(2);
        let (x, weight) = (random.tensor(&[4, 8]).tracked(), random.tensor(&[3, 8]).tracked());
        let norm = x.rms_norm(None, 1e-6);
        let y = norm.linear(&crate::matrix::Matrix::dense(weight.clone(), Precision::F32), None);
        assert!(norm.into_data().get_mut().is_some(), "somebody keeps the norm's result");
        assert_eq!(y.sum().backward().len(), 2);
    }

    #[test]
    fn compact_tensors_have_nearly_the_same_gradient() {
        let x = Random::new(3).tensor(&[5, 12]).tracked();
        let gradient = |input: Tensor| {
            let y = input.tanh();
            y.multiply(&y).sum().backward().take(&x).expect("tracked")
        };
        let (whole, compact) = (gradient(x.scale(2.0)), gradient(x.scale(2.0).compact()));
        assert_ne!(whole[..], compact[..]);
        assert_near(&compact, &whole, 1e-2, "compact");
        assert!(!x.detach().compact().is_tracked());
    }

    #[test]
    fn a_result_is_kept_as_its_op_says() {
        let x = Tensor::from_vec([1], &[2.0]).tracked();
        let made = Tensor::from_op([1], Buffer::from_slice(&[2.0]), &[&x], |keep| {
            *keep = Keep::Again(Maker::rows(1, |_, out| out.fill(5.0)));
            |upstream: Shared, inputs: &mut Inputs<'_>| inputs.give(0, upstream)
        });
        assert_eq!(made.reshape([1, 1]).keep().load()[..], [5.0]);
        assert_eq!(made.detach().keep().load()[..], [2.0]);
    }
}
