//! Numbers as JSON has them: what is not finite is written as `null`, and read again as not a number.

use serde::{Deserialize, Deserializer};

/// A number, or `null`.
pub(super) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// Steps and numbers, any of which may be `null`.
pub(super) fn points<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(usize, f64)>, D::Error> {
    let points: Vec<(usize, Option<f64>)> = Vec::deserialize(from)?;
    Ok(points.into_iter().map(|(step, value)| (step, value.unwrap_or(f64::NAN))).collect())
}
