//! Weights in groups of few bits, each group with the scale and the codes that lose least.

use bantam_kernels::gemm::grouped::{Bits, GROUP, fit_group};
use bantam_kernels::pool;
use bantam_model::arrays::{Array, Arrays, Values};
use bantam_model::schema::{Entry, Kind, Schema};
use half::f16;

use crate::importance::Importance;

/// The arrays with matrices and tables in groups of as many bits as `bits` says, `None` leaving a weight as it is. With `importance` each column
/// counts as much as it is used, without it all count alike. Vectors, and weights whose rows are no whole groups, stay as they are.
///
/// # Panics
/// When an array of the schema is not there: the arrays were checked when they were loaded.
pub fn group(
    schema: &Schema,
    arrays: &Arrays,
    bits: impl Fn(&Entry) -> Option<Bits>,
    importance: Option<&Importance>,
) -> Arrays {
    let mut grouped = Arrays::new();
    for entry in schema.entries() {
        let bits = if entry.kind == Kind::Vector { None } else { bits(entry) };
        for part in &entry.parts {
            let array = &arrays[&part.name];
            let columns = importance.and_then(|importance| importance.of(&part.name));
            let array = match bits {
                Some(bits) if array.row_len().is_multiple_of(GROUP) => grouped_array(array, bits, columns),
                _ => array.clone(),
            };
            grouped.insert(part.name.clone(), array);
        }
    }
    grouped
}

fn grouped_array(array: &Array, bits: Bits, columns: Option<&[f32]>) -> Array {
    let (values, groups) = (array.to_f32(), array.row_len() / GROUP);
    let values = values.as_chunks::<GROUP>().0;
    let columns = columns.map(|columns| columns.as_chunks::<GROUP>().0);
    let mut fitted = vec![([0i8; GROUP], f16::ZERO); values.len()];
    pool::for_each_chunk(&mut fitted, groups.max(1), |row, fitted| {
        for (index, (codes, scale)) in fitted.iter_mut().enumerate() {
            let importance = columns.map_or(&[1.0; GROUP], |columns| &columns[index]);
            *scale = fit_group(&values[row * groups + index], importance, bits, codes);
        }
    });
    let codes = fitted.iter().flat_map(|(codes, _)| *codes).collect();
    let scales = fitted.iter().map(|(_, scale)| *scale).collect();
    Array { shape: array.shape.clone(), values: Values::Grouped { bits, codes, scales } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_model::Random;
    use bantam_model::schema::{Axis, Initial};

    /// Two matrices, one of rows that are no whole groups, and a vector.
    fn sample() -> (Schema, Arrays) {
        let (mut schema, mut random) = (Schema::new(), Random::new(2, 0));
        let (rows, wide, narrow) = (Axis::new("rows", 6), Axis::new("wide", 64), Axis::new("narrow", 40));
        schema.matrix("wide", rows.clone(), wide.clone(), Initial::Zeros);
        schema.table("table", rows.clone(), wide, Initial::Zeros);
        schema.matrix("narrow", rows.clone(), narrow, Initial::Zeros);
        schema.vector("gain", rows, Initial::Ones);
        let mut draw = |entry: &Entry| {
            let values = (0..entry.len()).map(|_| random.normal()).collect();
            (entry.name().to_owned(), Array::plain(entry.shape(), values))
        };
        let arrays = schema.entries().iter().map(&mut draw).collect();
        (schema, arrays)
    }

    #[test]
    fn what_has_whole_groups_is_grouped_as_asked_and_the_rest_stays() {
        let (schema, arrays) = sample();
        let bits = |entry: &Entry| Some(if entry.kind == Kind::Table { Bits::Eight } else { Bits::Four });
        let grouped = group(&schema, &arrays, bits, None);
        let bits_of = |name: &str| match &grouped[name].values {
            Values::Grouped { bits, .. } => Some(*bits),
            _ => None,
        };
        assert_eq!((bits_of("wide"), bits_of("table")), (Some(Bits::Four), Some(Bits::Eight)));
        assert_eq!((&grouped["narrow"], &grouped["gain"]), (&arrays["narrow"], &arrays["gain"]));
        assert_eq!(group(&schema, &arrays, |_| None, None), arrays);
    }

    #[test]
    fn columns_that_are_used_lose_less() {
        let (schema, arrays) = sample();
        let columns: Vec<f32> = (0..64).map(|column| if column % 4 == 0 { 1.0 } else { 0.01 }).collect();
        let importance = Importance::from_columns([("wide".to_owned(), columns.clone())]);
        let lost = |importance: Option<&Importance>| -> f64 {
            let found = group(&schema, &arrays, |_| Some(Bits::Four), importance)["wide"].to_f32();
            let pairs = arrays["wide"].to_f32().into_iter().zip(found).enumerate();
            pairs.map(|(place, (a, b))| f64::from(columns[place % 64] * (a - b).powi(2))).sum()
        };
        assert!(lost(Some(&importance)) < 0.8 * lost(None), "{} against {}", lost(Some(&importance)), lost(None));
    }
}
