//! A linear support vector machine, one against the rest: scikit-learn's `LinearSVC`.
//!
//! Each class minimises `|w|²/2 + C * sum of max(0, 1 - y w·x)²` by dual coordinate descent with shrinking (Hsieh et al. 2008: "A dual
//! coordinate descent method for large-scale linear SVM", as in liblinear). The intercept is the weight of a column that is 1 in
//! every row, and is regularised like the others.

use bantam_kernels::pool;
use bantam_model::Random;

use super::SparseRows;

/// How a support vector machine is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SvmOptions {
    /// C: what an error costs beside the length of the weights.
    pub cost: f64,
    /// Training ends when the projected gradients of a round spread no more than this.
    pub tolerance: f64,
    /// Rounds at most.
    pub rounds: usize,
    /// Seed of the order in which rows are visited.
    pub seed: u64,
}

impl Default for SvmOptions {
    /// As scikit-learn: C = 1, tolerance 1e-4, 1,000 rounds.
    fn default() -> Self {
        Self { cost: 1.0, tolerance: 1e-4, rounds: 1_000, seed: 0 }
    }
}

/// The planes of all classes.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearSvm {
    /// \[columns, classes\]: a column's weights for all classes lie together, since a text has few columns.
    weights: Vec<f32>,
    /// \[classes\]
    biases: Vec<f32>,
}

impl LinearSvm {
    /// Trains one plane per class; rows without a label lie on the far side of all of them. The same input gives the same planes on any
    /// number of threads.
    ///
    /// # Panics
    /// When there is not one label per row.
    pub fn train(rows: &SparseRows, labels: &[Option<usize>], classes: usize, options: &SvmOptions) -> Self {
        assert_eq!(rows.len(), labels.len(), "{} rows and {} labels", rows.len(), labels.len());
        let squares: Vec<f64> =
            (0..rows.len()).map(|row| rows.row(row).1.iter().map(|&x| f64::from(x).powi(2)).sum()).collect();
        let stride = rows.width() + 1;
        let mut planes = vec![0.0f32; stride * classes];
        pool::for_each_chunk(&mut planes, stride, |class, plane| {
            let signs: Vec<bool> = labels.iter().map(|label| *label == Some(class)).collect();
            descend(rows, &squares, &signs, options, Random::new(options.seed, class as u64), plane);
        });
        let column = |column: usize| planes.iter().skip(column).step_by(stride).copied();
        let weights = (0..rows.width()).flat_map(column).collect();
        Self { weights, biases: column(rows.width()).collect() }
    }

    /// Planes from the numbers of others: weights \[columns, classes\], biases \[classes\].
    ///
    /// # Panics
    /// When the two do not fit together.
    pub fn from_parts(weights: Vec<f32>, biases: Vec<f32>) -> Self {
        assert!(
            !biases.is_empty() && weights.len().is_multiple_of(biases.len()),
            "{} weights for {} classes",
            weights.len(),
            biases.len()
        );
        Self { weights, biases }
    }

    /// \[columns, classes\]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// \[classes\]
    pub fn biases(&self) -> &[f32] {
        &self.biases
    }

    /// The signed distance of a row to each plane, in margins.
    ///
    /// # Panics
    /// When a column is unknown.
    pub fn margins(&self, row: &[(u32, f32)]) -> Vec<f32> {
        let classes = self.biases.len();
        let mut margins = self.biases.clone();
        for &(column, value) in row {
            let weights = &self.weights[column as usize * classes..][..classes];
            margins.iter_mut().zip(weights).for_each(|(margin, weight)| *margin += value * weight);
        }
        margins
    }
}

