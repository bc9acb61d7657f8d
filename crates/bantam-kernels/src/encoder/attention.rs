//! `norm(x + output(attend(input(x))))`.

use super::heads::attend;
use super::{Group, Layer, LayerNorm, groups, pieces};
use crate::attention::AttentionShape;
use crate::gemm::block::Target;
use crate::gemm::part::{ALIGNED, Codes};
use crate::gemm::{PackedFormat, PackedMatrix};
use crate::isa::Isa;
use crate::memory::Buffer;

/// The most columns of a piece's queries.
const COLUMNS: usize = 192;

/// A layer of attention of an encoder that normalises after it.
#[derive(Clone, Copy, Debug)]
pub struct AttentionLayer<'a> {
    /// Heads and mask.
    pub shape: AttentionShape,
    /// Queries, keys and values, `[3 * heads * head_dim, width]` in int8.
    pub input: &'a PackedMatrix,
    /// `[3 * heads * head_dim]`.
    pub input_bias: Option<&'a [f32]>,
    /// `[width, heads * head_dim]` in int8.
    pub output: &'a PackedMatrix,
    /// `[width]`.
    pub output_bias: Option<&'a [f32]>,
    /// At the end.
    pub norm: LayerNorm<'a>,
}

/// Which tokens ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queries {
    /// All: there is a row for each.
    All,
    /// The first of each document: there is a row for each document.
    First,
}

impl AttentionLayer<'_> {
    /// Whether [`attention_layer`] can compute it.
    pub fn fits(&self) -> bool {
        let is_int8 = |matrix: &PackedMatrix| matrix.format() == PackedFormat::Int8;
        let shape = &self.shape;
        is_int8(self.input)
            && is_int8(self.output)
            && shape.heads == shape.kv_heads
            && !shape.causal
            && shape.window.is_none()
    }
}

/// The layer's output for `x` `[tokens, width]` and the documents that begin at `starts`, into `out` `[tokens or documents, width]`.
pub fn attention_layer(layer: &AttentionLayer<'_>, x: &[f32], starts: &[usize], queries: Queries, out: &mut [f32]) {
    let (shape, width) = (&layer.shape, layer.output.rows());
    let columns = shape.heads * shape.head_dim;
    let (tokens, documents) = (x.len() / width, starts.len() - 1);
    let written = if queries == Queries::All { tokens } else { documents };
    assert!(
        layer.fits()
            && (layer.input.rows(), layer.input.columns()) == (3 * columns, width)
            && layer.output.columns() == columns
            && out.len() == written * width
            && starts.first() == Some(&0)
            && starts.last() == Some(&tokens)
            && starts.windows(2).all(|ends| ends[0] < ends[1]),
        "attention_layer: {:?}, {:?}, {shape:?}, {tokens} tokens, {documents} documents, {} numbers out",
        layer.input,
        layer.output,
        out.len()
    );
    let isa = Isa::current();
    let pieces = if columns.is_multiple_of(ALIGNED) { pieces(shape.heads, shape.head_dim, COLUMNS) } else { 1 };
    let groups = of_documents(starts, groups(tokens, pieces), queries);
    let around = Layer { x, width, pieces, bias: layer.output_bias, norm: layer.norm };
    let part = AttentionShape { heads: shape.heads / pieces, kv_heads: shape.heads / pieces, ..*shape };
    let own = part.heads * part.head_dim;
    let piece = |group: &Group, codes: &Codes, number: usize, sums: &mut [f32], add: bool| {
        let starts: Vec<usize> =
            starts[group.documents.start..=group.documents.end].iter().map(|start| start - group.read.start).collect();
        let rows = group.read.len();
        let mut fused = Buffer::scratch(rows * 3 * own);
        let project = |codes: &Codes, first: usize, count: usize, to: usize, fused: &mut [f32]| {
            let outputs = first..first + count;
            let bias = layer.input_bias.map(|bias| &bias[outputs.clone()]);
            let target = Target { data: &mut fused[to..], row: 3 * own, add: false };
            layer.input.multiply_part(codes, 0..width, outputs, bias, target);
        };
        if pieces == 1 {
            project(codes, 0, 3 * own, 0, &mut fused);
        } else {
            // Queries of other tokens than the first are not looked at.
            match queries {
                Queries::All => project(codes, number * own, own, 0, &mut fused),
                Queries::First => {
                    project(&codes.select(starts[..starts.len() - 1].iter().copied()), number * own, own, 0, &mut fused)
                }
            }
            project(codes, columns + number * own, own, own, &mut fused);
            project(codes, 2 * columns + number * own, own, 2 * own, &mut fused);
        }
        let first_rows = queries == Queries::First && pieces > 1;
        let attended = attend(&part, &fused, &starts, queries, first_rows);
        let attended = Codes::of(isa, &attended, own);
        let inputs = number * own..(number + 1) * own;
        layer.output.multiply_part(&attended, inputs, 0..width, None, Target { data: sums, row: width, add });
    };
    let residual = |row: usize| if queries == Queries::All { row } else { starts[row] };
    around.run(&groups, piece, residual, out);
}

/// Groups of whole documents, about equal in tokens.
fn of_documents(starts: &[usize], count: usize, queries: Queries) -> Vec<Group> {
    let (tokens, documents) = (starts[starts.len() - 1], starts.len() - 1);
    let mut groups = Vec::with_capacity(count);
    let mut first = 0;
    for number in 1..=count {
        let end = if number == count {
            documents
        } else {
            let wanted = tokens * number / count;
            let after = starts.partition_point(|&start| start < wanted);
            // The nearer of the two ends around.
            if after > 0 && wanted - starts[after - 1] < starts[after] - wanted { after - 1 } else { after }
        };
        if end > first {
            let (read, own) = (starts[first]..starts[end], first..end);
            let written = if queries == Queries::All { read.clone() } else { own.clone() };
            groups.push(Group { read, written, documents: own });
            first = end;
        }
    }
    groups
}
