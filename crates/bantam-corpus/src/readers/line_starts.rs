//! On which line a byte stands: told from the bytes themselves, whatever ends the lines and however many are blank.

use std::collections::VecDeque;

/// The beginnings of lines that have been read and not yet asked for.
pub(super) struct LineStarts {
    /// Offset and line of the first byte of each line that is not blank.
    starts: VecDeque<(u64, u64)>,
    offset: u64,
    line: u64,
    last: u8,
    is_begun: bool,
}

impl LineStarts {
    /// For a stream that begins on `line`.
    pub(super) fn new(line: u64) -> Self {
        Self { starts: VecDeque::new(), offset: 0, line, last: 0, is_begun: false }
    }

    /// Goes over the next bytes of the stream. Lines end with `\n`, `\r\n` or `\r`.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\n' if self.last == b'\r' => {}
                b'\n' | b'\r' => {
                    self.line += 1;
                    self.is_begun = false;
                }
                _ if !self.is_begun => {
                    self.starts.push_back((self.offset, self.line));
                    self.is_begun = true;
                }
                _ => {}
            }
            self.last = byte;
            self.offset += 1;
        }
    }

    /// The line, from 1, of the first line that begins at `offset` or after it and is not blank: of a record whose
    /// parser stands at `offset`. Offsets must not fall from call to call.
    pub(super) fn at(&mut self, offset: u64) -> u64 {
        while self.starts.front().is_some_and(|start| start.0 < offset) {
            self.starts.pop_front();
        }
        self.starts.front().map_or(self.line, |start| start.1)
    }
}
