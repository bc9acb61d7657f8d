//! The ops, one file each: what it computes, its gradient beside it, and the cases that the laws check it on.

mod activation;
mod add;
mod attention;
mod bag;
mod columns;
mod consistency;
mod contrastive;
mod cosine;
mod cross_entropy;
mod distillation;
mod dropout;
mod embedding;
mod encoder_layers;
mod gated;
mod layer_norm;
mod linear;
mod linear_cross_entropy;
mod loss;
mod matmul;
mod mean_square;
mod multiply;
mod normalize;
mod pooling;
mod relation;
mod reshape;
mod rms_norm;
mod rotary;
mod scale;
mod select;
mod sum;

pub use cross_entropy::one_hot;

use crate::tensor::Tensor;

/// Panics unless two inputs of an op have one shape.
#[track_caller]
fn expect_same_shape(op: &str, first: &Tensor, second: &Tensor) {
    assert_eq!(first.shape(), second.shape(), "{op}: shapes {:?} and {:?} differ", first.shape(), second.shape());
}

/// Panics unless `starts` cuts the rows of an op's input into documents.
#[track_caller]
fn expect_starts(op: &str, input: &Tensor, starts: &[usize]) {
    let fits = starts.first() == Some(&0) && starts.last() == Some(&input.rows()) && starts.is_sorted();
    assert!(fits, "{op}: the starts {starts:?} do not cut shape {:?} into documents", input.shape());
}

/// The cases of all ops.
#[cfg(test)]
pub(crate) fn cases() -> Vec<crate::testing::Case> {
    [
        activation::tests::cases(),
        add::tests::cases(),
        attention::tests::cases(),
        bag::tests::cases(),
        columns::tests::cases(),
        consistency::tests::cases(),
        contrastive::tests::cases(),
        cosine::tests::cases(),
        cross_entropy::tests::cases(),
        distillation::tests::cases(),
        dropout::tests::cases(),
        embedding::tests::cases(),
        gated::tests::cases(),
        layer_norm::tests::cases(),
        linear::tests::cases(),
        linear_cross_entropy::tests::cases(),
        matmul::tests::cases(),
        mean_square::tests::cases(),
        multiply::tests::cases(),
        normalize::tests::cases(),
        pooling::tests::cases(),
        relation::tests::cases(),
        reshape::tests::cases(),
        rms_norm::tests::cases(),
        rotary::tests::cases(),
        scale::tests::cases(),
        select::tests::cases(),
        sum::tests::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
