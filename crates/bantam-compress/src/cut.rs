//! Cutting axes: every weight that shares a cut axis loses the same entries.

use std::collections::BTreeMap;

use bantam_model::arrays::Arrays;
use bantam_model::schema::{Axis, Schema};

/// Which entries of which axes stay, by the axes' names; an axis that is not named stays whole.
pub type Cut = BTreeMap<String, Vec<usize>>;

/// The arrays with only the entries that `kept` names, in that order.
///
/// # Panics
/// When an array of the schema is not there, or an index lies outside its axis: both are bugs of the caller.
pub fn cut(schema: &Schema, arrays: &Arrays, kept: &Cut) -> Arrays {
    let wanted = |axis: &Axis| {
        let keep = kept.get(&axis.name)?;
        let inside = keep.iter().all(|&index| index < axis.size);
        assert!(inside, "axis {} has {} entries, and {:?} asks for more", axis.name, axis.size, keep.iter().max());
        Some(keep)
    };
    let mut left = Arrays::new();
    for entry in schema.entries() {
        for part in &entry.parts {
            let mut array = arrays[&part.name].clone();
            if let Some(keep) = wanted(&part.rows) {
                array = array.select_rows(keep);
            }
            if let Some(keep) = entry.columns.as_ref().and_then(wanted) {
                array = array.select_columns(keep);
            }
            left.insert(part.name.clone(), array);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_model::arrays::Array;
    use bantam_model::schema::Initial;

    #[test]
    fn weights_that_share_an_axis_are_cut_together() {
        let mut schema = Schema::new();
        let (width, channels) = (Axis::new("width", 2), Axis::new("channels", 3));
        schema.matrix("up", channels.clone(), width.clone(), Initial::Zeros);
        schema.matrix("down", width.clone(), channels, Initial::Zeros);
        schema.vector("gain", width, Initial::Ones);
        let mut arrays = Arrays::new();
        arrays.insert("up".into(), Array::plain(vec![3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        arrays.insert("down".into(), Array::plain(vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        arrays.insert("gain".into(), Array::plain(vec![2], vec![7.0, 8.0]));
        let left = cut(&schema, &arrays, &[("channels".to_owned(), vec![2, 0])].into());
        assert_eq!(left["up"], Array::plain(vec![2, 2], vec![5.0, 6.0, 1.0, 2.0]));
        assert_eq!(left["down"], Array::plain(vec![2, 2], vec![3.0, 1.0, 6.0, 4.0]));
        assert_eq!(left["gain"], arrays["gain"]);
    }
}
