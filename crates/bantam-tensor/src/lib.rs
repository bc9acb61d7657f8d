//! Arrays with gradients, one file per op.
//!
//! # What a tensor is
//!
//! A [`Tensor`] is a shape and numbers (f32, row by row). It never changes: an op returns a new one. Cloning shares the numbers. There are no
//! type parameters, no devices and no modes. Batches are ragged: the tokens of all documents stand one after another, `[tokens, width]`,
//! and `starts` says where each document begins (one number more than there are documents, from 0 to the number of tokens).
//!
//! Two types stand for weights that come in several number formats: a [`Matrix`] is what rows are multiplied by, a [`Table`] what ids stand
//! for. [`Noise`] is where dropout takes its random numbers from.
//!
//! # How gradients work
//!
//! ```
//! use bantam_tensor::{Matrix, Precision, Tensor};
//!
//! let weight = Tensor::from_vec([1, 2], &[0.5, -1.0]).tracked();
//! let x = Tensor::from_vec([3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
//! let y = x.linear(&Matrix::dense(weight.clone(), Precision::F32), None);
//! let gradients = y.sum().backward();
//! assert_eq!(gradients.get(&weight), Some(&[9.0, 12.0][..]));
//! ```
//!
//! Whether we train is decided by the weights passed in: an op records how its result was made only if an input is tracked. Without that,
//! nothing is recorded, and an input's memory is free as soon as its owner drops it.
//!
//! The record of a result ([`Tensor::from_op`]) is the backward half of its op and the origins of its inputs: not the inputs' numbers. What a
//! backward half needs of them it takes along itself, by [`Tensor::keep`]. Records are numbered as they are made, so the backward pass goes
//! from the highest number down: when it reaches a result, that result's gradient is complete. It uses the records up, and with each the
//! memory that was kept for it. A gradient is handed on without a copy where it can be, and added in place where several arrive.
//!
//! # What is kept
//!
//! Each op's documentation says what it keeps until the backward pass. The rules behind it:
//!
//! - Numbers are shared, never copied, with whoever else holds them.
//! - What is made in one cheap pass, by a norm, an activation or a gated unit, or of a rounded tensor by rotary positions, is made when it is read
//!   ([`Maker`]): a product in bf16, or with weights in groups, takes it a few rows at a time, so that it never lies in memory; all other ops have it
//!   made once.
//! - What can be made again in one cheap pass is not kept ([`Keep::Again`]): the results of norms, activations and gated units, which a
//!   [`Tensor::linear`] needs, are made again from the input that the norm or activation keeps anyway.
//! - Results of products in bf16 are kept rounded to bf16, and others if [`Tensor::compact`] says so ([`Keep::Half`]); so is the result of
//!   attention over such a tensor. Within layers they are rounded as they are stored ([`Tensor::linear_rounded`]).
//! - Losses keep their gradient and nothing else: they make it together with their value.
//!
//! | kept | by |
//! |---|---|
//! | nothing | add, scale, sum, mean, reshape, concat, columns, dropout, linear's residual and bias, first and mean pooling, compact |
//! | ids, positions or starts | gather, bag, select_rows, rotary, max pooling (the place of each largest number) |
//! | the input | linear (for the weights' gradient), activation, gated, rms_norm, layer_norm |
//! | both factors | matmul, multiply (each only if the other is tracked) |
//! | input and result | attention (with one number per token and head) |
//! | the result | normalize_rows (with one number per row) |
//! | the gradient | linear_cross_entropy, cross_entropy, distillation, consistency, contrastive, relation, mean_square, cosine |
//!
//! So a layer of a Llama (width d, feed-forward f) keeps for each token its two inputs `2d`, queries, keys and values `3d`, the heads' result
//! `d`, and gate and up `2f`: `6d + 2f` numbers, or half of that where all of it is compact.
//!
//! # How to add an op
//!
//! One file in `ops/`, one `mod` line, one line in the list of cases. The file has the forward half as a method that checks its shapes
//! (a wrong shape is a bug: it panics, naming the op and both shapes), computes through `bantam-kernels` into a [`Buffer`], and calls
//! [`Tensor::from_op`] with a closure that takes along what the backward half needs and returns that half. Its `tests::cases()` are small
//! examples; the laws in `laws.rs` check each against finite differences, and that results are the same bits tracked or not.
//!
//! Everything is deterministic: the same inputs, seed, instruction set and number of threads give the same bytes.

mod gradients;
mod kept;
#[cfg(test)]
mod laws;
mod maker;
mod matrix;
mod noise;
mod ops;
mod origin;
mod shape;
mod shared;
mod table;
mod tensor;
#[cfg(test)]
mod testing;

pub use bantam_kernels::activation::Activation;
pub use bantam_kernels::attention::AttentionShape;
pub use bantam_kernels::gemm::{PackedFormat, PackedMatrix, Precision};
pub use bantam_kernels::loss::IGNORED;
pub use bantam_kernels::memory::Buffer;
pub use gradients::Gradients;
pub use kept::{Keep, Kept};
pub use maker::Maker;
pub use matrix::Matrix;
pub use noise::Noise;
pub use ops::one_hot;
pub use origin::Inputs;
pub use shape::Shape;
pub use shared::Shared;
pub use table::Table;
pub use tensor::Tensor;
