//! Names beside points, each where it covers nothing.

/// Width of a letter and height of a line, for the wide letters and the 13 units of a phone.
const LETTER: f64 = 7.0;
const LINE: f64 = 13.0;

/// A rectangle: left, top, right, bottom.
pub(super) type Area = [f64; 4];

/// Where a name goes: its left end on the base line, and whether it stands so far away that it needs a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    /// Left end and base line.
    pub(super) at: (f64, f64),
    /// The place that a line from the point should end at, where one is needed.
    pub(super) leader: Option<(f64, f64)>,
}

/// Finds a place for each name in turn: near its point, inside `bounds`, off the `obstacles`, the points and the names placed before.
pub(super) fn arrange(points: &[((f64, f64), &str)], obstacles: &[Area], bounds: Area) -> Vec<Place> {
    let mut taken: Vec<Area> = points.iter().map(|((x, y), _)| [x - 7.0, y - 7.0, x + 7.0, y + 7.0]).collect();
    taken.extend(obstacles);
    let mut places = Vec::with_capacity(points.len());
    for (point, name) in points {
        let width = name.chars().count() as f64 * LETTER;
        let mut best: Option<(f64, Area, f64)> = None;
        for (order, (area, distance)) in candidates(*point, width).into_iter().enumerate() {
            let covered: f64 = taken.iter().map(|other| overlap(&area, other)).sum();
            let outside = width * LINE - overlap(&area, &bounds);
            let cost = covered + 40.0 * outside.max(0.0) + distance + order as f64 * 0.05;
            if best.as_ref().is_none_or(|(least, _, _)| cost < *least) {
                best = Some((cost, area, distance));
            }
        }
        let Some((_, area, distance)) = best else { continue };
        taken.push(area);
        let at = (area[0], area[3] - 3.0);
        let nearest = (point.0.clamp(area[0], area[2]), point.1.clamp(area[1], area[3]));
        places.push(Place { at, leader: (distance > 20.0).then_some(nearest) });
    }
    places
}

/// Areas around a point, the nearest and most usual first, with their distance from it.
fn candidates((x, y): (f64, f64), width: f64) -> Vec<(Area, f64)> {
    let mut all = Vec::new();
    for distance in [0.0, 5.0, 14.0, 26.0, 42.0, 60.0, 80.0] {
        let gap = 10.0 + distance;
        let half = LINE / 2.0;
        let corners = [
            (x + gap, y - half),
            (x - gap - width, y - half),
            (x - width / 2.0, y - gap - LINE),
            (x - width / 2.0, y + gap),
            (x + 6.0, y - gap - LINE),
            (x + 6.0, y + gap),
            (x - width - 6.0, y - gap - LINE),
            (x - width - 6.0, y + gap),
        ];
        all.extend(corners.map(|(left, top)| ([left, top, left + width, top + LINE], distance)));
    }
    all
}

fn overlap(a: &Area, b: &Area) -> f64 {
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    width * height
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crowded_names_do_not_overlap_and_stay_inside() {
        let names = ["bundle, 8 bits", "student, pruned", "student, distilled", "TF-IDF + linear SVM", "teacher"];
        let points: Vec<((f64, f64), &str)> = names
            .iter()
            .enumerate()
            .map(|(i, name)| ((200.0 + 3.0 * i as f64, 100.0 + 2.0 * i as f64), *name))
            .collect();
        let places = arrange(&points, &[], [0.0, 0.0, 420.0, 300.0]);
        let areas: Vec<Area> = places
            .iter()
            .zip(names)
            .map(|(place, name)| {
                let (x, y) = place.at;
                [x, y - LINE + 3.0, x + name.len() as f64 * LETTER, y + 3.0]
            })
            .collect();
        for (index, area) in areas.iter().enumerate() {
            assert!(area[0] >= 0.0 && area[2] <= 420.0 && area[1] >= 0.0, "{area:?}");
            assert!(areas[..index].iter().all(|other| overlap(area, other) < 1e-6), "{areas:?}");
        }
    }
}
