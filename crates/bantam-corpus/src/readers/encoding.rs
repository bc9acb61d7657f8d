//! What spreadsheets write: files in UTF-16, told by their byte order mark and read as UTF-8, and that mark before UTF-8.

use std::io::{self, BufReader, Read};

/// Bytes that are decoded at a time.
const CHUNK: usize = 16 * 1024;

/// A stream as UTF-8 without a byte order mark: decoded where it begins with that of UTF-16, else as it is.
///
/// # Errors
/// What reading the first bytes says; or that it seems to be UTF-16 without the mark, with what converts it.
pub(super) fn utf8(mut input: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut mark = Vec::new();
    (&mut input).take(3).read_to_end(&mut mark)?;
    let unit = match mark[..] {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        [first, 0, ..] if first != 0 => return Err(unmarked("utf-16le")),
        [0, second, ..] if second != 0 => return Err(unmarked("utf-16be")),
        [0xef, 0xbb, 0xbf] => return Ok(input),
        _ => return Ok(Box::new(io::Cursor::new(mark).chain(input))),
    };
    let input = BufReader::new(io::Cursor::new(mark.split_off(2)).chain(input));
    Ok(Box::new(Utf16 { input, unit, high: None, text: Vec::new(), given: 0 }))
}

fn unmarked(name: &str) -> io::Error {
    let what = format!("it seems to be UTF-16 without a byte order mark: convert it with `iconv -f {name} -t utf-8`");
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// UTF-16 without its mark, as UTF-8.
struct Utf16<R> {
    input: R,
    unit: fn([u8; 2]) -> u16,
    /// The first half of a pair that the last chunk ended with.
    high: Option<u16>,
    text: Vec<u8>,
    given: usize,
}

impl<R: Read> Utf16<R> {
    /// Decodes the next bytes; `text` stays empty at the end of the stream.
    fn decode(&mut self) -> io::Result<()> {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "it begins as UTF-16 and does not go on so");
        (self.given, self.text) = (0, std::mem::take(&mut self.text));
        self.text.clear();
        let mut bytes = Vec::new();
        (&mut self.input).take(CHUNK as u64).read_to_end(&mut bytes)?;
        let (pairs, rest) = bytes.as_chunks::<2>();
        if !rest.is_empty() || pairs.is_empty() && self.high.is_some() {
            return Err(broken());
        }
        let mut units: Vec<u16> =
            self.high.take().into_iter().chain(pairs.iter().map(|&pair| (self.unit)(pair))).collect();
        self.high = units.pop_if(|unit| (0xd800..0xdc00).contains(unit));
        for character in char::decode_utf16(units) {
            let character = character.map_err(|_| broken())?;
            self.text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() {
            self.decode()?;
            if self.text.is_empty() && self.high.is_none() {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.text.len() - self.given);
        buffer[..count].copy_from_slice(&self.text[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: Vec<u8>) -> io::Result<String> {
        io::read_to_string(utf8(Box::new(io::Cursor::new(bytes)))?)
    }

    #[test]
    fn both_orders_are_read_and_other_bytes_left_as_they_are() {
        // Long enough that a pair of surrogates falls between two chunks.
        for text in ["Größe 🦆\r\n".to_owned(), "a".to_owned() + &"🦆".repeat(CHUNK), String::new()] {
            let little = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
            let big = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
            assert!(decoded(little).unwrap() == text && decoded(big).unwrap() == text);
            assert!(decoded(text.clone().into_bytes()).unwrap() == text);
            assert!(decoded(format!("\u{feff}{text}").into_bytes()).unwrap() == text);
        }
        assert_eq!(decoded(vec![b'x']).unwrap(), "x");
    }

    #[test]
    fn without_its_mark_it_is_refused_with_what_converts_it() {
        for (bytes, wanted) in [(b"t\0e\0", "iconv -f utf-16le"), (b"\0t\0e", "iconv -f utf-16be")] {
            assert!(decoded(bytes.to_vec()).unwrap_err().to_string().contains(wanted));
        }
    }

    #[test]
    fn half_a_character_is_an_error() {
        for bytes in [vec![0xff, 0xfe, b'a'], vec![0xff, 0xfe, 0x00, 0xd8], vec![0xff, 0xfe, 0x00, 0xdc, b'a', 0]] {
            assert!(decoded(bytes).unwrap_err().to_string().contains("UTF-16"));
        }
    }
}
