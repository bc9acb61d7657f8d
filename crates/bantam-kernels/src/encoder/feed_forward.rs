//! `norm(x + down(activation(up(x))))`.

use super::{Group, Layer, LayerNorm, groups, pieces};
use crate::activation::{self, Activation};
use crate::gemm::block::Target;
use crate::gemm::part::Codes;
use crate::gemm::{PackedFormat, PackedMatrix, SUMMED};
use crate::isa::Isa;
use crate::memory::Buffer;

/// The most channels of a piece.
const CHANNELS: usize = 768;
/// Groups end at multiples of this: whole tiles.
const TILE: usize = 12;

/// A feed-forward layer of an encoder that normalises after it.
#[derive(Clone, Copy, Debug)]
pub struct FeedForwardLayer<'a> {
    /// `[channels, width]` in int8.
    pub up: &'a PackedMatrix,
    /// `[channels]`.
    pub up_bias: Option<&'a [f32]>,
    /// Bends the channels.
    pub activation: Activation,
    /// `[width, channels]` in int8.
    pub down: &'a PackedMatrix,
    /// `[width]`.
    pub down_bias: Option<&'a [f32]>,
    /// At the end.
    pub norm: LayerNorm<'a>,
}

impl FeedForwardLayer<'_> {
    /// Whether [`feed_forward_layer`] can compute it.
    pub fn fits(&self) -> bool {
        self.up.format() == PackedFormat::Int8 && self.down.format() == PackedFormat::Int8
    }
}

/// The layer's output for `x` `[rows, width]`, into `out` of the same shape.
pub fn feed_forward_layer(layer: &FeedForwardLayer<'_>, x: &[f32], out: &mut [f32]) {
    let (channels, width) = (layer.up.rows(), layer.up.columns());
    assert!(
        layer.down.rows() == width
            && layer.down.columns() == channels
            && x.len() == out.len()
            && x.len().is_multiple_of(width),
        "feed_forward_layer: {:?}, {:?}, {} numbers into {}",
        layer.up,
        layer.down,
        x.len(),
        out.len()
    );
    let (rows, isa) = (x.len() / width, Isa::current());
    let pieces = if channels.is_multiple_of(SUMMED) { pieces(channels / SUMMED, SUMMED, CHANNELS) } else { 1 };
    let piece_channels = channels / pieces;
    let step = rows.div_ceil(groups(rows, pieces).max(1)).next_multiple_of(TILE);
    let groups: Vec<Group> = (0..rows)
        .step_by(step)
        .map(|first| first..rows.min(first + step))
        .map(|rows| Group { read: rows.clone(), written: rows, documents: 0..0 })
        .collect();
    let around = Layer { x, width, pieces, bias: layer.down_bias, norm: layer.norm };
    let piece = |group: &Group, codes: &Codes, number: usize, sums: &mut [f32], add: bool| {
        let rows = group.read.len();
        let own = number * piece_channels..(number + 1) * piece_channels;
        let mut wide = Buffer::scratch(rows * piece_channels);
        let bias = layer.up_bias.map(|bias| &bias[own.clone()]);
        let target = Target { data: &mut wide, row: piece_channels, add: false };
        layer.up.multiply_part(codes, 0..width, own.clone(), bias, target);
        let (mut bent, mut other) = (Codes::new(rows, piece_channels), Buffer::scratch(piece_channels));
        for (row, numbers) in wide.chunks_exact_mut(piece_channels).enumerate() {
            if layer.activation == Activation::Gelu {
                bent.set_gelu(isa, row, numbers);
            } else {
                activation::forward(layer.activation, numbers, &mut other);
                bent.set(isa, row, &other);
            }
        }
        layer.down.multiply_part(&bent, own, 0..width, None, Target { data: sums, row: width, add });
    };
    around.run(&groups, piece, |row| row, out);
}
