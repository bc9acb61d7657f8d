//! What parts the columns of a CSV file: commas, or what the first line shows.

use std::io::{self, BufRead, BufReader, Cursor, Read};

/// What may part columns, the usual first. European spreadsheets write semicolons.
const KNOWN: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Bytes of the first line that are looked at.
const LOOKED_AT: u64 = 64 * 1024;

/// How a table begins.
pub(super) struct Beginning {
    /// What parts its columns.
    pub(super) separator: u8,
    /// The line of its header: 2 after a line like `sep=;`.
    pub(super) line: u64,
    /// From the header on.
    pub(super) input: Box<dyn Read + Send>,
}

/// Looks at the first line: what stands most often between its names parts the columns, unless it is `sep=` with the
/// separator, as Excel has it.
///
/// # Errors
/// What reading the first line says.
pub(super) fn look(input: Box<dyn Read + Send>) -> io::Result<Beginning> {
    let mut input = BufReader::new(input);
    let mut first = Vec::new();
    (&mut input).take(LOOKED_AT).read_until(b'\n', &mut first)?;
    if let Some(separator) = named(&first) {
        return Ok(Beginning { separator, line: 2, input: Box::new(input) });
    }
    let separator = most_frequent(&first);
    Ok(Beginning { separator, line: 1, input: Box::new(Cursor::new(first).chain(input)) })
}

fn named(line: &[u8]) -> Option<u8> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line {
        [word @ .., separator] if word.eq_ignore_ascii_case(b"sep=") && KNOWN.contains(separator) => Some(*separator),
        _ => None,
    }
}

fn most_frequent(line: &[u8]) -> u8 {
    let mut counts = [0_usize; KNOWN.len()];
    let mut is_quoted = false;
    for byte in line.iter().take_while(|&&byte| byte != b'\r') {
        is_quoted ^= *byte == b'"';
        if let Some(known) = KNOWN.iter().position(|known| known == byte).filter(|_| !is_quoted) {
            counts[known] += 1;
        }
    }
    // Of equals, the usual one.
    let best = (0..KNOWN.len()).rev().max_by_key(|&known| counts[known]);
    KNOWN[best.unwrap_or(0)]
}
