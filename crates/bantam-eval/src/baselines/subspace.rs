//! The strongest directions of a sparse matrix: a truncated singular value decomposition by subspace iteration (Halko et al. 2011: "Finding
//! structure with randomness", algorithm 4.4).

use bantam_kernels::pool;
use bantam_model::Random;

use super::SparseRows;

/// Directions beyond those wanted, which make the last of these exact sooner.
const SPARE: usize = 8;
const ROUNDS: usize = 4;

/// The `width` strongest left singular vectors of `matrix`, each times the root of its singular value: \[rows, width\], numbers of a row side by
/// side. `transposed` is the same matrix, columns as rows. Directions that the matrix lacks are zeros. The same input gives the same numbers on
/// any number of threads.
pub(super) fn strongest(matrix: &SparseRows, transposed: &SparseRows, width: usize, seed: u64) -> Vec<f64> {
    let all = (width + SPARE).min(matrix.len()).min(transposed.len());
    if all == 0 {
        return vec![0.0; matrix.len() * width];
    }
    let mut random = Random::new(seed, 0);
    let mut right: Vec<f64> = (0..transposed.len() * all).map(|_| f64::from(random.normal())).collect();
    let mut left = Vec::new();
    for _ in 0..=ROUNDS {
        left = times(matrix, &right, all);
        orthonormalise(&mut left, all);
        // Once more: what rounding left of the other directions.
        orthonormalise(&mut left, all);
        right = times(transposed, &left, all);
    }
    let (values, vectors) = eigen(gram(&right, all), all);
    let mut order: Vec<usize> = (0..all).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let mut found = vec![0.0; matrix.len() * width];
    pool::for_each_chunk(&mut found, width, |row, found| {
        let row = &left[row * all..][..all];
        for (found, &direction) in found.iter_mut().zip(&order) {
            // The values are squares of singular values.
            let strength = values[direction].max(0.0).powf(0.25);
            *found = strength * row.iter().enumerate().map(|(i, x)| x * vectors[i * all + direction]).sum::<f64>();
        }
    });
    found
}

/// A sparse matrix times a dense one of `width` columns.
fn times(matrix: &SparseRows, dense: &[f64], width: usize) -> Vec<f64> {
    let mut product = vec![0.0; matrix.len() * width];
    pool::for_each_chunk(&mut product, width, |row, sums| {
        let (columns, values) = matrix.row(row);
        for (&column, &value) in columns.iter().zip(values) {
            let line = &dense[column as usize * width..][..width];
            sums.iter_mut().zip(line).for_each(|(sum, x)| *sum += f64::from(value) * x);
        }
    });
    product
}

/// The products of all columns with each other: \[width, width\].
fn gram(rows: &[f64], width: usize) -> Vec<f64> {
    let mut sums = vec![0.0; width * width];
    pool::for_each_chunk(&mut sums, width, |column, sums| {
        for row in rows.chunks_exact(width) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += row[column] * x);
        }
    });
    sums
}

/// Makes the columns orthogonal and of length 1, by the Cholesky factor of their products; columns that others already span become zeros.
fn orthonormalise(rows: &mut [f64], width: usize) {
    let mut lower = gram(rows, width);
    let lengths: Vec<f64> = (0..width).map(|i| lower[i * width + i]).collect();
    for i in 0..width {
        for j in 0..=i {
            let before: f64 = (0..j).map(|k| lower[i * width + k] * lower[j * width + k]).sum();
            let rest = lower[i * width + j] - before;
            let diagonal = lower[j * width + j];
            lower[i * width + j] = match i == j {
                true if rest > 1e-12 * lengths[i] => rest.sqrt(),
                false if diagonal > 0.0 => rest / diagonal,
                _ => 0.0,
            };
        }
    }
    pool::for_each_chunk(rows, width, |_, row| {
        for i in 0..width {
            let diagonal = lower[i * width + i];
            let before: f64 = (0..i).map(|k| lower[i * width + k] * row[k]).sum();
            row[i] = if diagonal > 0.0 { (row[i] - before) / diagonal } else { 0.0 };
        }
    });
}

