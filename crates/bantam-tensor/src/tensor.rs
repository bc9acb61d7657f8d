//! The tensor: a shape, shared numbers, and how they were made if anything they came from collects a gradient.

use crate::gradients::Gradients;
use crate::kept::{Keep, Kept};
use crate::origin::{Inputs, Origin};
use crate::shape::Shape;
use crate::shared::Shared;
use bantam_kernels::memory::Buffer;
use std::sync::Arc;

/// Numbers in row-major order with a shape. Cloning shares the numbers; the ops return new tensors.
#[derive(Clone)]
pub struct Tensor {
    shape: Shape,
    data: Shared,
    origin: Option<Arc<Origin>>,
}

impl Tensor {
    /// A tensor of `data`, whose length must be the product of the sizes.
    pub fn new(shape: impl Into<Shape>, data: impl Into<Shared>) -> Tensor {
        let (shape, data) = (shape.into(), data.into());
        assert_eq!(shape.length(), data.len(), "a tensor of shape {shape:?} cannot have {} numbers", data.len());
        Tensor { shape, data, origin: None }
    }

    /// A tensor of the numbers of a vector.
    pub fn from_vec(shape: impl Into<Shape>, data: &[f32]) -> Tensor {
        Tensor::new(shape, Buffer::from_slice(data))
    }

    /// A tensor of zeros.
    pub fn zeros(shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        Tensor::new(shape, Buffer::zeroed(shape.length()))
    }

    /// The sizes, slowest first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers, row by row.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The product of all sizes but the last.
    pub fn rows(&self) -> usize {
        self.shape.rows()
    }

    /// The last size.
    pub fn width(&self) -> usize {
        self.shape.width()
    }

    /// The only number of a tensor that has one.
    pub fn item(&self) -> f32 {
        assert_eq!(self.data.len(), 1, "item: a tensor of shape {:?} is not a single number", self.shape);
        self.data[0]
    }

    /// The same numbers as a leaf that collects a gradient. Gradients are found by this tensor and its clones.
    pub fn tracked(self) -> Tensor {
        let origin = Origin::leaf(self.data.len());
        Tensor { origin: Some(origin), ..self }
    }

    /// Whether this is a leaf that collects a gradient, or was made from one.
    pub fn is_tracked(&self) -> bool {
        self.origin.is_some()
    }

    /// The same numbers, to which no gradient flows.
    pub fn detach(&self) -> Tensor {
        Tensor { shape: self.shape, data: self.data.clone(), origin: None }
    }

    /// The numbers of a leaf, to be changed in place (by an optimiser); copied first if other tensors share them. The leaf stays the same.
    pub fn data_mut(&mut self) -> &mut [f32] {
        assert!(
            self.origin.as_ref().is_none_or(|origin| origin.is_leaf()),
            "only leaves can be changed: detach the result of an op first"
        );
        self.data.make_mut()
    }

    /// The numbers without the tensor.
    pub fn into_data(self) -> Shared {
        self.data
    }

    /// The same tensor, which later ops keep for the backward pass rounded to bf16: half the memory, for gradients exact to 8 bits. Results
    /// of products in bf16 are like this by themselves. Costs nothing where nothing is tracked.
    pub fn compact(self) -> Tensor {
        if !self.is_tracked() {
            return self;
        }
        Tensor::from_op(self.shape, self.data.clone(), &[&self], |keep| {
            *keep = Keep::Half;
            |upstream: Shared, inputs: &mut Inputs<'_>| inputs.give(0, upstream)
        })
    }

    /// The result of an op. `record` is called only if an input is tracked: it says how users of the result keep it, takes along what the
    /// backward half needs, and returns that half: a function that gets the gradient of the result and hands on those of the inputs.
    pub fn from_op<B>(
        shape: impl Into<Shape>,
        data: impl Into<Shared>,
        inputs: &[&Tensor],
        record: impl FnOnce(&mut Keep) -> B,
    ) -> Tensor
    where
        B: FnOnce(Shared, &mut Inputs<'_>) + Send + 'static,
    {
        let origins = inputs.iter().map(|input| input.origin.clone()).collect();
        Tensor::from_origins(shape, data, origins, record)
    }

    /// As [`Tensor::from_op`], for an op that has given its input's numbers away.
    pub(crate) fn from_origins<B>(
        shape: impl Into<Shape>,
        data: impl Into<Shared>,
        origins: Vec<Option<Arc<Origin>>>,
        record: impl FnOnce(&mut Keep) -> B,
    ) -> Tensor
    where
        B: FnOnce(Shared, &mut Inputs<'_>) + Send + 'static,
    {
        let mut result = Tensor::new(shape, data);
        if origins.iter().any(Option::is_some) {
            let mut keep = Keep::default();
            let backward = Box::new(record(&mut keep));
            result.origin = Some(Origin::made(result.data.len(), keep, origins, backward));
        }
        result
    }

    /// What the backward half of an op keeps of an input.
    pub fn keep(&self) -> Kept {
        match &self.origin {
            Some(origin) => Kept::new(&self.data, origin.keep()),
            None => Kept::new(&self.data, &Keep::Whole),
        }
    }

    /// The gradients of this single number with respect to all leaves that it was made from. The record of how it was made is used up and
    /// freed on the way.
    pub fn backward(&self) -> Gradients {
        let mut gradients = Gradients::default();
        self.backward_into(&mut gradients);
        gradients
    }

    /// As [`Tensor::backward`], adding to `gradients`: for a step of several batches.
    pub fn backward_into(&self, gradients: &mut Gradients) {
        assert_eq!(self.data.len(), 1, "backward starts from a single number, not from shape {:?}", self.shape);
        self.backward_from(Buffer::from_slice(&[1.0]), gradients);
    }

    /// As [`Tensor::backward_into`] from a tensor of any shape, whose own gradient is `upstream`.
    pub fn backward_from(&self, upstream: Buffer, gradients: &mut Gradients) {
        assert_eq!(
            self.data.len(),
            upstream.len(),
            "backward: shape {:?} with a gradient of another length",
            self.shape
        );
        if let Some(origin) = &self.origin {
            gradients.run(origin.clone(), upstream.into());
        }
    }

    /// Whether what is kept of this tensor is only as exact as bf16.
    pub(crate) fn is_rounded(&self) -> bool {
        match self.origin.as_ref().map(|origin| origin.keep()) {
            None | Some(Keep::Whole) => false,
            Some(Keep::Half) => true,
            Some(Keep::Again(maker)) => maker.is_rounded(),
        }
    }

    pub(crate) fn sizes(&self) -> Shape {
        self.shape
    }

    pub(crate) fn shared(&self) -> Shared {
        self.data.clone()
    }

    pub(crate) fn origin(&self) -> Option<&Arc<Origin>> {
        self.origin.as_ref()
    }

    /// A scratch buffer for a result of this tensor's length.
    pub(crate) fn scratch(&self) -> Buffer {
        Buffer::scratch(self.data.len())
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.data[..self.data.len().min(8)];
        let tracked = if self.is_tracked() { ", tracked" } else { "" };
        write!(formatter, "Tensor {:?}{tracked} {shown:?}{}", self.shape, if self.data.len() > 8 { " ..." } else { "" })
    }
}
