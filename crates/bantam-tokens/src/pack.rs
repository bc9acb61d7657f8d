//! Packing of token lists into rows of a fixed capacity, so that training wastes little of a batch.

/// Groups lists of the given `lengths` (in tokens) into rows of at most `capacity` tokens by best-fit decreasing:
/// the longest first, each into the fullest row that still has room. Returns the indices of the lists of each row; a
/// list longer than `capacity` gets a row of its own. Deterministic; rows stand in the order of their first list.
pub fn pack(lengths: &[usize], capacity: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(lengths[index]), index));
    let mut rows: Vec<Vec<usize>> = Vec::new();
    // (room left, row): the first entry with room >= length is the fullest row that fits.
    let mut open: std::collections::BTreeSet<(usize, usize)> = std::collections::BTreeSet::new();
    for index in order {
        let length = lengths[index];
        let fitting = open.range((length, 0)..).next().copied();
        let (room, row) = match fitting {
            Some(entry) => {
                open.remove(&entry);
                entry
            }
            None => {
                rows.push(Vec::new());
                (capacity.max(length), rows.len() - 1)
            }
        };
        rows[row].push(index);
        if room > length {
            open.insert((room - length, row));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::pack;

    #[test]
    fn fills_rows_tightly() {
        assert_eq!(pack(&[6, 4, 3, 7], 10), vec![vec![3, 2], vec![0, 1]]);
        assert_eq!(pack(&[12, 1], 10), vec![vec![0], vec![1]], "a list above the capacity stands alone");
        assert!(pack(&[], 10).is_empty());
    }

    #[test]
    fn every_list_once_and_no_row_above_capacity() {
        let mut state = 7u64;
        let lengths: Vec<usize> = (0..500)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as usize % 64
            })
            .collect();
        let rows = pack(&lengths, 64);
        let mut seen: Vec<usize> = rows.iter().flatten().copied().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..500).collect::<Vec<_>>());
        assert!(rows.iter().all(|row| row.iter().map(|&index| lengths[index]).sum::<usize>() <= 64));
        // Best-fit decreasing needs at most 11/9 of the optimum, plus one (Johnson, 1973); lists above half a row can
        // never share one, so their number bounds the optimum from below.
        let optimum_at_least = lengths.iter().filter(|&&length| length > 32).count();
        assert!(rows.len() * 9 <= optimum_at_least * 11 + 9, "{} rows, at least {optimum_at_least}", rows.len());
    }
}
