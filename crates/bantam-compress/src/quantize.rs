//! Eight bits per weight: one scale per row, rounded to the nearest code.

use bantam_kernels::gemm::quantize_rows;
use bantam_model::arrays::{Array, Arrays, Values};
use bantam_model::schema::{Kind, Schema};

/// The arrays with every matrix and table in int8; vectors stay as they are, being few and sensitive.
///
/// # Panics
/// When an array of the schema is not there: the arrays were checked when they were loaded.
pub fn quantize(schema: &Schema, arrays: &Arrays) -> Arrays {
    let mut packed = Arrays::new();
    for entry in schema.entries() {
        for part in &entry.parts {
            let array = &arrays[&part.name];
            let array = match (entry.kind, &array.values) {
                (Kind::Matrix | Kind::Table, Values::F32(values)) => {
                    let (codes, scales) = quantize_rows(values, array.rows(), array.row_len());
                    Array { shape: array.shape.clone(), values: Values::Int8 { codes, scales } }
                }
                _ => array.clone(),
            };
            packed.insert(part.name.clone(), array);
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_model::Random;
    use bantam_model::schema::{Axis, Initial};

    #[test]
    fn no_weight_moves_by_more_than_half_a_code_and_vectors_do_not_move() {
        let mut schema = Schema::new();
        schema.matrix("matrix", Axis::new("rows", 5), Axis::new("columns", 33), Initial::Zeros);
        schema.vector("gain", Axis::new("columns", 33), Initial::Ones);
        let mut random = Random::new(3, 0);
        let mut draw = |shape: Vec<usize>| {
            let values = (0..shape.iter().product()).map(|_| random.normal()).collect();
            Array::plain(shape, values)
        };
        let arrays: Arrays = [("matrix".to_owned(), draw(vec![5, 33])), ("gain".to_owned(), draw(vec![33]))].into();
        let packed = quantize(&schema, &arrays);
        assert_eq!(packed["gain"], arrays["gain"]);
        let (before, after) = (arrays["matrix"].to_f32(), packed["matrix"].to_f32());
        for (before, after) in before.chunks(33).zip(after.chunks(33)) {
            let half_code = before.iter().fold(0.0f32, |most, x| most.max(x.abs())) / 127.0 / 2.0;
            let worst = before.iter().zip(after).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(worst <= half_code * 1.001, "{worst} against {half_code}");
        }
        assert_eq!(packed["matrix"].bytes(), 5 * 33 + 5 * 4);
    }
}