/// The eigenvalues of a symmetric matrix, and its eigenvectors as columns, by Jacobi's rotations (Golub and Van Loan, section 8.5).
fn eigen(mut matrix: Vec<f64>, width: usize) -> (Vec<f64>, Vec<f64>) {
    const SWEEPS: usize = 30;
    let mut vectors = vec![0.0; width * width];
    (0..width).for_each(|i| vectors[i * width + i] = 1.0);
    let whole: f64 = matrix.iter().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let off = |(place, x): (usize, &f64)| if place % (width + 1) == 0 { 0.0 } else { x * x };
        if matrix.iter().enumerate().map(off).sum::<f64>() <= 1e-24 * whole {
            break;
        }
        for p in 0..width {
            for q in p + 1..width {
                let apart = matrix[p * width + q];
                if apart == 0.0 {
                    continue;
                }
                let slope = (matrix[q * width + q] - matrix[p * width + p]) / (2.0 * apart);
                let tangent = slope.signum() / (slope.abs() + (slope * slope + 1.0).sqrt());
                let cosine = (tangent * tangent + 1.0).sqrt().recip();
                let sine = tangent * cosine;
                for i in 0..width {
                    turn(&mut matrix, i * width + p, i * width + q, cosine, sine);
                    turn(&mut vectors, i * width + p, i * width + q, cosine, sine);
                }
                (0..width).for_each(|i| turn(&mut matrix, p * width + i, q * width + i, cosine, sine));
            }
        }
    }
    ((0..width).map(|i| matrix[i * width + i]).collect(), vectors)
}

fn turn(numbers: &mut [f64], a: usize, b: usize, cosine: f64, sine: f64) {
    let (x, y) = (numbers[a], numbers[b]);
    (numbers[a], numbers[b]) = (cosine * x - sine * y, sine * x + cosine * y);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(rows: usize, columns: usize, at: impl Fn(usize, usize) -> f32) -> SparseRows {
        let mut matrix = SparseRows::new(columns);
        for row in 0..rows {
            let line = (0..columns).map(|column| (column as u32, at(row, column)));
            matrix.push(&line.filter(|(_, value)| *value != 0.0).collect::<Vec<_>>());
        }
        matrix
    }

    /// A matrix with known singular values: of each pair of rows and columns, a rotation times its value.
    #[test]
    fn singular_values_and_vectors_of_a_known_matrix_are_found() {
        let values = [9.0f32, 7.0, 5.0, 4.0, 1.0, 0.5];
        let (cosine, sine) = (0.6, 0.8);
        let at = |row: usize, column: usize| match (row / 2 == column / 2, row % 2, column % 2) {
            (false, ..) => 0.0,
            (_, 0, 0) => values[column] * cosine,
            (_, 0, _) => -values[column] * sine,
            (_, _, 0) => values[column] * sine,
            _ => values[column] * cosine,
        };
        let (matrix, transposed) = (sparse(6, 6, at), sparse(6, 6, |row, column| at(column, row)));
        let found = strongest(&matrix, &transposed, 4, 3);
        for (direction, value) in values[..4].iter().enumerate() {
            let column: Vec<f64> = found.chunks(4).map(|row| row[direction]).collect();
            let length = column.iter().map(|x| x * x).sum::<f64>();
            assert!((length - f64::from(*value)).abs() < 1e-4, "{direction}: {length}");
            // It points to where the rotation turned its column.
            let first = direction / 2 * 2;
            let expected = if direction % 2 == 0 { [cosine, sine] } else { [-sine, cosine] };
            let along: f64 = column[first..first + 2].iter().zip(expected).map(|(x, y)| x * f64::from(y)).sum();
            assert!((along * along - length).abs() < 1e-4, "{direction}: {column:?}");
        }
    }

    #[test]
    fn directions_that_a_matrix_lacks_are_zeros() {
        let one = sparse(5, 3, |row, column| (row + 1) as f32 * (column + 1) as f32);
        let turned = sparse(3, 5, |row, column| (row + 1) as f32 * (column + 1) as f32);
        let found = strongest(&one, &turned, 4, 1);
        let length = |direction: usize| found.chunks(4).map(|row| row[direction].powi(2)).sum::<f64>();
        assert!((length(0) - (55.0f64 * 14.0).sqrt()).abs() < 1e-6, "{}", length(0));
        assert!((1..4).all(|direction| length(direction) < 1e-6), "{found:?}");
        assert!(strongest(&SparseRows::new(0), &SparseRows::new(0), 4, 1).is_empty());
    }
}
