//! What holds for every op: checked on each case that the op's file lists.

use crate::gradients::Gradients;
use crate::ops;
use crate::tensor::Tensor;
use crate::testing::{Case, Random, assert_near};
use bantam_kernels::memory::Buffer;

fn bits(data: &[f32]) -> Vec<u32> {
    data.iter().map(|value| value.to_bits()).collect()
}

/// A random gradient for a case's result.
fn upstream(result: &Tensor) -> Vec<f32> {
    Random::new(99).vector(result.data().len())
}

/// The gradients of the inputs that `choose` tracks, for a result whose gradient is `upstream`; `times` passes added up.
fn gradients(case: &Case, times: usize, choose: impl Fn(usize) -> bool) -> Vec<Option<Vec<f32>>> {
    let track = |(index, input): (usize, &Tensor)| if choose(index) { input.clone().tracked() } else { input.clone() };
    let inputs: Vec<Tensor> = case.inputs.iter().enumerate().map(track).collect();
    let mut gradients = Gradients::default();
    for _ in 0..times {
        let result = (case.apply)(&inputs);
        assert!(result.is_tracked(), "{}", case.name);
        result.backward_from(Buffer::from_slice(&upstream(&result)), &mut gradients);
    }
    inputs.iter().map(|input| gradients.get(input).map(<[f32]>::to_vec)).collect()
}

#[test]
fn gradients_agree_with_finite_differences() {
    // The truncation error of the five-point formula falls with the fourth power of the step, the rounding error of f32 grows as it falls.
    const STEP: f32 = 0.02;
    for case in ops::cases() {
        let weights = upstream(&(case.apply)(&case.inputs));
        let objective = |inputs: &[Tensor]| -> f64 {
            (case.apply)(inputs)
                .data()
                .iter()
                .zip(&weights)
                .map(|(&value, &weight)| f64::from(value) * f64::from(weight))
                .sum()
        };
        for (index, gradient) in gradients(&case, 1, |_| true).into_iter().enumerate() {
            let mut inputs = case.inputs.clone();
            let expected: Vec<f32> = (0..inputs[index].data().len())
                .map(|element| {
                    let mut at = |steps: f32| {
                        let mut data = case.inputs[index].data().to_vec();
                        let before = data[element];
                        data[element] = before + steps * STEP;
                        let moved = f64::from(data[element]) - f64::from(before);
                        inputs[index] = Tensor::from_vec(case.inputs[index].shape(), &data);
                        (objective(&inputs), moved)
                    };
                    let [(far_below, _), (below, _), (above, step), (far_above, _)] =
                        [-2.0, -1.0, 1.0, 2.0].map(&mut at);
                    ((8.0 * (above - below) - (far_above - far_below)) / (12.0 * step)) as f32
                })
                .collect();
            let gradient = gradient.unwrap_or_else(|| panic!("{}: no gradient for input {index}", case.name));
            assert_near(&gradient, &expected, 1e-3, &format!("{}, gradient of input {index}", case.name));
        }
    }
}

#[test]
fn results_are_the_same_bits_tracked_or_not() {
    for case in ops::cases() {
        let tracked: Vec<Tensor> = case.inputs.iter().map(|input| input.clone().tracked()).collect();
        let (with, without) = ((case.apply)(&tracked), (case.apply)(&case.inputs));
        assert!(with.is_tracked() && !without.is_tracked(), "{}", case.name);
        assert_eq!(with.shape(), without.shape(), "{}", case.name);
        assert_eq!(bits(with.data()), bits(without.data()), "{}", case.name);
    }
}

#[test]
fn gradients_are_the_same_bits_again_and_whatever_else_is_tracked() {
    for case in ops::cases() {
        let all = gradients(&case, 1, |_| true);
        for (index, expected) in all.iter().enumerate() {
            let alone = gradients(&case, 1, |tracked| tracked == index);
            for (other, gradient) in alone.iter().enumerate() {
                let expected = if other == index { expected.as_deref().map(bits) } else { None };
                assert_eq!(gradient.as_deref().map(bits), expected, "{}, input {index} alone", case.name);
            }
        }
    }
}

#[test]
fn gradients_of_two_passes_add_up() {
    for case in ops::cases() {
        let (once, twice) = (gradients(&case, 1, |_| true), gradients(&case, 2, |_| true));
        for (once, twice) in once.iter().zip(&twice) {
            let doubled: Vec<f32> = once.as_deref().expect("tracked").iter().map(|value| 2.0 * value).collect();
            assert_near(twice.as_deref().expect("tracked"), &doubled, 1e-6, case.name);
        }
    }
}

#[test]
fn a_pass_frees_what_the_ops_kept() {
    for case in ops::cases() {
        let fresh = |input: &Tensor| Tensor::from_vec(input.shape(), input.data()).tracked();
        let mut inputs: Vec<Tensor> = case.inputs.iter().map(fresh).collect();
        let addresses: Vec<*const f32> = inputs.iter().map(|input| input.data().as_ptr()).collect();
        let result = (case.apply)(&inputs);
        result.backward_from(Buffer::from_slice(&upstream(&result)), &mut Gradients::default());
        // Some ops hand on their input's own numbers.
        drop(result);
        for (input, address) in inputs.iter_mut().zip(addresses) {
            assert_eq!(input.data_mut().as_ptr(), address, "{}: an input is still held", case.name);
        }
    }
}