/// Finds one plane: weights in all but the last place of `plane`, the intercept there.
fn descend(
    rows: &SparseRows,
    squares: &[f64],
    signs: &[bool],
    options: &SvmOptions,
    mut random: Random,
    plane: &mut [f32],
) {
    let diagonal = 0.5 / options.cost;
    let (weights, bias) = plane.split_at_mut(rows.width());
    let bias = &mut bias[0];
    let mut alphas = vec![0.0f64; rows.len()];
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let mut active = rows.len();
    let mut shrink_above = f64::INFINITY;
    for _ in 0..options.rounds {
        let (mut greatest, mut least) = (f64::NEG_INFINITY, f64::INFINITY);
        random.shuffle(&mut order[..active]);
        let mut place = 0;
        while place < active {
            let index = order[place];
            let (columns, values) = rows.row(index);
            let sign = if signs[index] { 1.0 } else { -1.0 };
            let gradient = sign * f64::from(dot(weights, columns, values) + *bias) - 1.0 + alphas[index] * diagonal;
            if alphas[index] == 0.0 && gradient > shrink_above {
                active -= 1;
                order.swap(place, active);
                continue;
            }
            place += 1;
            // At the bound only a step inwards counts.
            let projected = if alphas[index] == 0.0 { gradient.min(0.0) } else { gradient };
            greatest = greatest.max(projected);
            least = least.min(projected);
            if projected.abs() > 1e-12 {
                let next = (alphas[index] - gradient / (squares[index] + 1.0 + diagonal)).max(0.0);
                let step = ((next - alphas[index]) * sign) as f32;
                alphas[index] = next;
                columns.iter().zip(values).for_each(|(&column, value)| weights[column as usize] += step * value);
                *bias += step;
            }
        }
        if greatest - least <= options.tolerance {
            if active == rows.len() {
                break;
            }
            // Good on what is left: look at all rows once more before believing it.
            active = rows.len();
            shrink_above = f64::INFINITY;
        } else {
            shrink_above = if greatest <= 0.0 { f64::INFINITY } else { greatest };
        }
    }
}

/// Four sums side by side, so that no addition waits for the one before.
fn dot(weights: &[f32], columns: &[u32], values: &[f32]) -> f32 {
    let mut sums = [0.0f32; 4];
    let (column_parts, value_parts) = (columns.chunks_exact(4), values.chunks_exact(4));
    let rest = column_parts.remainder().iter().zip(value_parts.remainder());
    let tail: f32 = rest.map(|(&column, value)| weights[column as usize] * value).sum();
    for (columns, values) in column_parts.zip(value_parts) {
        for lane in 0..4 {
            sums[lane] += weights[columns[lane] as usize] * values[lane];
        }
    }
    tail + (sums[0] + sums[1]) + (sums[2] + sums[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random_problem(seed: u64) -> (SparseRows, Vec<Option<usize>>) {
        let mut random = Random::new(seed, 0);
        let mut rows = SparseRows::new(12);
        let labels: Vec<_> = (0..60).map(|_| (random.below(7) > 0).then(|| random.below(3))).collect();
        for label in &labels {
            let shift = |column: u32| if *label == Some(column as usize % 3) { 0.7 } else { 0.0 };
            let mut cell = |column| (random.uniform() < 0.5).then(|| (column, random.normal() + shift(column)));
            let row: Vec<(u32, f32)> = (0..12).filter_map(&mut cell).collect();
            rows.push(&row);
        }
        (rows, labels)
    }

    #[test]
    fn the_gradient_of_the_primal_vanishes_at_the_planes() {
        for seed in 0..4 {
            let (rows, labels) = random_problem(seed);
            let options = SvmOptions { cost: 0.7, tolerance: 1e-6, ..SvmOptions::default() };
            let svm = LinearSvm::train(&rows, &labels, 3, &options);
            for class in 0..3 {
                // d/dw = w - 2 C sum of y max(0, 1 - y w·x) x, the intercept's column included.
                let mut gradient: Vec<f64> =
                    (0..12).map(|column| f64::from(svm.weights()[column * 3 + class])).collect();
                gradient.push(f64::from(svm.biases()[class]));
                for (index, label) in labels.iter().enumerate() {
                    let (columns, values) = rows.row(index);
                    let row: Vec<(u32, f32)> = columns.iter().copied().zip(values.iter().copied()).collect();
                    let sign = if *label == Some(class) { 1.0 } else { -1.0 };
                    let slack = (1.0 - sign * f64::from(svm.margins(&row)[class])).max(0.0);
                    row.iter().for_each(|&(c, x)| gradient[c as usize] -= 1.4 * sign * slack * f64::from(x));
                    gradient[12] -= 1.4 * sign * slack;
                }
                let largest = gradient.iter().fold(0.0f64, |largest, part| largest.max(part.abs()));
                assert!(largest < 1e-4, "seed {seed}, class {class}: {largest}");
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_planes() {
        let (rows, labels) = random_problem(9);
        let train = || LinearSvm::train(&rows, &labels, 3, &SvmOptions::default());
        assert_eq!(train(), pool::with_threads(1, train));
    }
}
