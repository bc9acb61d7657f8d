//! Plain text: a line or a file per document.

use std::io::Read;

use super::lines::Lines;
use super::{Place, Plain, ReadOptions};
use crate::{Document, Error};

/// Documents of a stream of plain text.
pub(super) fn documents<R: Read>(
    place: Place,
    input: R,
    options: &ReadOptions,
) -> impl Iterator<Item = Result<Document, Error>> + use<R> {
    let (whole, limit) = (options.plain == Plain::Files, options.max_bytes);
    let mut lines = Lines::new(place.clone(), input, limit);
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let outcome = if whole { whole_file(&place, &mut lines, limit) } else { next_line(&place, &mut lines) }?;
        ended = whole || outcome.is_err();
        Some(outcome)
    })
}

fn next_line<R: Read>(place: &Place, lines: &mut Lines<R>) -> Option<Result<Document, Error>> {
    loop {
        match lines.next_line()? {
            Ok((_, text)) if text.trim().is_empty() => {}
            outcome => return Some(outcome.map(|(line, text)| place.document(line, None, text, None))),
        }
    }
}

fn whole_file<R: Read>(place: &Place, lines: &mut Lines<R>, limit: usize) -> Option<Result<Document, Error>> {
    let mut all = String::new();
    while let Some(outcome) = lines.next_line() {
        match outcome {
            Ok((line, text)) => {
                if line > 1 {
                    all.push('\n');
                }
                all.push_str(&text);
                if all.len() > limit {
                    return Some(Err(Error::TooLong { path: place.path.clone(), line, limit }));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
    (!all.trim().is_empty()).then(|| Ok(place.document(1, None, all, None)))
}
