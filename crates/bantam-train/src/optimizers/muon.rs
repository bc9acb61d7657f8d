//! Muon (Jordan et al. 2024): momentum, then the nearest orthogonal matrix by Newton and Schulz's iteration.

use bantam_kernels::gemm::{Epilogue, Operand, Precision, multiply};
use bantam_kernels::memory::Buffer;
use bantam_model::schema::Entry;

/// One step's settings.
pub(super) struct Muon {
    pub(super) learning_rate: f32,
    pub(super) weight_decay: f32,
    pub(super) gradient_scale: f32,
    pub(super) momentum: f32,
}

/// Coefficients of the quintic iteration, tuned by Jordan et al. for fast growth of small singular values.
const QUINTIC: [f32; 3] = [3.4445, -4.7750, 2.0315];
const ITERATIONS: usize = 5;

/// Moves one matrix, each of its fused parts by itself: query, key and value are different maps.
pub(super) fn step(entry: &Entry, numbers: &mut [f32], gradient: &[f32], momentum: &mut Buffer, muon: &Muon) {
    let columns = entry.shape()[1];
    let mut start = 0;
    for part in &entry.parts {
        let end = start + part.rows.size * columns;
        let (numbers, momentum) = (&mut numbers[start..end], &mut momentum[start..end]);
        let mut update = Buffer::scratch(end - start);
        for ((update, average), &g) in update.iter_mut().zip(momentum.iter_mut()).zip(&gradient[start..end]) {
            let g = g * muon.gradient_scale;
            *average += (1.0 - muon.momentum) * (g - *average);
            *update = g + muon.momentum * (*average - g);
        }
        let direction = orthogonal(&update, part.rows.size, columns);
        let rate = muon.learning_rate * (part.rows.size as f32 / columns as f32).max(1.0).sqrt();
        let keep = 1.0 - muon.learning_rate * muon.weight_decay;
        for (w, d) in numbers.iter_mut().zip(direction.iter()) {
            *w = *w * keep - rate * d;
        }
        start = end;
    }
}

/// Nearly the orthogonal factor of `matrix` `[rows, columns]`: singular values come out between 0.7 and 1.2.
fn orthogonal(matrix: &[f32], rows: usize, columns: usize) -> Buffer {
    let norm = matrix.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
    let scale = 1.0 / (norm * 1.01 + 1e-6);
    let wide = rows <= columns;
    let (short, long) = if wide { (rows, columns) } else { (columns, rows) };
    let mut x = Buffer::scratch(matrix.len());
    for r in 0..short {
        for c in 0..long {
            x[r * long + c] = scale * if wide { matrix[r * long + c] } else { matrix[c * short + r] };
        }
    }
    let [a, b, c] = QUINTIC;
    for _ in 0..ITERATIONS {
        let mut gram = Buffer::scratch(short * short);
        let operand = Operand::new(&x, short, long);
        multiply(Precision::F32, operand, operand.t(), &mut gram, &Epilogue::default());
        let mut polynomial = Buffer::scratch(short * short);
        let squared = Operand::new(&gram, short, short);
        multiply(Precision::F32, squared, squared, &mut polynomial, &Epilogue::default());
        for (p, g) in polynomial.iter_mut().zip(gram.iter()) {
            *p = b * g + c * *p;
        }
        let mut next = Buffer::scratch(x.len());
        let left = Operand::new(&polynomial, short, short);
        multiply(Precision::F32, left, Operand::new(&x, short, long), &mut next, &Epilogue::default());
        for (n, x) in next.iter_mut().zip(x.iter()) {
            *n += a * x;
        }
        x = next;
    }
    if wide {
        return x;
    }
    let mut back = Buffer::scratch(x.len());
    for r in 0..rows {
        for c in 0..columns {
            back[r * columns + c] = x[c * rows + r];
        }
    }
    back
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_model::Random;

    #[test]
    fn singular_values_come_near_one_whatever_the_shape() {
        for (rows, columns) in [(12, 20), (20, 12), (16, 16)] {
            let mut random = Random::new(5, 0);
            let matrix: Vec<f32> = (0..rows * columns).map(|_| random.normal()).collect();
            let x = orthogonal(&matrix, rows, columns);
            let (short, wide) = (rows.min(columns), rows <= columns);
            // The trace of the Gram matrix is the sum of squared singular values.
            let trace: f32 = x.iter().map(|v| v * v).sum();
            let mean = trace / short as f32;
            assert!((0.5..1.5).contains(&mean), "{rows}x{columns}: mean squared singular value {mean} (wide: {wide})");
            let kept: f32 = x.iter().zip(&matrix).map(|(a, b)| a * b).sum();
            assert!(kept > 0.0, "the direction must agree with the gradient");
        }
    }
}
