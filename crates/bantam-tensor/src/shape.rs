//! The sizes of a tensor, slowest first, held inline.

use std::ops::Deref;

/// The most dimensions that a tensor has.
const MOST: usize = 4;

/// Up to four sizes, slowest first. A scalar is `[1]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    sizes: [usize; MOST],
    rank: usize,
}

impl Shape {
    /// The number of elements.
    pub fn length(&self) -> usize {
        self.iter().product()
    }

    /// The last size: how many numbers a row has.
    pub fn width(&self) -> usize {
        self[self.rank - 1]
    }

    /// The product of all sizes but the last.
    pub fn rows(&self) -> usize {
        self[..self.rank - 1].iter().product()
    }

    /// The same rows with another width.
    pub fn with_width(mut self, width: usize) -> Shape {
        self.sizes[self.rank - 1] = width;
        self
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }
}

impl From<&[usize]> for Shape {
    fn from(given: &[usize]) -> Self {
        assert!((1..=MOST).contains(&given.len()), "a shape has 1 to {MOST} sizes, not {given:?}");
        let mut sizes = [1; MOST];
        sizes[..given.len()].copy_from_slice(given);
        Shape { sizes, rank: given.len() }
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(given: [usize; N]) -> Self {
        Shape::from(&given[..])
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_width_make_up_the_length() {
        for shape in [Shape::from([7]), Shape::from([3, 5]), Shape::from([2, 3, 4]), Shape::from([2, 0, 4, 1])] {
            assert_eq!(shape.rows() * shape.width(), shape.length());
        }
        assert_eq!(&*Shape::from([2, 3, 4]).with_width(9), &[2, 3, 9]);
    }

    #[test]
    #[should_panic(expected = "1 to 4 sizes")]
    fn a_shape_has_a_size() {
        let _ = Shape::from([]);
    }
}
