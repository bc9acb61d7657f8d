//! The scales and least values of Q4_K and Q5_K: sixteen numbers of 6 bits in 12 bytes.

/// Scales and least values, 0..=63, of the eight stretches of 32 codes.
pub(super) fn unpack(packed: &[u8; 12]) -> ([u8; 8], [u8; 8]) {
    let pair = |stretch: usize| {
        if stretch < 4 {
            return (packed[stretch] & 63, packed[stretch + 4] & 63);
        }
        // The lower four bits of the last four pairs share a byte; their upper two fill up the first eight bytes.
        let (low, scale, least) = (packed[stretch + 4], packed[stretch - 4], packed[stretch]);
        (low & 15 | scale >> 6 << 4, low >> 4 | least >> 6 << 4)
    };
    (std::array::from_fn(|stretch| pair(stretch).0), std::array::from_fn(|stretch| pair(stretch).1))
}
