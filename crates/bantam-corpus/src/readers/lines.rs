//! Lines of a stream: bounded in length, checked for UTF-8.

use std::io::{BufRead, BufReader, Read};

use super::Place;
use crate::Error;

/// Reads a stream line by line.
pub(super) struct Lines<R> {
    place: Place,
    input: BufReader<R>,
    limit: usize,
    line: u64,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(place: Place, input: R, limit: usize) -> Self {
        Lines { place, input: BufReader::new(input), limit, line: 0 }
    }

    /// The next line with its number, without its end (`\n` or `\r\n`), `None` at the end of the stream.
    pub(super) fn next_line(&mut self) -> Option<Result<(u64, String), Error>> {
        self.line += 1;
        let mut bytes = Vec::new();
        // Two more than the limit: room for the end of a line that is just as long as allowed.
        let read = (&mut self.input).take(self.limit as u64 + 2).read_until(b'\n', &mut bytes);
        match read {
            Err(source) => return Some(Err(Error::Read { path: self.place.path.clone(), source })),
            Ok(0) => return None,
            Ok(_) => {}
        }
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        if bytes.len() > self.limit {
            return Some(Err(Error::TooLong { path: self.place.path.clone(), line: self.line, limit: self.limit }));
        }
        if self.line == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        Some(match String::from_utf8(bytes) {
            Ok(text) => Ok((self.line, text)),
            Err(fault) => Err(Error::NotUtf8 {
                path: self.place.path.clone(),
                line: self.line,
                column: fault.utf8_error().valid_up_to() + 1,
            }),
        })
    }
}

/// What Windows programs put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
