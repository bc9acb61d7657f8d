//! Weights in groups of few bits, each group with the scale and the codes that lose least.

use bantam_kernels::gemm::grouped::{Bits, GROUP, fit_group, quantize_group};
use bantam_kernels::pool;
use bantam_model::arrays::{Array, Arrays, Values};
use bantam_model::schema::{Entry, Kind, Schema};
use half::f16;

use crate::importance::Importance;

/// The arrays with matrices and tables in groups of as many bits as `bits` says, `None` leaving a weight as it is. With `importance` each column
/// counts as much as it is used. Vectors, and weights whose rows are no whole groups, stay as they are.
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
    let mut fitted = vec![([0i8; GROUP], f16::ZERO); values.len()];
    pool::for_each_chunk(&mut fitted, groups.max(1), |row, fitted| {
        for (index, (codes, scale)) in fitted.iter_mut().enumerate() {
            let values = &values[row * groups + index];
            *scale = match columns {
                Some(columns) => {
                    fit_group(values, &weighted(values, &columns.as_chunks::<GROUP>().0[index]), bits, codes)
                }
                None => quantize_group(values, bits, codes),
            };
        }
    });
    let codes = fitted.iter().flat_map(|(codes, _)| *codes).collect();
    let scales = fitted.iter().map(|(_, scale)| *scale).collect();
    Array { shape: array.shape.clone(), values: Values::Grouped { bits, codes, scales } }
}

fn weighted(values: &[f32; GROUP], columns: &[f32; GROUP]) -> [f32; GROUP] {
    match std::env::var("WTQ").as_deref() {
        Ok("plain") => *columns,
        Ok("abs") => std::array::from_fn(|i| columns[i] * values[i].abs()),
        Ok("root") => {
            let sigma = 2.0 * values.iter().map(|x| x * x).sum::<f32>() / 32.0;
            std::array::from_fn(|i| columns[i] * (sigma + values[i] * values[i]).sqrt())
        }
        _ => *columns,
    }
}
