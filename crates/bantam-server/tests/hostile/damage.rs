//! Damaged inputs: each is made from a whole one by a few changes, the same for the same numbers.

use bantam_model::Random;

/// Numbers that sizes and counts go wrong at.
const EDGES: [u64; 8] = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX];
/// Parts of JSON that parsers and their users go wrong at.
const PIECES: [&[u8]; 12] = [
    b"null",
    b"-1",
    b"1e999",
    b"{}",
    b"[]",
    b"\"\"",
    b"[[[[",
    b"\\u0000",
    b"\xff\xfe",
    b"18446744073709551616",
    b"true",
    b"\"",
];

/// `seed` with one to eight changes; `other` is where foreign parts come from.
pub(crate) fn damaged(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(33)).min(bytes.len());
        match random.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            2 => {
                let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
                let width = [1, 2, 4, 8][random.below(4)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&edge[..width]);
            }
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                drop(bytes.splice(to..to, copy));
            }
            5 => {
                let from = random.below(other.len() + 1);
                let until = (from + random.below(65)).min(other.len());
                drop(bytes.splice(at..end, other[from..until].iter().copied()));
            }
            6 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            // A digit, which is where text has its numbers.
            7 => {
                if let Some(digit) = bytes[at..].iter().position(u8::is_ascii_digit) {
                    bytes[at + digit] = b'0' + random.below(10) as u8;
                }
            }
            _ if random.below(8) == 0 => bytes.truncate(at),
            _ => {}
        }
    }
    bytes
}
