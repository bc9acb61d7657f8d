//! What the tests share: random numbers, and a case of an op that the laws (`laws.rs`) are checked on.

use crate::tensor::Tensor;

/// A deterministic generator (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `length` numbers uniform in -1..1.
    pub(crate) fn vector(&mut self, length: usize) -> Vec<f32> {
        (0..length).map(|_| (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect()
    }

    pub(crate) fn tensor(&mut self, shape: &[usize]) -> Tensor {
        Tensor::from_vec(shape, &self.vector(shape.iter().product()))
    }
}

type Apply = Box<dyn Fn(&[Tensor]) -> Tensor>;

/// An op applied to small inputs.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) apply: Apply,
}

impl Case {
    /// A case with random inputs of the given shapes.
    pub(crate) fn new(name: &'static str, shapes: &[&[usize]], apply: impl Fn(&[Tensor]) -> Tensor + 'static) -> Case {
        let mut random = Random::new(name.bytes().map(u64::from).sum());
        Case::on(name, shapes.iter().map(|shape| random.tensor(shape)).collect(), apply)
    }

    /// A case with given inputs.
    pub(crate) fn on(name: &'static str, inputs: Vec<Tensor>, apply: impl Fn(&[Tensor]) -> Tensor + 'static) -> Case {
        Case { name, inputs, apply: Box::new(apply) }
    }
}

/// Asserts that two vectors differ by at most `tolerance` times the norm of the larger one.
#[track_caller]
pub(crate) fn assert_near(actual: &[f32], expected: &[f32], tolerance: f64, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}: lengths");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let error = norm(&mut actual.iter().zip(expected).map(|(&a, &e)| f64::from(a) - f64::from(e)));
    let scale = norm(&mut actual.iter().map(|&a| f64::from(a))).max(norm(&mut expected.iter().map(|&e| f64::from(e))));
    assert!(
        error <= tolerance * scale,
        "{what}: off by {error:e} of {scale:e}\n  actual {actual:?}\nexpected {expected:?}"
    );
}
